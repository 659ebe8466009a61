"""Applies a batch of a peer's feed in one transaction: the join, the checkpoint and, if it was drained, the vector.

Knows nothing of sessions or bytes. Invariants (docs/protocol.md, Rules): a batch that does not start at the checkpoint
joins its records and moves nothing, and one that ends before it starts shows that the checkpoint is not of this feed;
the vector takes in the sender's only with a drained batch that left no hole;
until then every record that came carries the sender's context as its extra context.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from holdfast.clocks import EMPTY, NO_DOTS, DotRanges, VersionVector
from holdfast.errors import DamagedFile, UsageError

from ..cells import Record
from ..delta import ASIDE, FeedBatch, StretchId
from ..join import Memory, ValueLeftOutError, join
from ..packing import UnreadableCellsError
from ..reached import reached
from .arrival import Arrival, arrivals
from .carry import Carried
from .faults import REMEDY_DAMAGED
from .follow import Follower
from .fresh import insert_fresh, unseen_rows
from .holes import close_holes, fill_hole, holes_of, note_hole
from .journal import Journal, Kind
from .peers import Peer, advance_checkpoint, save_peer
from .reissue import rename_returned
from .returned import leave_stub
from .rows import Records, Row, Stored
from .spread import BYTES_MAX, spread
from .store import Tx
from .withdrawal import claim_again

ROWS_AT_ONCE: Final = 256
"""Records that are merged before they are written: a batch of them at once is work for the garbage collector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of a batch.

    Attributes:
        checkpoint, stretch: How far this node has now read the feed, durably, and the stretch that lies in.
        moved: Whether the batch moved the checkpoint; completed: whether the vector took in the sender's.
        taken: Whether the vector covers the sender's, at the end of its feed: this batch, or another session's, did it.
        fresh, merged, unchanged: Records that were new here, changed here, or said nothing new.
        conflicts: Conflicts that are new here.
        need_whole: (collection, key) of records that lacked a value and were left alone.
        holes: Records that could not be joined, standing for this feed.
        foreign: The highest operation under this node's own identity that it never wrote; 0 for none.
        suspect_ms: By how much the latest stamp is beyond this node's clock, if beyond the allowed drift; else 0.
        lsn: The lsn that the changes have here; None if nothing changed.
    """

    checkpoint: int
    stretch: StretchId
    moved: bool
    completed: bool
    taken: bool
    fresh: int
    merged: int
    unchanged: int
    conflicts: int
    need_whole: tuple[tuple[str, str], ...]
    holes: int
    foreign: int
    suspect_ms: int
    lsn: int | None


def apply_batch(tx: Tx, batch: FeedBatch, peer: Peer, *, follows: bool = True, heard: int | None = None) -> Applied:
    """Apply one batch of `peer`'s feed.

    Args:
        tx: The transaction to apply it in.
        batch: The batch.
        peer: Whose feed it is, as stored.
        follows: Whether every earlier batch of its session moved the checkpoint. After one that did not, another
            session may have brought the checkpoint to where this batch starts, with a later reading of the feed in
            which a record has moved on; this batch's vector would claim that record, which never came.
        heard: The lsn at which the peer was asked what it does not hold, if it has said so since this feed was read to
            its end: who is behind its fence takes in its vector only then.
    """
    return _Merge(tx, batch, peer, follows, heard).run()


@dataclass(slots=True)
class _Merge:
    tx: Tx
    batch: FeedBatch
    peer: Peer
    follows: bool
    heard: int | None
    ours: VersionVector = EMPTY
    records: Records = field(init=False)
    journal: Journal = field(init=False)
    carried: Carried = field(init=False)
    lacking: list[tuple[str, str]] = field(default_factory=list)
    clocks: list[int] = field(default_factory=list)
    changed: int = 0
    conflicts: int = 0
    foreign: int = 0
    had_holes: bool = False

    def run(self) -> Applied:
        tx, batch, delta = self.tx, self.batch, self.batch.delta
        self.ours = tx.vector
        self.journal = Journal(tx)
        self.records = Records(tx, self.journal)
        for actor, label in zip(delta.actors, delta.labels, strict=True):
            tx.names.number(actor, label)
        self.carried = Carried(tx, batch.vector, self.lsn)
        self.had_holes = holes_of(tx, batch.feed) > 0
        at_start = self._starts_at_checkpoint()
        sent = self._sent()
        # If the batch is going to complete, records need no extra context (`Carried` mends a false hope).
        hopes = at_start and batch.drained and not self.had_holes and not self._is_behind()
        extra = None if hopes else self.carried.base()
        fresh, rest = self._insert_fresh(sent, extra)
        follower = Follower(tx, batch, self.lsn, self.carried, sent, extra)
        self._merge(rest, follower)
        holes = holes_of(tx, batch.feed)
        moved = at_start and not self.lacking
        completed = moved and batch.drained and not holes and not self._is_behind()
        if fresh or self.changed or follower.merges.count:
            rename_returned(tx, [tx.names.number(actor) for actor in delta.actors], self.lsn)
        if completed:
            if tx.names.unsettled():
                reached("apply: the vector is taken in while records carry extra contexts")
            tx.take_in(claim_again(tx, batch.vector))
            tx.raise_fence(batch.fence)
            tx.raise_horizon(batch.horizon)
            close_holes(tx, self.peer.actor)
        self.carried.write(completed=completed)
        self.journal.flush()
        suspect_ms = tx.observe([*delta.clock, *self.clocks, *follower.clocks])
        merged = self.changed + follower.merges.count
        if moved:
            advance_checkpoint(tx, self.peer, batch, completed=completed)
        elif batch.end < batch.start == self.peer.checkpoint_in(batch.feed):
            self.peer.read_anew()
            save_peer(tx, self.peer)
        return Applied(
            checkpoint=self.peer.checkpoint_in(batch.feed),
            stretch=self.peer.stretch_in(batch.feed),
            moved=moved,
            completed=completed,
            taken=batch.drained and tx.vector.dominates(batch.vector),
            fresh=fresh,
            merged=merged,
            unchanged=len(delta) - fresh - merged,
            conflicts=self.conflicts + follower.merges.conflicts,
            need_whole=tuple(self.lacking),
            holes=holes,
            foreign=self.foreign,
            suspect_ms=suspect_ms,
            lsn=self._take_lsn(follower.merges.size) if fresh or merged else None,
        )

    def _is_behind(self) -> bool:
        """Whether the peer may have dropped what this node has not heard of.

        What came meanwhile from others who are behind the fence was not asked for.
        """
        if self.ours.dominates(self.batch.fence):
            return False
        stale = self.tx.store.stale.items()
        return self.heard is None or any(lsn > self.heard for actor, lsn in stale if actor != self.peer.actor)

    def _starts_at_checkpoint(self) -> bool:
        if self.batch.start != ASIDE:
            if not self.peer.is_read_to(self.batch.feed, self.batch.start, self.batch.start_stretch):
                reached("apply: a batch behind a gap")
                return False
            if not self.follows:
                reached("apply: a batch behind one that moved nothing")
        return self.follows and self.batch.start != ASIDE and self.batch.start <= self.batch.end

    def _take_lsn(self, followed: int) -> int:
        lsn = self.tx.next_lsn()
        if not self.batch.vector.dominates(self.tx.purging.fence):
            self.tx.store.stale[self.peer.actor] = lsn
        self.tx.connection.execute("INSERT INTO arrival (lsn, ms) VALUES (?, ?)", (lsn, self.tx.now_ms))
        if self.records.written + followed + self.batch.delta.size() > BYTES_MAX:
            spread(self.tx, lsn)
        return lsn

    @property
    def lsn(self) -> int:
        """What the batch's changes are to have; taken only if there are any."""
        return int(self.tx.lsn) + 1

    def _sent(self) -> list[int]:
        """The last operation of each identity of the batch that it may tell of, without an extra context."""
        own, vector = self.tx.actor, self.batch.vector
        return [min(vector.seq(a), self.tx.seq) if a == own else vector.seq(a) for a in self.batch.delta.actors]

    def _insert_fresh(self, sent: list[int], extra: int | None) -> tuple[int, list[int]]:
        """Insert plain records that nobody here has seen; gives how many, and the numbers of all other rows."""
        delta = self.batch.delta
        new = unseen_rows(delta, self.ours, sent) if self._knows_what_went() else []
        if not new:
            return 0, [*range(len(delta))]
        fresh = insert_fresh(self.tx, delta, new, self.lsn, extra)
        self.journal.note_fresh(Kind.MERGE, self.lsn)
        if self.had_holes:
            for arrival in arrivals(self.batch, sorted(fresh)):
                fill_hole(self.tx, self.batch.feed, arrival.place, arrival.context)
        return len(fresh), [at for at in range(len(delta)) if at not in fresh] if len(fresh) < len(delta) else []

    def _knows_what_went(self) -> bool:
        """Whether the peer knows of all that was purged here, and nothing is kept in the place of a record."""
        return self.batch.vector.dominates(self.tx.purging.fence) and not self.tx.has_stubs

    def _merge(self, rows: list[int], follower: Follower) -> None:
        for first in range(0, len(rows), ROWS_AT_ONCE):
            self._merge_some(rows[first : first + ROWS_AT_ONCE], follower)

    def _merge_some(self, rows: list[int], follower: Follower) -> None:
        found = self._find(rows)
        if not self.had_holes:
            rows = follower.settle(rows, found)
            follower.merges.write(self.journal)
        for arrival in arrivals(self.batch, rows):
            self._merge_row(arrival, found[arrival.collection].get(arrival.key))
        self.conflicts += self.records.flush()

    def _merge_row(self, arrival: Arrival, row: Row | None) -> None:
        stored = self.records.know(*arrival.place, row)
        try:
            self._join(arrival, stored)
        except ValueLeftOutError:
            reached("apply: a value had to be asked for whole")
            self.lacking.append(arrival.place)
        except (UnreadableCellsError, UsageError) as error:
            reached("apply: a record that cannot be joined")
            note_hole(self.tx, self.batch.feed, arrival.place, arrival.context, str(error))
        else:
            if self.had_holes:
                fill_hole(self.tx, self.batch.feed, arrival.place, arrival.context)

    def _find(self, rows: list[int]) -> dict[str, dict[str, Row]]:
        """The records of these rows of the batch that stand here, by collection and key."""
        delta = self.batch.delta
        keys: dict[str, list[str]] = {delta.collections[number]: [] for number in {delta.collection[at] for at in rows}}
        for at in rows:
            keys[delta.collections[delta.collection[at]]].append(delta.key[at])
        return {name: self.records.find(name, wanted) for name, wanted in keys.items()}

    def _join(self, arrival: Arrival, stored: Stored) -> None:
        arrival.check_place()
        theirs, mine = arrival.record(), self._ours(stored)
        self._check_own(theirs)
        arrival.check_dots(theirs)
        others = Memory(arrival.context, arrival.forgotten or NO_DOTS)
        known = Memory(self.ours.join(stored.extra), stored.forgotten)
        if stored.row is None:
            known = replace(known, forgotten=self.tx.purging.forgotten)
        joined = join(mine, known, theirs, others)
        self.clocks += [stamp.clock for stamp in theirs.stamps()]
        if not joined.existence:
            self._empty(stored, arrival.context)
            return
        if stored.row is None:
            known = self._taken_back(stored, known, theirs, others)
        changed = self._change(stored, joined, known.still_forgotten(others), returned=arrival.forgotten is not None)
        if stored.number:
            # Only now: a record that was not joined has taken in nothing.
            self.carried.note(stored.number, stored.extra.join(arrival.extra), changed=changed)

    def _taken_back(self, stored: Stored, known: Memory, theirs: Record, others: Memory) -> Memory:
        """What is known of an absent record once it has come back, whole.

        If the peer covers the fence and has forgotten nothing of it, he knows of all that was purged here. It has
        returned all the same if a part of it is known here, such as a purged delete that still stands there.
        """
        if others.context.dominates(self.tx.purging.fence) and not others.forgotten:
            stored.returned = any(known.knows(stamp.dot) for stamp in theirs.stamps())
            return Memory(known.context)
        reached("purge: a record comes back from who is behind the fence")
        stored.returned = True
        return known

    def _change(self, stored: Stored, joined: Record, forgotten: DotRanges, *, returned: bool) -> bool:
        """Let a record become what the join gives; tells whether it is another."""
        mine, was = self.records.current(stored), (stored.returned, stored.forgotten)
        stored.returned = stored.returned or returned or bool(forgotten)
        stored.forgotten = forgotten
        same = joined.existence == mine.existence and joined.cells == mine.cells
        if same and (stored.returned, forgotten) == was:
            return False
        self.records.change(stored, joined, self.lsn, merged=True)
        self.changed += 1
        return True

    def _empty(self, stored: Stored, context: VersionVector) -> None:
        """Nothing is left of the record; what stood here or came with it stands until the vector covers it."""
        taken_in = stored.extra.join(context)
        if stored.row is not None:
            self.records.empty(stored, self.lsn, taken_in)
            self.changed += 1
        elif stored.extra:
            self.tx.raise_horizon(self.ours.join(stored.extra))
            leave_stub(self.tx, self.tx.names.collection(stored.collection), stored.key, self.tx.names.extra(taken_in))

    def _check_own(self, theirs: Record) -> None:
        last = max([s.dot.seq for s in theirs.stamps() if s.dot.actor == self.tx.actor], default=0)
        if last > self.tx.seq:
            self.foreign = max(self.foreign, last)
            raise UnreadableCellsError(f"operation {last} of this node's identity is not its own")

    def _ours(self, stored: Stored) -> Record:
        try:
            return self.records.current(stored)
        except UnreadableCellsError as error:  # not the peer's fault: no hole
            subject = f"{stored.collection}/{stored.key}"
            raise DamagedFile(f"its cells cannot be read: {error}", subject=subject, remedy=REMEDY_DAMAGED) from error
