"""What the joins of flat states write: rows of records, log and inbox, from columns of records that join alike.

Knows nothing of what came or of whether it may be joined. Invariant: a row is what `rows.row_values` gives for the
record that the join makes; digest, log and inbox are in step with it once `write` was called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import Any, Final

from holdfast.clocks import Actor

from ..cohorts import Columns, columns, encode_columns, stamp_column
from ..digest import digest_head, encoded_digests, plain_digests
from ..flat_join import FlatJoin, Texts
from ..packing import PackedStamp
from ..projection import project_disputed
from .inbox import Inbox
from .journal import Journal
from .rows import Row
from .store import Tx

_UPDATE: Final = (
    "UPDATE record SET lsn = ?, node = ?, seq = ?, clock = ?, flags = ?, digest = ?, conflicts = ?, extra = ?,"
    " cells = ?, doc = ? WHERE id = ?"
)

Place = tuple[str, str]


@dataclass(slots=True)
class FlatMerges:
    """The records that one batch changes by joins of flat states.

    Args:
        tx: The open transaction.
        actors: Identities by number.
        lsn: What changed records are to have.
        extra: The number of the extra context that they are to carry, if any.

    Attributes:
        count: How many records changed; conflicts: how many conflicts are new.
        size: Bytes of documents and cells that are written.
    """

    tx: Tx
    actors: Mapping[int, Actor]
    lsn: int
    extra: int | None
    count: int = 0
    conflicts: int = 0
    size: int = 0
    _inbox: Inbox = field(init=False)
    _rows: list[tuple[object, ...]] = field(default_factory=list)
    _log: list[tuple[object, ...]] = field(default_factory=list)
    _digest: int = 0

    def __post_init__(self) -> None:
        self._inbox = Inbox(self.tx)

    def note(
        self, joined: FlatJoin, places: Sequence[Place], rows: Sequence[Row], stamps: Columns, texts: Columns
    ) -> None:
        """Note what is to be written of records that join alike.

        Args:
            joined: How they do.
            places: Their collections and keys.
            rows: What stands here.
            stamps: Of the results.
            texts: Ours, and behind them those taken.
        """
        count, ids = len(rows), [row.id for row in rows]
        named = [*stamps]
        named[::4] = [[*map(self.actors.__getitem__, numbers)] for numbers in stamps[::4]]
        docs: Sequence[str] = joined.singles.composed([texts[at] for at in joined.values], count)
        cells, digests = _encoded(joined, places, (stamps, named), texts, docs)
        conflicts: Sequence[int] = [0] * count
        if joined.siblings:
            stamped = zip(*map(partial(stamp_column, named), range(len(named) >> 2)), strict=True)
            each = map(partial(self._show, joined), ids, places, stamped, zip(*texts, strict=True))
            docs, conflicts, *shown = columns(each)
            texts = [*texts, *shown]
        nodes, seqs, clocks, flags = _latest(joined, stamps, named)
        dots = (nodes, seqs) if joined.frontier == 1 else ([None] * count, [None] * count)
        new = (digests, conflicts, repeat(self.extra, count), cells, docs)
        self._rows += zip(repeat(self.lsn, count), *dots, clocks, flags, *new, ids, strict=True)
        turned = (joined.replaced(texts, count), repeat(joined.added, count))
        self._log += zip(repeat(self.lsn, count), ids, nodes, seqs, clocks, *turned, strict=True)
        self._digest += sum(digests) - sum([row.digest for row in rows])
        self.size += sum(map(len, docs)) + sum(map(len, filter(None, cells)))
        self.count += count
        self.conflicts += sum(conflicts)

    def write(self, journal: Journal) -> None:
        """Write what was noted since the last time; extra contexts of what did not change are the caller's."""
        self.tx.connection.executemany(_UPDATE, self._rows)
        self.tx.change_digest(self._digest)
        self._inbox.flush()
        journal.note_merges(self._log)
        self._digest = 0
        self._rows.clear()
        self._log.clear()

    def _show(
        self, joined: FlatJoin, record: int, place: Place, stamps: Sequence[PackedStamp], texts: Texts
    ) -> tuple[Any, ...]:
        """Show a record with siblings: its document, how many conflicts it has, what it shows of each such field."""
        agreed = dict(zip(joined.singles.names, [texts[at] for at in joined.values], strict=True))
        disputed = {}
        for name, (one, other), (text, other_text) in joined.siblings:
            if texts[text] == texts[other_text]:
                agreed[name] = texts[text]
            else:
                disputed[name] = [(stamps[one], texts[text]), (stamps[other], texts[other_text])]
        projection = project_disputed(*place, agreed, disputed, self.tx.policy(place[0]))
        for conflict, settlement in projection.settled:
            self._inbox.open(record, conflict, settlement, self.lsn)
            if conflict.field is not None and not settlement.deleted:
                agreed[conflict.field] = settlement.text
        return projection.doc, len(disputed), *[agreed.get(name) for name, _, _ in joined.siblings]


def _encoded(
    joined: FlatJoin,
    places: Sequence[Place],
    stamps: tuple[Columns, Columns],
    texts: Columns,
    docs: Sequence[str],
) -> tuple[Sequence[bytes | None], list[int]]:
    """Cells and digests of records that join alike; `stamps`: of the results, with actors by number and by name."""
    (actors, seqs, clocks, flags, *more), count = stamps[1], len(docs)
    if not more:
        heads = [digest_head(collection, actor) for (collection, _), actor in zip(places, actors, strict=True)]
        keys = [key for _, key in places]
        return [None] * count, plain_digests(zip(heads, keys, seqs, clocks, flags, docs, strict=True))
    bodies = [*joined.bodies(texts, count)]
    cells, named = (encode_columns(bodies, each) for each in stamps)
    rows = zip(places, named, docs, strict=True)
    return cells, encoded_digests([(*place, encoded, doc) for place, encoded, doc in rows])


def _latest(joined: FlatJoin, stamps: Columns, named: Columns) -> Columns:
    """The latest stamp of each frontier, by clock."""
    if joined.frontier == 1:
        return stamps[:4]
    both, names = ([stamp_column(each, number) for number in (0, 1)] for each in (stamps, named))
    return columns(
        [
            one if (first[2], first) > (second[2], second) else other
            for one, other, first, second in zip(*both, *names, strict=True)
        ]
    )
