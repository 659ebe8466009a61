"""Applies a batch of a peer's feed in one transaction: the join, the checkpoint and, if it was drained, the vector.

Knows nothing of sessions or bytes. Invariants (docs/protocol.md, Rules): a batch that does not start at the checkpoint
joins its records and moves nothing; the vector takes in the sender's only with a drained batch that left no hole;
until then every record that came carries the sender's context as its extra context.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.clocks import EMPTY, VersionVector
from holdfast.errors import DamagedFile, UsageError

from ..cells import Record
from ..delta import FeedBatch
from ..join import ValueLeftOutError, join
from ..packing import UnreadableCellsError
from .arrival import Arrival, arrivals
from .faults import REMEDY_DAMAGED
from .follow import Follower
from .fresh import insert_fresh, unseen_rows
from .holes import fill_hole, holes_of, note_hole
from .journal import Journal, Kind
from .peers import Peer, advance_checkpoint
from .rows import Records, Row, Stored
from .spread import BYTES_MAX, spread
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


def apply_batch(tx: Tx, batch: FeedBatch, peer: Peer, *, follows: bool = True) -> Applied:
    """Apply one batch of `peer`'s feed.

    Args:
        tx: The transaction to apply it in.
        batch: The batch.
        peer: Whose feed it is, as stored.
        follows: Whether every earlier batch of its session moved the checkpoint. After one that did not, another
            session may have brought the checkpoint to where this batch starts, with a later reading of the feed in
            which a record has moved on; this batch's vector would claim that record, which never came.
    """
    return _Merge(tx, batch, peer, follows).run()


@dataclass(slots=True)
class _Merge:
    tx: Tx
    batch: FeedBatch
    peer: Peer
    follows: bool
    ours: VersionVector = EMPTY
    records: Records = field(init=False)
    journal: Journal = field(init=False)
    taken: list[tuple[Stored, Arrival]] = field(default_factory=list)
    lacking: list[tuple[str, str]] = field(default_factory=list)
    clocks: list[int] = field(default_factory=list)
    changed: int = 0
    had_holes: bool = False

    def run(self) -> Applied:
        tx, batch, delta = self.tx, self.batch, self.batch.delta
        self.ours = tx.vector
        self.journal = Journal(tx)
        self.records = Records(tx, self.journal)
        for actor, label in zip(delta.actors, delta.labels, strict=True):
            tx.names.number(actor, label)
        self.had_holes = holes_of(tx, batch.feed) > 0
        at_start = self.follows and self.peer.checkpoint_in(batch.feed) == batch.start
        fresh, rest = self._insert_fresh(hopeful=at_start and batch.drained and not self.had_holes)
        follower = Follower(tx, batch, self.lsn)
        self._merge(rest, follower)
        holes = holes_of(tx, batch.feed)
        moved = at_start and not self.lacking
        completed = moved and batch.drained and not holes
        follower.write(self.journal)
        if completed:
            tx.take_in(batch.vector)
        else:
            self._mark(follower.same)
        conflicts = self._flush(completed=completed)
        suspect_ms = tx.observe([*delta.clock, *self.clocks, *follower.clocks])
        merged = self.changed + follower.merged
        if moved:
            advance_checkpoint(tx, self.peer, batch, completed=completed)
        return Applied(
            checkpoint=batch.end if moved else self.peer.checkpoint_in(batch.feed),
            moved=moved,
            completed=completed,
            fresh=fresh,
            merged=merged,
            unchanged=len(delta) - fresh - merged,
            conflicts=conflicts,
            need_whole=tuple(self.lacking),
            holes=holes,
            suspect_ms=suspect_ms,
            lsn=self._take_lsn(follower.size) if fresh or merged else None,
        )

    def _take_lsn(self, followed: int) -> int:
        lsn = self.tx.next_lsn()
        if self.records.written + followed + self.batch.delta.size() > BYTES_MAX:
            spread(self.tx, lsn)
        return lsn

    @property
    def lsn(self) -> int:
        """What the batch's changes are to have; taken only if there are any."""
        return int(self.tx.lsn) + 1

    def _insert_fresh(self, *, hopeful: bool) -> tuple[int, list[int]]:
        """Insert plain records that nobody here has seen; gives how many, and the numbers of all other rows.

        Hopeful: the batch will complete, so that records need no extra context (`_mark_fresh` mends a false hope).
        """
        delta = self.batch.delta
        new = unseen_rows(delta, self.ours)
        if not new:
            return 0, [*range(len(delta))]
        fresh = insert_fresh(self.tx, delta, new, self.lsn, None if hopeful else self._base_extra())
        self.journal.note_fresh(Kind.MERGE, self.lsn)
        if self.had_holes:
            for arrival in arrivals(self.batch, sorted(fresh)):
                fill_hole(self.tx, self.batch.feed, arrival.place, arrival.context)
        return len(fresh), [at for at in range(len(delta)) if at not in fresh] if len(fresh) < len(delta) else []

    def _base_extra(self) -> int | None:
        vector = self.batch.vector
        return None if self.ours.dominates(vector) else self.tx.names.extra(vector)

    def _mark(self, same: list[int]) -> None:
        """What was settled without a join carries the sender's context until the feed is drained."""
        extra = self._base_extra()
        if extra is not None:
            connection = self.tx.connection
            connection.execute("UPDATE record SET extra = ? WHERE lsn = ? AND extra IS NULL", (extra, self.lsn))
            connection.executemany("UPDATE record SET extra = ? WHERE id = ?", [(extra, number) for number in same])

    def _merge(self, rows: list[int], follower: Follower) -> None:
        found = self._find(rows)
        if not self.had_holes:
            unsettled = self.tx.names.unsettled()
            rows = follower.settle(
                rows, {at: row for at, row in found.items() if row.is_settled() and row.extra not in unsettled}
            )
        for arrival in arrivals(self.batch, rows):
            self.records.know(*arrival.place, found.get(arrival.place))
            try:
                self._merge_one(arrival, self.records.at(*arrival.place))
            except ValueLeftOutError:
                self.lacking.append(arrival.place)
            except (UnreadableCellsError, UsageError) as error:
                note_hole(self.tx, self.batch.feed, arrival.place, arrival.context, str(error))
            else:
                if self.had_holes:
                    fill_hole(self.tx, self.batch.feed, arrival.place, arrival.context)

    def _find(self, rows: list[int]) -> dict[tuple[str, str], Row]:
        delta = self.batch.delta
        keys: dict[str, list[str]] = {}
        for at in rows:
            keys.setdefault(delta.collections[delta.collection[at]], []).append(delta.key[at])
        return {(name, key): row for name in keys for key, row in self.records.find(name, keys[name]).items()}

    def _merge_one(self, arrival: Arrival, stored: Stored) -> None:
        arrival.check_place()
        self._join(arrival, stored, self.ours.join(stored.extra))
        # Only now: a record that was not joined has taken in nothing.
        self.taken.append((stored, arrival))

    def _join(self, arrival: Arrival, stored: Stored, ours_have: VersionVector) -> None:
        theirs, mine = arrival.record(), self._ours(stored)
        joined = join(mine, ours_have, theirs, arrival.context)
        self.clocks += [stamp.clock for stamp in theirs.stamps()]
        if joined.existence and (joined.existence != mine.existence or joined.cells != mine.cells):
            self.records.change(stored, joined, self.lsn, merged=True)
            self.changed += 1

    def _ours(self, stored: Stored) -> Record:
        try:
            return self.records.current(stored)
        except UnreadableCellsError as error:  # not the peer's fault: no hole
            subject = f"{stored.collection}/{stored.key}"
            raise DamagedFile(f"its cells cannot be read: {error}", subject=subject, remedy=REMEDY_DAMAGED) from error

    def _flush(self, *, completed: bool) -> int:
        base = EMPTY if completed else self.batch.vector
        for stored, arrival in self.taken:
            if stored.number:
                self.records.carry(stored, stored.extra.join(arrival.extra).join(base))
        conflicts = self.records.flush()
        self.journal.flush()
        return conflicts
