"""A simulated node of a fleet: the real storage over SQLite in memory, with a clock and randomness of its own.

Connections are pooled and wiped, not opened, so that a fleet costs milliseconds.
"""

from __future__ import annotations

import random
import sqlite3
from dataclasses import dataclass, field

from holdfast.clocks import Actor, Dot, VersionVector
from holdfast.engine.delta import FeedId
from holdfast.engine.seams import Seams
from holdfast.engine.storage.birth import begin_file, begin_incarnation
from holdfast.engine.storage.migrations import migrate, scripts
from holdfast.engine.storage.peers import Peer, find_peer
from holdfast.engine.storage.store import Store, vector_of

from .oracle import Known, Place

DAY_MS = 86_400_000
(PURGING_ROW,) = [line for line in scripts()[5].splitlines() if line.startswith("INSERT INTO purging")]
_pool: list[sqlite3.Connection] = []


@dataclass(slots=True)
class Wall:
    """A wall clock that is wrong, and may jump."""

    ms: int
    skew: int = 0

    def now_ms(self) -> int:
        return max(0, self.ms + self.skew)


@dataclass(slots=True)
class Backup:
    """A member's file as it once was, with what had reached it."""

    file: sqlite3.Connection
    known: Known
    floor: int


@dataclass(slots=True)
class Member:
    """One node.

    Attributes:
        floor: A stamp that every further stamp of this node must exceed.
        reads: Records that someone read earlier, with what had reached the node by then: (place, operations).
        rivals: Siblings of field conflicts that stand here: (place, field, dot).
    """

    name: str
    wall: Wall
    rng: random.Random
    connection: sqlite3.Connection
    store: Store = field(init=False)
    floor: int = 0
    reads: list[tuple[Place, int]] = field(default_factory=list)
    rivals: set[tuple[Place, str, Dot]] = field(default_factory=set)
    backup: Backup | None = None

    def __post_init__(self) -> None:
        begin_file(self.connection, self.seams, label=self.name, space_name="fleet")
        self.store = Store(self.connection, self.seams)

    @property
    def seams(self) -> Seams:
        return Seams(time=self.wall, entropy=self.rng.randbytes)

    @property
    def actor(self) -> Actor:
        (actor,) = self.connection.execute("SELECT a.actor FROM node n JOIN actor a ON a.id = n.actor").fetchone()
        return Actor(actor)

    @property
    def feed(self) -> FeedId:
        return FeedId(self.connection.execute("SELECT feed FROM node").fetchone()[0])

    @property
    def vector(self) -> VersionVector:
        return vector_of(self.connection)

    def peer(self, other: Member) -> Peer:
        return find_peer(self.connection, other.actor)

    def close(self) -> None:
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        _pool.append(self.connection)
        if self.backup is not None:
            _pool.append(self.backup.file)

    def save(self, known: Known) -> None:
        """Back the file up."""
        file = self.backup.file if self.backup is not None else _connection()
        self.connection.backup(file)
        self.backup = Backup(file, dict(known), self.floor)

    def restore(self) -> Known:
        """Go back to the backup under a new incarnation; gives what is known now."""
        assert self.backup is not None
        self.backup.file.backup(self.connection)
        self.store = Store(self.connection, self.seams)
        self.floor, self.reads = self.backup.floor, []
        self.rivals = set()
        self.reincarnate()
        return dict(self.backup.known)

    def reincarnate(self) -> None:
        """Start a new incarnation."""
        with self.store.transaction() as tx:
            begin_incarnation(tx, self.name)


def new_member(name: str, wall: Wall, seed: int) -> Member:
    """A node with an empty file."""
    connection = _connection()
    for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        connection.execute(f"DELETE FROM {table}")
    connection.execute(PURGING_ROW)
    return Member(name, wall, random.Random(seed), connection)


def _connection() -> sqlite3.Connection:
    if _pool:
        return _pool.pop()
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, ":memory:")
    return connection
