"""Watches a node's file, transaction by transaction, and enters what happened into history and model.

Knows the file (through `image`) and what was submitted to the engine; believes nothing that the engine says of itself.
Invariants: an operation is entered in the transaction that wrote it, before any other node can have it; what a failed
transaction seemed to have written is forgotten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from holdfast.clocks import Actor, Dot
from holdfast.engine.conflicts import Deciding
from holdfast.engine.edits import Put, Update
from holdfast.engine.storage.bulk import BulkPut
from holdfast.engine.storage.write import SinglePut, SingleWrite, Write
from holdfast.engine.transaction import Committing

from .history import History, Intent, Observed, Renewed, Reopened, RolledBack, Synced
from .image import REGISTER, Held, Image, LogRow, Name, Place, Value, look, texts_of
from .model import Model
from .operation import Kind, Known
from .purged import note_purged
from .scribe import Scribe


def intents_of(job: object) -> tuple[Intent, ...]:
    """The writes that a job of the engine's writer asks for; none if it is no write of an application."""
    match job:
        case SingleWrite() | SinglePut() | Deciding():
            return (_intent(job.write),)
        case Committing():
            first, *rest = map(_intent, job.writes)
            return replace(first, expects=dict(job.read)), *rest
        case BulkPut():
            pairs = zip(job.keys, job.docs, strict=True)
            return tuple(_put((job.collection, key), doc) for key, doc in pairs)
        case _:
            return ()


def merges(job: object) -> bool:
    """Whether a job may do more than write: it is to be looked at by itself (`Recorder.observe_between`)."""
    return not isinstance(job, SingleWrite | SinglePut)


def _put(place: Place, doc: str) -> Intent:
    fields = {name: Value(REGISTER, text) for name, text in texts_of(doc).items()}
    return Intent(place=place, kind=Kind.PUT, writes=fields)


def _intent(write: Write) -> Intent:
    edit = write.edit
    kind = Kind.PUT if isinstance(edit, Put) else Kind.UPDATE if isinstance(edit, Update) else Kind.DELETE
    fields = edit.fields if isinstance(edit, Put | Update) else {}
    return Intent(
        place=(write.collection, write.key),
        kind=kind,
        writes={name: Value(REGISTER, text) for name, text in fields.items()},
        removed=edit.removed if isinstance(edit, Update) else frozenset(),
        read=write.seen,
        decision=write.decision,
        alive=kind != Kind.DELETE,
        expects={} if write.if_version is None else {(write.collection, write.key): write.if_version},
    )


@dataclass(frozen=True, slots=True)
class _Look:
    before: Image
    after: Image
    rows: list[LogRow]

    @property
    def appended(self) -> list[LogRow]:
        """The rows that came since the look before; none at the first look at a file, which brings its whole log."""
        return self.rows if self.before.feed else []


@dataclass(slots=True)
class Meeting:
    """A session under way: what both sides had taken in when it began."""

    node: Recorder
    peer: Recorder
    had: tuple[Known, Known]
    vectors: tuple[dict[Actor, int], dict[Actor, int]]
    peers_actor: Actor
    began: int

    def completed(self, at_ms: int, *, pulled: bool = True, pushed: bool = True) -> None:
        """The session was completed: each side that took part in a direction now has what the other had.

        Unless a file was put back meanwhile: whoever called learns of that in the next session. The vector of a node
        that has begun a new identity meanwhile may have gone back, and so may what it has told the other of it; what it
        had taken in stands in its records.
        """
        files = (self.node.node, self.peer.node)
        since = self.node.history.events[self.began :]
        if any(isinstance(event, RolledBack) and event.node in files for event in since):
            return
        renewed = any(isinstance(event, Renewed) and event.node in files for event in since)
        nodes_vector, peers_vector = ({}, {}) if renewed else self.vectors
        self.node.history.events.append(
            Synced(
                node=self.node.node,
                peer=self.peer.node,
                at_ms=at_ms,
                peers_actor=self.peers_actor,
                nodes_had=self.had[0],
                peers_had=self.had[1],
                nodes_vector=nodes_vector,
                peers_vector=peers_vector,
                pulled=pulled,
                pushed=pushed,
            )
        )


@dataclass(slots=True)
class Recorder:
    """Observes one node's file.

    Args:
        node: The node's name.
        history, model: What it enters operations into; shared by all nodes.
    """

    node: str
    history: History
    model: Model
    scribe: Scribe = field(init=False)
    _looks: list[_Look] = field(default_factory=list)
    _unsure: bool = True
    _looked: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.scribe = Scribe(self.node, self.model, self.history.purged)

    @property
    def observed(self) -> Observed:
        """The node as it was last looked at."""
        return self.history.observed.setdefault(self.node, Observed())

    def submitted(self, intents: tuple[Intent, ...]) -> None:
        """A job with these writes is handed to the engine, whose writer takes jobs in this order."""
        if intents:
            self.scribe.submitted.append(intents)

    def refused(self, intents: Sequence[Intent]) -> None:
        """A job was refused before it wrote anything: what is written later is another."""
        submitted = self.scribe.submitted
        for at, job in enumerate(submitted):
            if job is intents:
                del submitted[at]
                return

    def acknowledged(self, dots: Sequence[Dot]) -> None:
        """The caller has the receipts of a job: the node owes its operations from now on, all together."""
        together = 0
        for dot in dots:
            if not self.model.named(dot):
                self.history.phantoms.append((self.node, dot))
            for name in self.model.named(dot)[-1:]:
                bit, place = self.model.bits([name]), self.model.operation(name).place
                self.observed.owed[place] = self.observed.owed.get(place, 0) | bit
                together |= bit
        self.history.acknowledged |= together
        if together.bit_count() > 1 and (self.node, together) not in self.history.transactions:
            self.history.transactions.append((self.node, together))

    def observe_before(self, connection: sqlite3.Connection) -> None:
        """A writing connection is about to run a function."""
        if self._unsure:
            self._look(connection, everything=True)
            self._settle()
            self._unsure = False
            self._looked = _changes(connection)

    def observe_between(self, connection: sqlite3.Connection) -> None:
        """Inside a transaction of several jobs: before and after each that merges or names anew."""
        self._look_again(connection)

    def observe_after(self, connection: sqlite3.Connection, *, wall_ms: int) -> bool:
        """The function has returned, and what it committed is durable; tells whether anything changed."""
        observed = self.observed
        observed.wall_ms = wall_ms
        self._look_again(connection)
        return self._settle()

    def undone(self) -> None:
        """The function failed: nothing of what it wrote stands, as far as one knows."""
        if self._looks:  # also the numbers of its log rows are given again
            self.observed.image = self._looks[0].before
        self._looks.clear()
        self._unsure, self._looked = True, None

    def reopened(
        self, connection: sqlite3.Connection, *, wall_ms: int, clean: bool = False, rolled_back: str = ""
    ) -> None:
        """The node's process ended and came back; `rolled_back` says why its file may be an older state."""
        self._looks.clear()
        self.scribe.submitted.clear()
        self.history.events.append(Reopened(node=self.node, clean=clean))
        if rolled_back:
            self.history.doubtful = True
            self.history.observed[self.node] = Observed()
            self.history.actors.pop(self.node, None)  # the file says who it is now, if it says anything
            self.history.events.append(RolledBack(node=self.node, why=rolled_back))
        self.observed.wall_ms = wall_ms
        self._look(connection, everything=True)
        self._settle()
        self._unsure, self._looked = False, None
        if rolled_back:
            self.observed.came.clear()  # it came in another life, under another wall clock
            self.history.count_losses(self.model)

    def cloned(self, connection: sqlite3.Connection, *, wall_ms: int) -> None:
        """This node's file is a copy of another's, which lives on: they may use the same dots until one is told."""
        self.observed.wall_ms = wall_ms
        self._look(connection, everything=True)
        self._settle()
        self._unsure, self._looked = False, None
        self.observed.came.clear()  # at the node that was copied
        self.history.copies.add(self.observed.image.actor)
        self.history.doubtful = True

    def meets(self, peer: Recorder) -> Meeting:
        """A session with a peer begins."""
        ours, theirs = self.observed, peer.observed
        return Meeting(
            self,
            peer,
            (dict(ours.known), dict(theirs.known)),
            (dict(ours.image.vector), dict(theirs.image.vector)),
            theirs.image.actor,
            len(self.history.events),
        )

    def _look_again(self, connection: sqlite3.Connection) -> None:
        """Look, unless the writing connection has changed no row since it was last looked at."""
        changes = _changes(connection)
        if changes != self._looked:
            self._look(connection)
            self._looked = changes

    def _look(self, connection: sqlite3.Connection, *, everything: bool = False) -> None:
        image = self.observed.image
        before = replace(image, records=dict(image.records))
        rows = look(connection, image, everything=everything)
        if not image.feed:
            return  # a file that is being made
        self._looks.append(_Look(before, replace(image, records=dict(image.records)), rows))

    def _settle(self) -> bool:
        """What was looked at is committed: enter it; tells whether anything changed."""
        observed, history = self.observed, self.history
        observed.wrote, observed.came, observed.discarded = [], [], []
        before = history.actors.get(self.node)
        changed: set[Place] = set()
        fenced = any(seen.before.fence != seen.after.fence for seen in self._looks)
        for seen in self._looks:
            changed |= seen.after.changed
            history.ambiguous |= self._written_again(seen)
            observed.wrote += self.scribe.tell(seen.before.records, seen.after, seen.rows)
            self._renew(seen)
            self._note_discarded(seen)
            note_purged(seen.before, seen.after, self.model, history.purged)
            observed.came += [
                (place, name)
                for place in sorted(seen.after.changed & seen.after.records.keys())
                for name in sorted(seen.after.records[place].names - _names(seen.before.records, place))
                if name.actor != seen.after.actor
            ]
        self._looks.clear()
        self._note_transactions()
        image = observed.image
        image.changed = frozenset(changed)
        observed.clock_before, observed.clock = observed.clock, image.clock
        for place in sorted(changed):
            self._take_stock(place)
        if image.feed:
            history.actors[self.node] = image.actor
        renewed = history.actors.get(self.node) != before
        return bool(changed) or fenced or renewed or observed.clock_before != observed.clock

    def _written_again(self, seen: _Look) -> set[Place]:
        """Records in which a copy wrote under a name that another one has given.

        Where the clocks of both are behind what the file had seen, they count on alike: their writes have equal stamps.
        """
        names = [
            Name(*row.dot, row.clock, seen.after.places[row.record]) for row in seen.appended if row.kind < Kind.MERGE
        ]
        return {name.place for name in names if name in self.model and name.actor in self.history.copies}

    def _renew(self, seen: _Look) -> None:
        """The node goes on under a new identity, and may have given operations new names."""
        old = self.history.actors.get(self.node, seen.after.actor)
        rows = [row for row in seen.rows if row.kind == Kind.REISSUE and not self.model.named(row.dot)]
        if old == seen.after.actor:
            self._rename_returned(seen, rows)
            return
        self.history.actors[self.node] = seen.after.actor
        self.history.events.append(Renewed(node=self.node, old=old, new=seen.after.actor))
        known = seen.after.vector.get(old, 0)
        renamed = self.scribe.rename(seen.before.records, seen.after, rows, old)
        given = {operation.renames for operation in renamed}
        # What has a name only here stands in no vector.
        unnamed = (operation.name for operation in renamed if operation.name.actor != seen.after.actor)
        self.history.withdrawn |= self.model.bits(unnamed)
        owed = self.observed.owed
        claimed = self.model.covered(seen.after.vector)
        for place, bits in self.history.purged.items():  # its vector may have gone back: it hears of that again
            owed[place] = owed.get(place, 0) & ~(bits & ~claimed)
        for place, bits in owed.items():
            shown = _names(seen.before.records, place)
            for operation in self.model.members(bits):
                name = operation.name
                # What stood here and was given no name is still owed; what something else had replaced went with it.
                if name.actor == old and name.seq > known and (name in given or name not in shown):
                    owed[place] &= ~self.model.bits([name])
                    self.history.withdrawn |= self.model.bits([name])

    def _rename_returned(self, seen: _Look, rows: Sequence[LogRow]) -> None:
        """What came under names that this file had given up and a copy has used has new names (decision 0017)."""
        renamed = self.scribe.rename_returned(seen.after, rows)
        self.history.withdrawn |= self.model.bits(operation.renames for operation in renamed if operation.renames)

    def _note_transactions(self) -> None:
        together: dict[int, int] = {}
        for operation in self.observed.wrote:
            together[operation.lsn] = together.get(operation.lsn, 0) | self.model.bits([operation.name])
        several = [(self.node, bits) for bits in together.values() if bits.bit_count() > 1]
        self.history.transactions += several

    def _take_stock(self, place: Place) -> None:
        """What the file stands for in one record, and what was discarded there."""
        observed, model = self.observed, self.model
        held = observed.image.records.get(place)
        names = held.names if held else frozenset()
        strangers = frozenset(name for name in names if name not in model)
        observed.strangers.pop(place, None)
        if strangers:
            observed.strangers[place] = strangers
        known = model.known(names - strangers)
        observed.known[place] = known
        observed.owed[place] = observed.owed.get(place, 0) | known

    def _note_discarded(self, seen: _Look) -> None:
        """Siblings of conflicts that stood before a job, and whose values its end no longer shows.

        A record that is gone as a whole was deleted by who had seen them.
        """
        before = seen.before.records
        for place in sorted(seen.after.changed & before.keys() & seen.after.records.keys()):
            after = seen.after.records[place].cells
            for field_name, cell in sorted(before[place].cells.items()):
                now = after.get(field_name, {})
                gone = (name for name in sorted(cell) if name not in now and cell[name] not in now.values())
                self.observed.discarded += [(place, field_name, name) for name in gone if len(set(cell.values())) > 1]


def _changes(connection: sqlite3.Connection) -> tuple[int, int]:
    """A connection, and how many rows it has changed: also what was rolled back counts."""
    return id(connection), connection.total_changes


def _names(records: Mapping[Place, Held], place: Place) -> frozenset[object]:
    return frozenset(records[place].names) if place in records else frozenset()
