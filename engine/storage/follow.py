"""The common cases of a merge, settled without building records: nothing new, or the peer's state succeeds ours.

Invariant: what it settles is what the join would give; where it cannot be sure it settles nothing and says so. It
never raises for what came: the join tells what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from holdfast.clocks import EMPTY, VersionVector

from ..delta import FeedBatch
from ..digest import digest_head, packed_digest, plain_digests
from ..documents import looks_safe, replaced, split
from ..packing import UnreadableCellsError, decode
from ..succession import succeed
from .carry import Carried
from .journal import Journal
from .names import Names
from .rows import Row
from .store import Tx

_ONE_STAMP = 4
"""Length of the stamps of a record that one write made: it belongs in a plain row."""

_UPDATE = (
    "UPDATE record SET lsn = ?, node = ?, seq = ?, clock = ?, flags = ?, digest = ?, extra = NULL, cells = ?, doc = ?"
    " WHERE id = ?"
)

Place = tuple[str, str]


class _Taken(dict[int, int]):
    """What a vector has taken in, by numbers of identities."""

    def __init__(self, vector: VersionVector, names: Names) -> None:
        self.vector, self.names = vector, names

    def __missing__(self, number: int) -> int:
        self[number] = seq = self.vector.seq(self.names[number])
        return seq


@dataclass(slots=True)
class Follower:
    """Settles what it can of a batch.

    Args:
        tx: The open transaction; the identities that the batch names have their numbers.
        batch: The batch.
        lsn: What changed records are to have.
        carried: Learns of every record that is settled.

    Attributes:
        merged: How many records the peer's state succeeds.
        clocks: Of the stamps that came with them.
        size: Bytes of documents and cells that are written.
    """

    tx: Tx
    batch: FeedBatch
    lsn: int
    carried: Carried
    merged: int = 0
    clocks: list[int] = field(default_factory=list)
    size: int = 0
    _local: list[int] = field(init=False)
    _held: list[int] = field(init=False)
    _context: _Taken = field(init=False)
    _rows: list[tuple[object, ...]] = field(default_factory=list)
    _log: list[tuple[object, ...]] = field(default_factory=list)
    _digest: int = 0

    def __post_init__(self) -> None:
        delta, have = self.batch.delta, self.tx.vector
        self._local = [self.tx.names.number(actor) for actor in delta.actors]
        self._held = [have.seq(actor) for actor in delta.actors]
        self._context = _Taken(self.batch.vector, self.tx.names)

    def settle(self, rows: Iterable[int], found: Mapping[Place, Row]) -> list[int]:
        """Settle what can be settled of these rows of the batch; gives the others.

        Args:
            rows: Numbers of rows.
            found: Records that stand here in no conflict, alive, by one operation, and without an extra context.
        """
        delta = self.batch.delta
        rest = []
        for at in rows:
            row = found.get((delta.collections[delta.collection[at]], delta.key[at]))
            if row is None or at in delta.extra or not looks_safe(delta.doc[at]) or not self._settle(at, row):
                rest.append(at)
        return rest

    def write(self, journal: Journal) -> None:
        """Write what was settled; extra contexts are the caller's."""
        self.tx.connection.executemany(_UPDATE, self._rows)
        self.tx.change_digest(self._digest)
        journal.note_merges(self.lsn, self._log)

    def _settle(self, at: int, row: Row) -> bool:
        author, mine = self.batch.delta.actor[at], (row.node, row.seq)
        assert row.node is not None, "the caller looks"
        assert row.seq is not None, "the caller looks"
        theirs_newer = self._context[row.node] >= row.seq
        if author < 0:
            return theirs_newer and self._succeed(at, row, (row.node, row.seq))
        seq = self.batch.delta.seq[at]
        if (self._local[author], seq) == mine:
            return row.doc == self.batch.delta.doc[at] and self._unchanged(row)
        ours_newer = self._held[author] >= seq
        if ours_newer == theirs_newer:
            return False
        # With cells of ours, a field may stand under the very dot that came: the join compares them.
        return self._unchanged(row) if ours_newer else self._succeed_plain(at, row)

    def _unchanged(self, row: Row) -> bool:
        if row.cells is None:
            self.carried.note(row.id, EMPTY, changed=False)
        return row.cells is None

    def _succeed(self, at: int, row: Row, mine: tuple[int, int]) -> bool:
        delta, local = self.batch.delta, self._local
        try:
            theirs = decode(delta.cells[at])
            if not theirs.is_flat() or not theirs.is_sound(len(local)) or len(theirs.stamps) == _ONE_STAMP:
                return False
            stamps, held = theirs.stamps, self._held
            here = theirs.renamed(local.__getitem__)
            ours = decode(row.cells) if row.cells is not None else mine
            news = [seq > held[actor] for actor, seq in zip(stamps[::4], stamps[1::4], strict=True)]
            node, seq, clock, flags = here.stamps[:4]
            successor = succeed(row.doc, ours, delta.doc[at], here, news) if (node, seq) != mine else None
        except (UnreadableCellsError, ValueError, RecursionError):
            return False  # the join says what it is
        if successor is None:
            return False
        named = theirs.renamed(delta.actors.__getitem__)
        digest = packed_digest(delta.collections[delta.collection[at]], delta.key[at], named, successor.doc)
        self._take(row, (node, seq, clock, flags, digest, here.encoded(), successor.doc), successor.old)
        self.clocks += stamps[2::4]
        return True

    def _succeed_plain(self, at: int, row: Row) -> bool:
        delta = self.batch.delta
        author, seq, clock = delta.actor[at], delta.seq[at], delta.clock[at]
        flags, doc = delta.flags[at], delta.doc[at]
        try:
            if row.cells is not None and not decode(row.cells).is_flat():
                return False
            old = replaced(split(row.doc), split(doc))
        except (UnreadableCellsError, ValueError, RecursionError):
            return False  # the join says what it is
        head = digest_head(delta.collections[delta.collection[at]], delta.actors[author])
        (digest,) = plain_digests([(head, delta.key[at], seq, clock, flags, doc)])
        self._take(row, (self._local[author], seq, clock, flags, digest, None, doc), old)
        self.clocks.append(clock)
        return True

    def _take(self, row: Row, values: tuple[int, int, int, int, int, bytes | None, str], old: str | None) -> None:
        node, seq, clock, _, digest, cells, doc = values
        self._rows.append((self.lsn, *values, row.id))
        self._log.append((row.id, node, seq, clock, old))
        self._digest += digest - row.digest
        self.size += len(doc) + len(cells or b"")
        self.merged += 1
