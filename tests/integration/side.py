"""Both sides of a session without a loop, a socket or a sleep: real storage in memory, messages in a list.

The session's effects are carried out by the engine's own `Replica` over a node that answers at once.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from holdfast.clocks import Actor, VersionVector
from holdfast.engine.edits import Delete, Edit, Put, Update
from holdfast.engine.facts import Facts
from holdfast.engine.purge import Purge
from holdfast.engine.replica import Replica
from holdfast.engine.schema import Schema
from holdfast.engine.seams import Seams
from holdfast.engine.status import read_status
from holdfast.engine.storage.birth import begin_file
from holdfast.engine.storage.declare import declare
from holdfast.engine.storage.migrations import migrate
from holdfast.engine.storage.store import Store, vector_of
from holdfast.engine.storage.write import Receipt, Write, write_all
from holdfast.resolvers.canonical import encode
from holdfast.transport.answering import Responder
from holdfast.transport.effects import (
    Acknowledge,
    Apply,
    Effect,
    Fail,
    Introduce,
    IssueTicket,
    Meet,
    Read,
    ReadWhole,
    Recall,
    Renew,
    Send,
    Unite,
)
from holdfast.transport.messages import Message
from holdfast.transport.session import Initiator, Places

from ..nodes import Wall

T = TypeVar("T")
HUB = "list://hub"


def now(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


class _Instant:
    """What `Replica` needs of a node, over one connection, at once."""

    def __init__(self, side: Side) -> None:
        self.readers = self
        self.seams = side.seams
        self.schemas: dict[str, Schema] = {schema.name: schema for schema in side.schemas}
        self.label = side.name
        self.path = side.name
        self.renewed: str | None = None
        self.handshakes = 0
        self.upkeep = None
        self.purging = Purge()
        self.sessions: dict[str, asyncio.Lock] = {}
        self._side = side

    async def run(self, function, *args, **options):
        return function(self._side.connection, *args, **options)

    async def write(self, job):
        with self._side.store.transaction() as tx:
            return job(tx)

    go_on = write


@dataclass
class Side:
    """A node in memory.

    Attributes:
        batch_records: Records in one batch of its feed; small, so that sessions have many messages.
    """

    name: str
    space: str = "plant"
    wall: Wall = field(default_factory=Wall)
    schemas: tuple[Schema, ...] = ()
    batch_records: int = 2
    connection: sqlite3.Connection = field(init=False)
    store: Store = field(init=False)
    replica: Replica = field(init=False)
    node: _Instant = field(init=False)

    def __post_init__(self) -> None:
        self.seams = Seams(time=self.wall, entropy=random.Random(self.name).randbytes)
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(self.connection, self.name)
        begin_file(self.connection, self.seams, label=self.name, space_name=self.space)
        self._begin()

    def _begin(self) -> None:
        self.store = Store(self.connection, self.seams)
        self.node = _Instant(self)
        self.replica = _Small(self.node, self.batch_records)
        with self.store.transaction() as tx:
            declare(tx, self.schemas)

    def copy(self, seed: str) -> Side:
        """A copy of the file, opened elsewhere without a witness that would notice."""
        other = Side(self.name, self.space, self.wall, self.schemas, self.batch_records)
        self.connection.backup(other.connection)
        other.seams = Seams(time=self.wall, entropy=random.Random(seed).randbytes)
        other._begin()
        return other

    def write(self, key: str, edit: Edit | dict[str, Any]) -> Receipt:
        """One operation on collection t: a dict puts, or an edit."""
        change = Put({name: encode(value) for name, value in edit.items()}) if isinstance(edit, dict) else edit
        with self.store.transaction() as tx:
            return write_all(tx, [Write(collection="t", key=key, edit=change, upsert=True)])[0]

    def update(self, key: str, **fields: Any) -> Receipt:
        """Update some fields."""
        return self.write(key, Update({name: encode(value) for name, value in fields.items()}))

    def delete(self, key: str) -> Receipt:
        """Mark a record dead."""
        return self.write(key, Delete())

    @property
    def actor(self) -> Actor:
        return Actor(self._one("SELECT a.actor FROM node n JOIN actor a ON a.id = n.actor"))

    @property
    def vector(self) -> VersionVector:
        return vector_of(self.connection)

    @property
    def digest(self) -> int:
        return self._one("SELECT digest FROM node")

    @property
    def whole(self) -> bool:
        """Whether no record waits for the end of a session."""
        return read_status(self.connection, Path(self.name)).whole

    def docs(self) -> dict[str, str]:
        """The living records by key."""
        return dict(self.connection.execute("SELECT key, doc FROM record WHERE live = 1 ORDER BY key"))

    def facts(self, **options: Any) -> Facts:
        return now(self.replica.facts(**options))

    def checkpoint(self, other: Side) -> int:
        """How far this node has read the other's feed."""
        peer = self.facts(actor=other.actor).peer
        assert peer is not None
        return peer.checkpoint

    def _one(self, sql: str) -> Any:
        return self.connection.execute(sql).fetchone()[0]


class _Small(Replica):
    """A replica that reads its feed in small batches."""

    def __init__(self, node: _Instant, records_max: int) -> None:
        super().__init__(node)
        self._small = (node, records_max)

    async def read(self, start, held):
        from holdfast.engine.storage.feed import read_batch

        node, records_max = self._small
        return await node.run(read_batch, start=start, held=held, records_max=records_max)


@dataclass
class Exchange:
    """One exchange by hand: what the initiator says, what the responder answers, cut wherever one likes.

    Attributes:
        said, answered: The messages of each side that arrived.
        errors: What a side failed with.
    """

    initiator: Initiator
    said: list[Message] = field(default_factory=list)
    answered: list[Message] = field(default_factory=list)


def perform(side: Side, session: Initiator | Responder, effects: list[Effect]) -> list[Message]:
    """Carry effects out against the storage; gives the messages to be sent."""
    queue, messages = list(effects), []
    while queue:
        effect = queue.pop(0)
        if isinstance(effect, Send):
            messages.append(effect.message)
        elif isinstance(effect, Fail):
            raise effect.error
        else:
            queue[:0] = _do(side.replica, session, effect)
    return messages


def _do(replica: Replica, session: Any, effect: Effect) -> list[Effect]:  # noqa: PLR0911 - one line an effect
    match effect:
        case Recall(feed, checkpoint, stretch):
            return session.recalled(now(replica.gave(feed, checkpoint, stretch)))
        case Introduce(actor, Recall(feed, checkpoint, stretch)):
            facts, gave = now(replica.introduce(actor, feed, checkpoint, stretch))
            return session.introduced(facts, gave=gave)
        case Meet(peer, head):
            now(replica.meet(peer, head))
        case Unite(theirs, they_hold):
            now(replica.unite(theirs, they_hold=they_hold))
        case Renew(reason, of, peer):
            now(replica.renew(reason, of=of, peer=peer))
        case Apply(batch, actor):
            return session.applied(batch, now(replica.apply(batch, actor, follows=session.unbroken)))
        case Acknowledge(actor, feed, checkpoint, stretch, ticket, told, taken):
            now(replica.acknowledged(actor, feed, checkpoint, stretch, ticket, told=told, taken=taken))
        case IssueTicket(actor, shown):
            return session.ticketed(now(replica.issue_ticket(actor, shown)))
        case Read(start, held):
            now(replica.share())
            return session.fed(now(replica.read(start, held)))
        case ReadWhole(places):
            now(replica.share())
            return session.fed(now(replica.read_whole(places)))
        case _:
            raise AssertionError(effect)
    return []


def begin(node: Side, *, wants: Places = (), owes: Places = (), whole_vector: bool = False) -> Initiator:
    """The initiator of the next exchange of a node with the hub."""
    now(node.replica.share())
    return Initiator(now(node.replica.facts(url=HUB)), HUB, wants, owes, whole_vector)


def exchange(
    node: Side,
    hub: Side,
    session: Initiator | None = None,
    *,
    rights: str = "rw",
    said_max: int | None = None,
    answered_max: int | None = None,
) -> Exchange:
    """One exchange; of each side's messages only so many arrive before the way is cut."""
    result = Exchange(session or begin(node))
    responder = Responder(rights)
    answers: list[Message] = []
    for message in perform(node, result.initiator, result.initiator.opening())[:said_max]:
        result.said.append(message)
        if not responder.stopped:
            answers += perform(hub, responder, responder.receive(message))
    if said_max is None:  # a request that was cut is not answered
        answers += perform(hub, responder, responder.finish())
        answers += perform(hub, responder, responder.close())
    for message in answers[:answered_max]:
        result.answered.append(message)
        perform(node, result.initiator, result.initiator.receive(message))
        if result.initiator.renewed:
            break
    return result


def sync(node: Side, hub: Side, *, rights: str = "rw", exchanges_max: int = 60) -> list[Exchange]:
    """Exchanges until both have drained."""
    done: list[Exchange] = []
    wants: Places = ()
    owes: Places = ()
    whole = False
    for _ in range(exchanges_max):
        done.append(exchange(node, hub, begin(node, wants=wants, owes=owes, whole_vector=whole), rights=rights))
        session = done[-1].initiator
        wants, owes, whole = session.next_wants, session.next_owes, session.next_whole_vector
        pushed = session.pushed or rights != "rw"
        if not (session.renewed or wants or owes or whole) and session.pulled and pushed:
            return done
    raise AssertionError("the sync does not end")


def assert_equal(*sides: Side) -> None:
    """All hold the same cells and have taken in the same."""
    assert len({side.digest for side in sides}) == 1, [side.docs() for side in sides]
    assert all(side.vector == sides[0].vector for side in sides), [side.vector for side in sides]
    assert all(side.whole for side in sides)
