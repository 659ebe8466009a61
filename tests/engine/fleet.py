"""Random fleets: real storage nodes that write, meet, are cut off and restored, judged by the oracle at each step.

One seed is one fleet. A failure says the seed and what happened; `python -m tests.engine.fleet SEED` runs it again.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from holdfast.clocks import EMPTY, Dot, Timestamp
from holdfast.engine.edits import Delete, Put
from holdfast.engine.storage.apply import Applied, apply_batch
from holdfast.engine.storage.bulk import put_many
from holdfast.engine.storage.feed import read_batch, read_keys
from holdfast.engine.storage.holes import hole_keys
from holdfast.engine.storage.write import Receipt, Write, write_all
from holdfast.engine.versions import NO_RECORD, Version, version_of
from holdfast.errors import NoSuchRecord, VersionMismatch

from .habits import FIELDS, any_write, values, write_typed
from .invariants import check_agreement, check_log, check_member
from .member import DAY_MS, Member, Wall, new_member
from .oracle import Operation, Oracle, Place
from .post import Letter, Session, check_feed, shortened, spoiled

PLACES: tuple[Place, ...] = (("tasks", "x"), ("tasks", "y"), ("sites", "x"), ("tasks", "z"))
HEALING_ROUNDS = 3
STATS: Counter[str] = Counter()


class FleetError(AssertionError):
    """An invariant did not hold: the seed, the fault and the fleet's history."""


@dataclass(slots=True)
class Fleet:
    """One fleet; everything that happens in it follows from the seed."""

    seed: int
    rng: random.Random = field(init=False)
    oracle: Oracle = field(default_factory=Oracle)
    members: list[Member] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    history: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = self.rng = random.Random(self.seed)
        start, alike = 1_750_000_000_000, rng.random() < 0.5
        for name in "ABCDE"[: rng.choice((2, 2, 3, 3, 3, 4, 5))]:
            skew = 0 if alike else rng.choice((0, -1_000, 1_000, 100_000, -DAY_MS, 400 * DAY_MS))
            self.members.append(new_member(name, Wall(start, skew), rng.getrandbits(32)))
            self.oracle.known[name] = {}

    def run(self) -> None:
        """Live through the fleet's days, heal it, and check that all agree."""
        try:
            for _ in range(self.rng.randint(8, 45)):
                self.step()
            self.heal()
        except Exception as fault:
            lines = "\n  ".join(self.history)
            again = f"python -m tests.engine.fleet {self.seed}"
            raise FleetError(
                f"fleet {self.seed}: {type(fault).__name__}: {fault}\n  {lines}\nagain: {again}"
            ) from fault
        finally:
            for member in self.members:
                member.close()

    def step(self) -> None:
        """One random event at one member."""
        for member in self.members:
            member.wall.ms += self.rng.choice((0, 0, 0, 1, 20))
        member, dice = self.rng.choice(self.members), self.rng.random()
        if dice < 0.42:
            self.write(member)
        elif dice < 0.48:
            self.write_many(member)
        elif dice < 0.53:
            self.bulk(member)
        elif dice < 0.58:
            self.read(member)
        elif dice < 0.74:
            self.meet(member)
        elif dice < 0.90:
            self.go_on()
        elif dice < 0.95:
            self.disturb()
        elif dice < 0.975:
            self.jump(member)
        else:
            self.change_identity(member)

    # -- writes ----------------------------------------------------------------------------------------------------

    def write(self, member: Member) -> None:
        """One operation, which may be refused."""
        place = self.rng.choice(PLACES)
        dice = self.rng.random()
        if dice < 0.15 and member.reads:
            self.decide(member)
        elif dice < 0.30:
            self.compare_and_set(member, place)
        elif dice < 0.33:
            self.write_typed(member, place)
        else:
            self.commit(member, [any_write(self.rng, place)])

    def write_typed(self, member: Member, place: Place) -> None:
        """A write of a type that only a later version knows, as that version would store it."""
        name, value = self.rng.choice(FIELDS), self.rng.randbytes(2)
        self.note(f"{member.name} writes {place} {name} {value!r}")
        read = self.oracle.has_read(member.name, place)
        stamp = write_typed(member.store, place, name, value)
        self.advance(member, stamp.clock)
        operation = Operation(
            dot=stamp.dot, place=place, clock=stamp.clock, read=read, birth=not read, writes={name: value}
        )
        self.oracle.write_together(member.name, [operation])
        self.check(member)

    def write_many(self, member: Member) -> None:
        """A transaction over several records; the whole of it is refused if one write is."""
        places = [self.rng.choice(PLACES) for _ in range(self.rng.randint(2, 4))]
        self.commit(member, [any_write(self.rng, place) for place in places])

    def decide(self, member: Member) -> None:
        """A write on an earlier read: it supersedes only what stood there then."""
        place, read = self.rng.choice(member.reads)
        if self.rng.random() < 0.4:  # a decision on one conflict carries its siblings only
            rivals = [dots for name, _, dots in self.oracle.expected(read).conflicts if name]
            read = self.oracle.bits(self.rng.choice(sorted(rivals, key=sorted))) if rivals else read
        seen = frozenset(operation.dot for operation in self.oracle.members_of(read))
        write = replace(any_write(self.rng, place), seen=seen, decision=self.rng.random() < 0.7, upsert=True)
        self.commit(member, [write])

    def compare_and_set(self, member: Member, place: Place) -> None:
        """A write that is legal only if the record still has the version of an earlier, or the last, read."""
        stale = [read for found, read in member.reads if found == place]
        read = self.rng.choice(stale) if stale else self.oracle.has_read(member.name, place)
        self.commit(member, [replace(any_write(self.rng, place), if_version=self.version(place, read), upsert=True)])

    def version(self, place: Place, read: int) -> Version:
        expected = self.oracle.expected(read)
        return version_of(expected.existence) if expected.live else Version("")

    def read(self, member: Member) -> None:
        """Someone reads a record and remembers it for a later decision."""
        place = self.rng.choice(PLACES)
        read = self.oracle.has_read(member.name, place)
        if read:
            member.reads.append((place, read))

    def commit(self, member: Member, writes: list[Write]) -> None:
        """Write through the engine, foretelling refusals, and tell the oracle."""
        refusal = self.foretell(member, writes)
        self.note(
            f"{member.name} writes {[(w.collection, w.key, w.edit, len(w.seen or ())) for w in writes]} {refusal}"
        )
        try:
            with member.store.transaction() as tx:
                receipts = write_all(tx, writes)
        except (NoSuchRecord, VersionMismatch) as error:
            if type(error) is not refusal:
                raise
        else:
            assert refusal is None, f"a write that should be refused passed: {refusal}"
            self.enter(member, writes, receipts)
        self.check(member)

    def foretell(self, member: Member, writes: list[Write]) -> type[Exception] | None:
        """The error that the first illegal write must raise."""
        live: dict[Place, bool] = {}
        for write in writes:
            place = (write.collection, write.key)
            expected = self.oracle.expected(self.oracle.has_read(member.name, place))
            if write.if_version is not None:
                now = version_of(expected.existence) if expected.live else ""
                if now != write.if_version:
                    return VersionMismatch
            if not live.get(place, expected.live) and not isinstance(write.edit, Put) and not write.upsert:
                return NoSuchRecord
            live[place] = not isinstance(write.edit, Delete)
        return None

    def enter(self, member: Member, writes: list[Write], receipts: list[Receipt]) -> None:
        """Tell the oracle of operations that the engine has accepted."""
        self.advance(member, receipts[0].clock)
        pairs = zip(writes, receipts, strict=True)
        self.oracle.write_together(member.name, (self.operation(member, write, done) for write, done in pairs))
        STATS["operations"] += len(writes)

    def operation(self, member: Member, write: Write, receipt: Receipt) -> Operation:
        """The operation as the oracle knows it, at the moment it is written."""
        place, edit = (write.collection, write.key), write.edit
        known = self.oracle.has_read(member.name, place)
        return Operation(
            dot=receipt.dot,
            place=place,
            clock=receipt.clock,
            read=known if write.seen is None else self.oracle.bits(write.seen),
            alive=not isinstance(edit, Delete),
            birth=not known,
            decision=write.decision,
            reborn=not self.oracle.expected(known).live,
            writes=getattr(edit, "fields", {}),
            clears=None if isinstance(edit, Put) else getattr(edit, "removed", frozenset()),
        )

    def advance(self, member: Member, clock: int) -> None:
        assert clock > member.floor, f"the clock of {member.name} went back to {clock}"
        member.floor = clock

    def bulk(self, member: Member) -> None:
        """Put many records at once, over new, existing, dead and repeated keys."""
        collection = self.rng.choice(("tasks", "sites"))
        keys = [self.rng.choice("xyzvw") for _ in range(self.rng.randint(1, 4))]
        fields = [values(self.rng, self.rng.sample(FIELDS, self.rng.randint(0, 2))) for _ in keys]
        self.note(f"{member.name} puts {keys} {fields}")
        docs = ["{" + ",".join(f'"{name}":{value}' for name, value in sorted(f.items())) + "}" for f in fields]
        with member.store.transaction() as tx:
            first = tx.seq + 1
            put_many(tx, collection, keys, docs)
            actor, clock = tx.actor, tx.clock.last
        puts = [
            (Write(collection=collection, key=key, edit=Put(texts)), Dot(actor, seq))
            for seq, (key, texts) in enumerate(zip(keys, fields, strict=True), first)
        ]
        self.enter(member, [write for write, _ in puts], [_receipt(write, dot, clock) for write, dot in puts])
        self.check(member)

    # -- sessions --------------------------------------------------------------------------------------------------

    def meet(self, reader: Member) -> None:
        """Begin a session, which others may interrupt."""
        source = self.rng.choice([member for member in self.members if member is not reader])
        at = reader.peer(source).checkpoint_in(source.feed)
        limit = self.rng.choice((1, 1, 1, 2, 100))
        session = Session(reader, source, at, reader.vector, limit)
        self.note(f"{reader.name} begins to read {source.name} behind {at}, {limit} at a time")
        self.sessions.append(session)
        for _ in range(self.rng.choice((0, 1, 1, 2, 5))):
            self.exchange(session)

    def go_on(self) -> None:
        """A session that stands open goes on for a batch, or is cut."""
        if self.sessions:
            session = self.rng.choice(self.sessions)
            if self.rng.random() < 0.25:
                self.note(f"the session {session.reader.name} < {session.source.name} is cut")
                session.over = True
            else:
                self.exchange(session)
            self.sessions = [session for session in self.sessions if not session.over]

    def exchange(self, session: Session) -> None:
        """Read one batch and apply it; on the way it may be late, lost, spoiled, or shortened too far."""
        if session.over:
            return
        letter, session.waiting = session.waiting or self.read_letter(session), None
        dice = self.rng.random()
        if dice < 0.15:
            session.waiting = letter
            return
        self.letters.append(letter)
        if dice < 0.20:
            self.note(f"lost: {letter}")
            session.at, session.unbroken = letter.batch.end, False
            return
        if dice < 0.27:
            self.note("values are left out")
            letter = shortened(letter)
        elif dice < 0.30 and letter.places:
            letter = spoiled(letter, self.rng.randrange(len(letter.places)))
            self.note(f"spoiled: {letter.spoiled}")
        session.unbroken = self.deliver_whole(letter).moved and session.unbroken
        session.at = letter.batch.end
        session.over = letter.batch.drained

    def deliver_whole(self, letter: Letter) -> Applied:
        """Apply a batch; if values turn out to be missing, ask for those records, or for everything again."""
        applied = self.deliver(letter)
        if not applied.need_whole:
            return applied
        STATS["need whole"] += 1
        assert not applied.moved, "the checkpoint passes a record that lacks a value"
        if self.rng.random() < 0.5:
            self.ask(letter.session, applied.need_whole)
        else:
            again = replace(letter.session, at=letter.batch.start)
            letter = self.read_letter(again, omit=False)
        applied = self.deliver(letter)
        assert not applied.need_whole, "a whole record lacks a value"
        return applied

    def ask(self, session: Session, places: Sequence[Place]) -> None:
        """Ask for records by name."""
        source = session.source
        self.deliver(Letter(session, read_keys(source.connection, places), dict(self.oracle.known[source.name])))

    def read_letter(self, session: Session, *, omit: bool = True) -> Letter:
        source = session.source
        batch = read_batch(
            source.connection, start=session.at, held=session.held, omit=omit, records_max=session.records_max
        )
        letter = Letter(session, batch, dict(self.oracle.known[source.name]))
        check_feed(letter)
        return letter

    def deliver(self, letter: Letter) -> Applied:
        """Apply a batch and tell the oracle which records reached the reader."""
        session, batch = letter.session, letter.batch
        reader = session.reader
        held = reader.vector
        horizon = (reader.wall.now_ms() + reader.seams.drift_ms_max) << 16
        with reader.store.transaction() as tx:
            applied = apply_batch(tx, batch, reader.peer(session.source), follows=session.unbroken)
        came = [place for place in letter.places if place not in applied.need_whole and place != letter.spoiled]
        self.note(f"{reader.name} applies {letter}: {applied}")
        for place in came:
            shown = self.shown(letter, place)
            for operation in self.oracle.members_of(letter.sent[place]):
                if operation.clock <= horizon and operation.dot in shown:
                    reader.floor = max(reader.floor, operation.clock)
        self.oracle.deliver(reader.name, letter.sent, came)
        assert applied.fresh + applied.merged + applied.unchanged == len(batch.delta)
        assert (applied.lsn is not None) == bool(applied.fresh or applied.merged)
        STATS.update(batches=1, completed=applied.completed, holes=applied.holes > 0, cut=not batch.drained)
        if letter.places or reader.vector != held:
            self.check(reader)
        return applied

    def shown(self, letter: Letter, place: Place) -> set[Dot]:
        expected = self.oracle.expected(letter.sent[place])
        return {*expected.existence, *(dot for cell in expected.cells.values() for dot in cell)}

    def disturb(self) -> None:
        """An old batch comes again, whatever has happened since."""
        if self.letters:
            letter = self.rng.choice(self.letters[-8:])
            self.note("again:")
            STATS["replayed"] += 1
            self.deliver(letter)

    # -- what happens to machines ----------------------------------------------------------------------------------

    def jump(self, member: Member) -> None:
        """A wall clock is set."""
        member.wall.skew += self.rng.choice((-DAY_MS, -5_000, 5_000, 200_000, 30 * DAY_MS))
        self.note(f"the clock of {member.name} is now wrong by {member.wall.skew} ms")

    def change_identity(self, member: Member) -> None:
        """A file is backed up, restored, or believed to be a copy."""
        dice = self.rng.random()
        if member.backup is None or dice < 0.4:
            self.note(f"{member.name} is backed up")
            member.save(self.oracle.known[member.name])
            return
        self.drop_letters(member)
        if dice < 0.7:
            self.note(f"{member.name} begins a new incarnation")
            member.reincarnate()
        else:
            self.note(f"{member.name} is restored")
            self.oracle.known[member.name] = member.restore()
            self.oracle.forget_unknown()
            for other in self.members:
                other.reads = [(place, read & ~self.oracle.lost) for place, read in other.reads]
            STATS["restored"] += 1
        self.check(member)

    def drop_letters(self, member: Member) -> None:
        """A session does not outlive the identity of either side."""
        self.letters = [le for le in self.letters if member not in (le.session.reader, le.session.source)]
        self.sessions = [s for s in self.sessions if member not in (s.reader, s.source)]

    # -- the end ---------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Everyone meets everyone, undisturbed, until nothing is new."""
        self.note("healing")
        for _ in range(HEALING_ROUNDS):
            for reader in self.members:
                for source in self.members:
                    if reader is not source:
                        self.pull(reader, source)
            if len({member.vector for member in self.members}) == 1:
                break
        check_agreement(self.members, self.oracle)
        for member in self.members:
            actor = member.actor
            check_log(member, {op.dot for op in self.oracle.operations if op.dot.actor == actor})
        STATS["conflicts"] += sum(
            len(self.oracle.expected(bits).conflicts) for place, bits in self.oracle.everything().items()
        )

    def pull(self, reader: Member, source: Member) -> None:
        """One undisturbed session; what holes name is asked for first."""
        holes = hole_keys(reader.connection, source.feed)
        if holes:
            self.ask(Session(reader, source, 0, EMPTY, 100), holes)
        at = reader.peer(source).checkpoint_in(source.feed)
        applied = self.deliver(self.read_letter(Session(reader, source, at, reader.vector, 100)))
        assert applied.completed, "an undisturbed session does not complete"

    def check(self, member: Member) -> None:
        check_member(member, self.oracle)

    def note(self, event: str) -> None:
        self.history.append(event)


def _receipt(write: Write, dot: Dot, clock: Timestamp) -> Receipt:
    return Receipt(collection=write.collection, key=write.key, dot=dot, clock=clock, lsn=0, version=NO_RECORD)


def run(seed: int) -> None:
    """Run one fleet."""
    Fleet(seed).run()


if __name__ == "__main__":
    first = int(sys.argv[1])
    for number in range(first, first + (int(sys.argv[2]) if len(sys.argv) > 2 else 1)):
        run(number)
    sys.stdout.write(f"{dict(STATS)}\n")
