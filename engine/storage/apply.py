"""Applies a batch of a peer's feed in one transaction: the join, the checkpoint and, if it was drained, the vector.

Knows nothing of sessions or bytes. Invariants (merge.md, Sessions 3-6): a batch that does not start at the checkpoint
joins its records and moves nothing; the vector takes in the sender's only with a drained batch that left no hole;
until then every record that came carries the sender's context as its extra context.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.clocks import EMPTY, Actor, Dot, Timestamp, VersionVector
from holdfast.errors import InvalidValue

from ..cells import Record, Stamp, plain_record
from ..delta import FeedBatch
from ..digest import digest_of
from ..documents import check_document, looks_safe, split
from ..join import ValueLeftOutError, join
from ..packing import UnreadableCellsError, unpack
from .bulk import INSERT_PLAIN
from .holes import fill_hole, holes_of, note_hole
from .journal import Journal, Kind
from .peers import Peer, advance_checkpoint
from .rows import Records, Row, Stored
from .store import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of a batch.

    Attributes:
        checkpoint: How far this node has now read the feed, durably.
        moved: Whether the batch moved the checkpoint; completed: whether the vector took in the sender's.
        fresh, merged, unchanged: Records that were new here, changed here, or said nothing new.
        conflicts: Conflicts that are new here.
        need_whole: (collection, key) of records that lacked a value and were left alone.
        holes: Records that could not be joined, standing for this feed.
        suspect_ms: By how much the latest stamp is beyond this node's clock, if beyond the allowed drift; else 0.
        lsn: The lsn that the changes have here; None if nothing changed.
    """

    checkpoint: int
    moved: bool
    completed: bool
    fresh: int
    merged: int
    unchanged: int
    conflicts: int
    need_whole: tuple[tuple[str, str], ...]
    holes: int
    suspect_ms: int
    lsn: int | None


def apply_batch(tx: Tx, batch: FeedBatch, peer: Peer) -> Applied:
    """Apply one batch of `peer`'s feed."""
    return _Merge(tx, batch, peer).run()


@dataclass(slots=True)
class _Merge:
    tx: Tx
    batch: FeedBatch
    peer: Peer
    ours: VersionVector = EMPTY
    records: Records = field(init=False)
    journal: Journal = field(init=False)
    numbers: list[int] = field(default_factory=list)
    table: dict[int, Actor] = field(default_factory=dict)
    touched: list[tuple[Stored, VersionVector]] = field(default_factory=list)
    lacking: list[tuple[str, str]] = field(default_factory=list)
    clocks: list[int] = field(default_factory=list)
    changed: int = 0
    had_holes: bool = False

    def run(self) -> Applied:
        tx, batch, delta = self.tx, self.batch, self.batch.delta
        self.ours = tx.vector
        self.journal = Journal(tx)
        self.records = Records(tx, self.journal)
        self.numbers = [tx.names.number(*pair) for pair in zip(delta.actors, delta.labels, strict=True)]
        self.table = dict(enumerate(delta.actors))
        self.had_holes = holes_of(tx, batch.feed) > 0
        at_start = self.peer.checkpoint_in(batch.feed) == batch.start
        fresh, rest = self._insert_fresh(hopeful=at_start and batch.drained and not self.had_holes)
        self._merge_rest(rest)
        holes = holes_of(tx, batch.feed)
        moved = at_start and not self.lacking
        completed = moved and batch.drained and not holes
        if completed:
            tx.take_in(batch.vector)
        elif fresh:
            self._mark_fresh()
        conflicts = self._flush(completed=completed)
        suspect_ms = tx.observe([*delta.clock, *self.clocks])
        if moved:
            advance_checkpoint(tx, self.peer, batch, completed=completed)
        lsn = tx.next_lsn() if fresh or self.changed else None
        return Applied(
            checkpoint=batch.end if moved else self.peer.checkpoint_in(batch.feed),
            moved=moved,
            completed=completed,
            fresh=fresh,
            merged=self.changed,
            unchanged=len(delta) - fresh - self.changed,
            conflicts=conflicts,
            need_whole=tuple(self.lacking),
            holes=holes,
            suspect_ms=suspect_ms,
            lsn=lsn,
        )

    @property
    def lsn(self) -> int:
        return int(self.tx.lsn) + 1

    def _insert_fresh(self, *, hopeful: bool) -> tuple[int, list[int]]:
        """Insert plain records that nobody here has seen; gives how many, and the numbers of all other rows.

        Hopeful: the batch will complete, so that records need no extra context (`_mark_fresh` mends a false hope).
        """
        delta, tx = self.batch.delta, self.tx
        have = [self.ours.seq(actor) for actor in delta.actors]
        new = [
            at
            for at, (actor, seq, doc) in enumerate(zip(delta.actor, delta.seq, delta.doc, strict=True))
            if actor >= 0 and seq > have[actor] and at not in delta.extra and looks_safe(doc)
        ]
        if not new:
            return 0, list(range(len(delta)))
        extra = None if hopeful else self._base_extra()
        prefixes = [f"{name}\0" for name in delta.collections]
        collections = [tx.names.collection(name) for name in delta.collections]
        first, lsn, numbers, actors = tx.next_record(len(new)), self.lsn, self.numbers, delta.actors
        columns = (delta.collection, delta.key, delta.actor, delta.seq, delta.clock, delta.flags, delta.doc)
        picked = (
            zip(*columns, strict=True)
            if len(new) == len(delta)
            else zip(*([c[at] for at in new] for c in columns), strict=True)
        )
        rows = [
            (
                record, collections[c], key, lsn, numbers[a], seq, clock, flags,
                digest_of(f"{prefixes[c]}{key}\0{actors[a]}{seq}.{clock}.{flags}\0{doc}"), extra, doc,
            )
            for record, (c, key, a, seq, clock, flags, doc) in enumerate(picked, first)
        ]  # fmt: skip
        inserted = tx.connection.executemany(INSERT_PLAIN, rows).rowcount
        self.journal.note_fresh(Kind.MERGE, lsn)
        if inserted == len(new):
            tx.change_digest(sum(row[8] for row in rows))
            fresh = set(new)
        else:
            ids = {at for (at,) in tx.connection.execute("SELECT id FROM record WHERE lsn = ?", (lsn,))}
            tx.change_digest(sum(row[8] for row in rows if row[0] in ids))
            fresh = {at for record, at in enumerate(new, first) if record in ids}
        if self.had_holes:
            for at in fresh:
                fill_hole(tx, self.batch.feed, self._place(at), self._their_context(at))
        return inserted, [at for at in range(len(delta)) if at not in fresh] if len(fresh) < len(delta) else []

    def _base_extra(self) -> int | None:
        vector = self.batch.vector
        return None if self.ours.dominates(vector) else self.tx.names.extra(vector)

    def _mark_fresh(self) -> None:
        extra = self._base_extra()
        if extra is not None:
            self.tx.connection.execute("UPDATE record SET extra = ? WHERE lsn = ? AND extra IS NULL", (extra, self.lsn))

    def _merge_rest(self, rest: list[int]) -> None:
        delta = self.batch.delta
        for number, name in enumerate(delta.collections):
            self.records.load(name, [delta.key[at] for at in rest if delta.collection[at] == number])
        for at in rest:
            place = self._place(at)
            try:
                self._merge_row(at, self.records.at(*place))
            except ValueLeftOutError:
                self.lacking.append(place)
                continue
            except (UnreadableCellsError, InvalidValue) as error:
                note_hole(self.tx, self.batch.feed, place, self._their_context(at), str(error))
                continue
            if self.had_holes:
                fill_hole(self.tx, self.batch.feed, place, self._their_context(at))

    def _place(self, at: int) -> tuple[str, str]:
        delta = self.batch.delta
        return delta.collections[delta.collection[at]], delta.key[at]

    def _their_context(self, at: int) -> VersionVector:
        delta = self.batch.delta
        vector = self.batch.vector
        return vector.join(delta.contexts[delta.extra[at]]) if at in delta.extra else vector

    def _merge_row(self, at: int, stored: Stored) -> None:
        delta, batch = self.batch.delta, self.batch
        extra = delta.contexts[delta.extra[at]] if at in delta.extra else EMPTY
        theirs_have, ours_have = batch.vector.join(extra), self.ours.join(stored.extra)
        stamp = self._plain_stamp(at)
        row = stored.row
        if stamp is not None and row is not None and stored.after is None and row.cells is None:
            verdict = _compare_plain(row, row.plain(self.tx.names), stamp, delta.doc[at], ours_have, theirs_have)
            if verdict is False:
                self.touched.append((stored, extra))
                return
        theirs = self._their_record(at, stamp)
        mine = self.records.current(stored)
        joined = join(mine, ours_have, theirs, theirs_have)
        self.touched.append((stored, extra))  # not before: a record that was not joined has taken in nothing
        if joined.existence and (joined.existence != mine.existence or joined.cells != mine.cells):
            self.records.change(stored, joined, self.lsn, merged=True)
            self.changed += 1

    def _plain_stamp(self, at: int) -> Stamp | None:
        delta = self.batch.delta
        if delta.actor[at] < 0:
            return None
        dot = Dot(delta.actors[delta.actor[at]], delta.seq[at])
        return Stamp(dot, Timestamp(delta.clock[at]), delta.flags[at])

    def _their_record(self, at: int, stamp: Stamp | None) -> Record:
        delta = self.batch.delta
        if not looks_safe(delta.doc[at]):
            check_document(delta.doc[at])
        try:
            values = split(delta.doc[at])
        except (ValueError, RecursionError) as error:
            raise UnreadableCellsError(f"a document is no JSON object: {error}") from error
        if stamp is not None:
            return plain_record(stamp, values)
        record = unpack(values, delta.cells[at], self.table)
        self.clocks.extend(stamp.clock for stamp in record.stamps())
        return record

    def _flush(self, *, completed: bool) -> int:
        base = EMPTY if completed else self.batch.vector
        for stored, extra in self.touched:
            if stored.number:
                self.records.carry(stored, stored.extra.join(extra).join(base))
        conflicts = self.records.flush()
        self.journal.flush()
        return conflicts


def _compare_plain(
    row: Row, mine: Stamp | None, theirs: Stamp, doc: str, ours_have: VersionVector, theirs_have: VersionVector
) -> bool | None:
    """Whether their plain record changes ours: False if surely not, None if the join must tell."""
    if mine is None:
        return None
    if mine.dot == theirs.dot:
        return False if row.doc == doc else None
    if ours_have.covers(theirs.dot) and not theirs_have.covers(mine.dot):
        return False
    return None
