"""The writer's transactions: what changes together with the data is read at their start and written at their end.

Owns the counters (seq, lsn, clock, digest) and the version vector of the file; knows nothing of merging. Invariant: a
counter in memory is only ever that of the open transaction, so a rollback takes back all of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from holdfast.clocks import Actor, Dot, DotRanges, HybridClock, Timestamp, VersionVector
from holdfast.resolvers import Policy

from ..cells import Stamp
from ..delta import NO_STRETCH, STRETCH_BYTES, FeedId, StretchId
from ..digest import added
from ..reached import reached
from ..seams import Seams
from .names import Names
from .pasts import head_of, kept, past_at, restored
from .stretches import begin_stretch

_NODE = "SELECT actor, seq, shared, lsn, clock, digest, feed FROM node"
_SAVE = "UPDATE node SET seq = ?, shared = ?, lsn = ?, clock = ?, digest = ?"
_HIGHEST_RECORD = (
    "SELECT max(number) FROM (SELECT max(id) AS number FROM record UNION ALL SELECT max(id) FROM buried"
    " UNION ALL SELECT max(record) FROM log UNION ALL SELECT max(newest) FROM retained)"
)
"""Of records that are gone as well: no other record may have their number while the log speaks of them."""

_OTHERS = "SELECT a.actor, v.seq FROM vector v JOIN actor a ON a.id = v.actor WHERE v.apart = 1"
_OWN = "SELECT a.actor, n.seq FROM node n JOIN actor a ON a.id = n.actor WHERE n.seq > 0"
_GROW = (
    "INSERT INTO vector (actor, seq, moved_ms) VALUES (?, ?, ?) ON CONFLICT (actor)"
    " DO UPDATE SET seq = excluded.seq, apart = 1, moved_ms = excluded.moved_ms"
)
_PURGING = "SELECT fence, horizon, mark, EXISTS (SELECT 1 FROM stub) FROM purging"
_TAKE_PLACES = (
    "UPDATE record SET extra = s.context FROM stub s WHERE record.collection = s.collection AND record.key = s.key"
)
_LEAVE_PLACES = (
    "DELETE FROM stub WHERE EXISTS (SELECT 1 FROM record r WHERE r.collection = stub.collection AND r.key = stub.key)"
)
_DEFAULT_POLICY = Policy()


class Store:
    """A writing connection with what may be remembered between its transactions.

    Attributes:
        stale: Peers that sent records while they were behind this node's fence, and the last lsn that got.
    """

    def __init__(self, connection: sqlite3.Connection, seams: Seams) -> None:
        self.connection = connection
        self.seams = seams
        self.policies: dict[str, Policy] = {}
        self.names = Names(connection, lambda vector: kept(vector, *self.past()))
        self._others: VersionVector | None = None
        self._purging: Purging | None = None
        self._past: tuple[int | None, VersionVector] | None = None
        self._stretch: StretchId = NO_STRETCH
        self._begun = False
        self.stale: dict[Actor, int] = {}

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """One transaction; an exception inside undoes it and passes on."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            tx = Tx(self)
            yield tx
            tx.save()
            self.connection.execute("COMMIT")
        except BaseException:
            self.forget()
            if self.connection.in_transaction:  # a full disk has rolled back already
                self.connection.execute("ROLLBACK")
            else:
                reached("storage: SQLite has undone a transaction by itself")
            raise

    def forget(self) -> None:
        """Drop what was remembered: the transaction it came from was undone."""
        self.names.forget()
        self._others = self._purging = self._past = None
        self._begun = False

    def others(self) -> VersionVector:
        """The version vector without the node's own current entry."""
        if self._others is None:
            self._others = _entries(self.connection, _OTHERS)
        return self._others

    def purging(self) -> Purging:
        """What this node has forgotten."""
        if self._purging is None:
            fence, horizon, mark, stubs = self.connection.execute(_PURGING).fetchone()
            self._purging = Purging(
                fence=restored(self.connection, fence),
                horizon=restored(self.connection, horizon),
                mark=None if mark is None else restored(self.connection, mark),
                stubs=bool(stubs),
            )
        return self._purging

    def past(self) -> tuple[int | None, VersionVector]:
        """The past that vectors are kept over, and its number."""
        if self._past is None:
            number = head_of(self.connection)
            self._past = number, past_at(self.connection, number)
        return self._past

    def forget_past(self) -> None:
        """Drop what was remembered of the past: the open transaction has changed it."""
        self._others = self._past = None

    def append(self, lsn: int) -> None:
        """The feed is about to grow by this lsn: it belongs to the stretch of this opening."""
        if not self._begun:
            self._stretch = self._stretch or StretchId(self.seams.entropy(STRETCH_BYTES))
            begin_stretch(self.connection, lsn, self._stretch)
            self._begun = True

    def policy(self, collection: str) -> Policy:
        """The rules of a collection."""
        return self.policies.get(collection, _DEFAULT_POLICY)

    def take_others(self, vector: VersionVector) -> None:
        """Remember the vector that this transaction has stored."""
        self._others = vector


@dataclass(slots=True, kw_only=True)
class Purging:
    """What a node has forgotten of deleted records (docs/decisions, 0025).

    Attributes:
        fence: What was dead up to here may be gone.
        horizon: Of what is absent, anything up to here may have been forgotten; forgotten: the same as a set.
        mark: What becomes the fence once every member that counts covers it, where this node decides; None for none.
        stubs: Whether the place of some emptied record is kept.
    """

    fence: VersionVector
    horizon: VersionVector
    mark: VersionVector | None
    stubs: bool
    forgotten: DotRanges = field(init=False)

    def __post_init__(self) -> None:
        self.forgotten = DotRanges.up_to(self.horizon)


class Tx:
    """One open write transaction.

    Attributes:
        own: Number of the node's identity; actor: the identity.
        seq, shared, lsn, digest: As the file will hold them; feed: id of the feed.
        clock: The hybrid clock, saved with the transaction.
        given_up: Identities of which this transaction gives up names, and the highest number of each that it keeps.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.connection = store.connection
        self.names = store.names
        row: tuple[int, int, int, int, int, int, str] = self.connection.execute(_NODE).fetchone()
        self.own, self.seq, self.shared, self.lsn, last, self.digest, feed = row
        self.feed = FeedId(feed)
        self.actor = self.names.actor(self.own)
        self.clock = HybridClock(store.seams.time, last, store.seams.drift_ms_max)
        self._loaded = row
        self._next_record: int | None = None
        self.given_up: dict[Actor, int] = {}

    @property
    def now_ms(self) -> int:
        """Wall time, milliseconds since 1970."""
        return self.store.seams.time.now_ms()

    @property
    def vector(self) -> VersionVector:
        """The node's version vector, own operations of this transaction included."""
        others = self.store.others()
        return others.join(VersionVector({self.actor: self.seq})) if self.seq else others

    @property
    def others(self) -> VersionVector:
        """The vector without the node's own current entry."""
        return self.store.others()

    def next_lsn(self) -> int:
        """Take the next local sequence number: one per user transaction or applied batch."""
        self.lsn += 1
        self.store.append(self.lsn)
        return self.lsn

    def next_record(self, count: int = 1) -> int:
        """Take `count` record numbers; the first is returned."""
        if self._next_record is None:
            (highest,) = self.connection.execute(_HIGHEST_RECORD).fetchone()
            self._next_record = (highest or 0) + 1
        first = self._next_record
        self._next_record += count
        return int(first)

    def stamp(self, clock: Timestamp, flags: int) -> Stamp:
        """The stamp of a new own operation."""
        self.seq += 1
        return Stamp(Dot(self.actor, self.seq), clock, flags)

    def observe(self, clocks: list[int]) -> int:
        """Take remote stamps into the clock; gives by how many milliseconds the worst is beyond the allowed drift."""
        horizon = self.clock.horizon()
        believed = [clock for clock in clocks if clock <= horizon]
        if believed:
            # Wall time may have stepped back since the horizon was read; then the stamp is not taken in, as any other.
            self.clock.observe(Timestamp(max(believed)))
        worst = max(clocks, default=0)
        return max(0, (worst >> 16) - self.now_ms) if worst > horizon else 0

    def change_digest(self, change: int) -> None:
        """Add the change of the records' digests to the space's."""
        self.digest = added(self.digest, change)

    def take_in(self, vector: VersionVector) -> None:
        """Join a vector into the node's: everything it covers has been taken in. Settles contexts it now covers."""
        others = self.others
        grown = others.join(vector.replaced({self.actor: 0}) if vector.seq(self.actor) else vector)
        if grown is not others:
            changes = grown.changes_since(others).items()
            rows = [(self.names.number(actor), seq, self.now_ms) for actor, seq in changes]
            self.connection.executemany(_GROW, rows)
            self.store.take_others(grown)
        self.names.settle(self.vector)

    def kept(self, vector: VersionVector) -> bytes:
        """The bytes of a vector as this file keeps it."""
        return kept(vector, *self.store.past())

    def keep_anew(self) -> None:
        """The file has another past: let the vectors in use be kept over it."""
        purging = self.purging
        self.store.forget_past()
        _, past = self.store.past()
        purging.fence, purging.horizon = purging.fence.over(past), purging.horizon.over(past)
        purging.mark = None if purging.mark is None else purging.mark.over(past)
        encoded = [None if each is None else self.kept(each) for each in (purging.fence, purging.horizon, purging.mark)]
        self.connection.execute("UPDATE purging SET fence = ?, horizon = ?, mark = ?", encoded)

    @property
    def purging(self) -> Purging:
        """What this node has forgotten."""
        return self.store.purging()

    @property
    def has_stubs(self) -> bool:
        """Whether the place of some emptied record is kept."""
        return self.purging.stubs

    @has_stubs.setter
    def has_stubs(self, stubs: bool) -> None:
        self.purging.stubs = stubs

    def raise_fence(self, fence: VersionVector) -> None:
        """What is dead up to here may go."""
        purging = self.purging
        raised = purging.fence.join(fence)
        if raised is not purging.fence:
            purging.fence = raised
            self.connection.execute("UPDATE purging SET fence = ?, judged = 0", (self.kept(raised),))

    def raise_horizon(self, horizon: VersionVector) -> None:
        """What is absent may have been forgotten up to here."""
        purging = self.purging
        raised = purging.horizon.join(horizon)
        if raised is not purging.horizon:
            purging.horizon, purging.forgotten = raised, DotRanges.up_to(raised)
            self.connection.execute("UPDATE purging SET horizon = ?", (self.kept(raised),))

    def set_mark(self, mark: VersionVector | None, now_ms: int | None) -> None:
        """Let this become the fence once every member that counts covers it."""
        self.purging.mark = mark
        encoded = None if mark is None else self.kept(mark)
        self.connection.execute("UPDATE purging SET mark = ?, marked_ms = coalesce(?, marked_ms)", (encoded, now_ms))

    def restart(self, number: int, actor: Actor, feed: FeedId) -> None:
        """Go on under a new identity that the caller has stored."""
        self.store.forget()
        self.own, self.actor, self.feed, self.seq, self.shared = number, actor, feed, 0, 0
        self._loaded = (number, 0, 0, *self._loaded[3:6], feed)

    def policy(self, collection: str) -> Policy:
        """The rules of a collection."""
        return self.store.policy(collection)

    def save(self) -> None:
        """Write the counters, if they changed; records that took the place of stubs carry their contexts on."""
        if self.has_stubs:
            self.connection.execute(_TAKE_PLACES)
            self.connection.execute(_LEAVE_PLACES)
        own, _, _, _, last, _, feed = self._loaded
        now = (own, self.seq, self.shared, self.lsn, max(last, self.clock.last), self.digest, feed)
        if now != self._loaded:
            self.connection.execute(_SAVE, now[1:6])

    @contextmanager
    def part(self) -> Iterator[None]:
        """A savepoint: an exception inside undoes only this part, and passes on."""
        identity = (self.own, self.actor, self.feed, self._loaded)
        counters = (self.seq, self.shared, self.lsn, self.digest, self._next_record)
        given_up = dict(self.given_up)
        self.connection.execute("SAVEPOINT part")
        try:
            yield
            self.connection.execute("RELEASE part")
        except BaseException:
            self.store.forget()
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK TO part")
                self.connection.execute("RELEASE part")
            self.own, self.actor, self.feed, self._loaded = identity
            self.seq, self.shared, self.lsn, self.digest, self._next_record = counters
            self.given_up = given_up
            raise


def vector_of(connection: sqlite3.Connection) -> VersionVector:
    """The node's version vector as a reader's transaction sees it."""
    return _entries(connection, f"{_OTHERS} UNION ALL {_OWN}")


def _entries(connection: sqlite3.Connection, query: str) -> VersionVector:
    past = past_at(connection, head_of(connection))
    return past.over(past).replaced({Actor(actor): seq for actor, seq in connection.execute(query)})


def fence_and_horizon(connection: sqlite3.Connection) -> tuple[VersionVector, VersionVector]:
    """What may be purged and what may be forgotten here, as a reader's transaction sees it."""
    fence, horizon = connection.execute("SELECT fence, horizon FROM purging").fetchone()
    return restored(connection, fence), restored(connection, horizon)
