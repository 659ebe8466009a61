"""Makes what an adversary sends: frames and messages that are well-formed where they should be, and broken by design.

Knows nothing of engines: only what a member overhears. Invariant: everything follows from what was overheard and from
choices; nothing here checks what it makes, because whoever receives it has to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from holdfast.clocks import Actor, Timestamp, VersionVector
from holdfast.engine.delta import NO_STRETCH, Delta, FeedId
from holdfast.errors import HoldfastError
from holdfast.transport.messages import Ack, Batch, Hello, Message, VectorNote
from holdfast.transport.wire import Decoder, encode

from ..kernel.choices import Choices

STREAM: Final = "adversary"

MALLORY: Final = Actor("66" * 16)
"""The identity of an adversary that needs no other."""


def stranger(number: int, life: int = 1) -> Actor:
    """The identity of one of many adversaries, in one of its lives.

    All stand together, and differ from all honest ones.
    """
    return Actor(f"{'66' * 4}{number:08x}{'66' * 4}{life:08x}")


def feed_of(actor: Actor) -> FeedId:
    """The feed of an adversary: as every node's, another for each identity."""
    return FeedId(actor[8:16] + actor[24:])


FAR: Final = 10**9
"""A sequence number that no honest node has reached."""


def messages_of(data: bytes) -> list[Message]:
    """The messages at the start of some bytes, up to what cannot be read."""
    found: list[Message] = []
    with suppress(HoldfastError):  # an adversary takes what it can get
        decoder = Decoder()
        decoder.add(data)
        while decoder.ahead() is not None:
            message = decoder.step()
            if message is not None:
                found.append(message)
    return found


def hello_of(request: bytes) -> Hello | None:
    """The hello that a request begins with."""
    first = next(iter(messages_of(request)), None)
    return first if isinstance(first, Hello) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overheard:
    """What the adversary knows of the node that it attacks.

    Attributes:
        hello: Of an honest member: overheard on its way to the victim, or said by the victim itself.
        request: The bytes that began with it.
        victim, victim_feed: Whom the adversary attacks.
        bystander: An honest identity that is not the victim's, and a number at or behind its last operation.
        answering: The victim has called, and waits for an answer.
    """

    hello: Hello
    request: bytes
    victim: Actor
    victim_feed: FeedId
    bystander: tuple[Actor, int]
    answering: bool = False

    @classmethod
    def on_the_way(cls, request: bytes) -> Overheard:
        """From a request to the victim of a member that knows it."""
        hello = hello_of(request)
        assert hello is not None, "an honest request begins with a hello"
        assert hello.held_of, "its sender must have met the victim before"
        # Every operation takes a number of the feed, so the number is not below the last operation.
        bystander = (hello.actor, hello.head)
        return cls(hello=hello, request=request, victim=hello.held_of, victim_feed=hello.peer_feed, bystander=bystander)

    @classmethod
    def at_the_door(cls, request: bytes) -> Overheard | None:
        """From a request of the victim itself."""
        hello = hello_of(request)
        if hello is None:
            return None
        others = [(actor, seq) for actor, seq in hello.vector.entries.items() if actor != hello.actor]
        bystander = max(others, default=(Actor("0b" * 16), 1))
        return cls(
            hello=hello,
            request=request,
            victim=hello.actor,
            victim_feed=hello.feed,
            bystander=bystander,
            answering=True,
        )


@dataclass(slots=True)
class Forge:
    """Makes messages that a member could send, with whatever is to be wrong about them.

    Attributes:
        choices: Decide what is arbitrary.
        heard: What the adversary knows.
        actor, feed: The identity under which it goes; no feed: that identity's own.
        wrote_ms: When it wrote its one operation; 0: now, by the clock of whom it overheard.
        vector: What its hello claims to have taken in.
    """

    choices: Choices
    heard: Overheard
    actor: Actor = MALLORY
    feed: FeedId = FeedId("")
    wrote_ms: int = 0
    vector: VersionVector = field(init=False)

    def __post_init__(self) -> None:
        self.feed = self.feed or feed_of(self.actor)
        self.wrote_ms = self.wrote_ms or self.heard.hello.clock_ms
        self.vector = VersionVector({self.actor: 1})

    def hello(self, **changes: Any) -> Hello:  # noqa: ANN401 - fields of Hello
        """A hello that would be believed."""
        heard = self.heard.hello
        plain = Hello(
            space_name=heard.space_name,
            space=heard.space,
            actor=self.actor,
            label="mallory",
            feed=self.feed,
            head=1,
            vector=VectorNote(b"", self.vector),
            peer_feed=self.heard.victim_feed,
            checkpoints={0: 0},
            held_of=self.heard.victim,
            held=0,
            clock_ms=heard.clock_ms,
            lacks=self.vector,
        )
        return _assuming_nothing(replace(plain, **changes), changes)

    def talk(self, *messages: Message, **changes: Any) -> bytes:  # noqa: ANN401 - fields of Hello
        """What a member says: its hello, these messages and, in an answer, that it has taken in what it was sent."""
        acks = (self.ack(),) if self.heard.answering else ()
        return frames(self.hello(**changes), *messages, *acks)

    def stolen(self, **changes: Any) -> Hello:  # noqa: ANN401 - fields of Hello
        """The hello that was overheard, changed."""
        return _assuming_nothing(replace(self.heard.hello, **changes), changes)

    def record(self, **changes: Any) -> Delta:  # noqa: ANN401 - fields of Delta
        """One plain record, `t/forged`, that the adversary's own identity wrote."""
        plain = Delta(
            actors=(self.actor,),
            labels=("mallory",),
            collections=("t",),
            collection=[0],
            key=["forged"],
            actor=[0],
            seq=[1],
            clock=[self.clock()],
            flags=[1],
            doc=[json.dumps({"by": "mallory"}, separators=(",", ":"))],
        )
        return replace(plain, **changes)

    def celled(self, cells: bytes, doc: str = '{"by":"mallory"}') -> Delta:
        """One record with these packed cells."""
        return self.record(actor=[-1], seq=[0], clock=[0], flags=[0], doc=[doc], cells={0: cells})

    def batch(self, delta: Delta | None = None, *, claims: VersionVector | None = None, **changes: Any) -> Batch:  # noqa: ANN401 - fields of Batch
        """A drained batch of the adversary's feed; `claims`: what its vector says beyond the hello's."""
        heard = self.heard.hello
        start = heard.checkpoints.get(0, 0) if self.heard.answering and heard.peer_feed == self.feed else 0
        note = VectorNote(self.vector.fingerprint(), claims or VersionVector({}))
        delta = delta or self.record()
        plain = Batch(feed=self.feed, start=start, end=max(start, 1), drained=True, vector=note, delta=delta)
        return replace(plain, **changes)

    def ack(self, **changes: Any) -> Ack:  # noqa: ANN401 - fields of Ack
        """An acknowledgement of all that the victim has."""
        sent = [message for message in messages_of(self.heard.request) if isinstance(message, Batch)]
        plain = Ack(
            feed=self.heard.victim_feed,
            checkpoint=self.heard.hello.head,
            ticket=b"mallory!",
            taken=True,
            stretch=sent[-1].end_stretch if sent else NO_STRETCH,
        )
        return replace(plain, **changes)

    def clock(self, ahead_ms: int = 0) -> Timestamp:
        """The stamp of its operation, or a later one."""
        return Timestamp(self.wrote_ms + ahead_ms << 16)

    def as_bystander(self) -> Forge:
        """The same adversary under the name of an honest node."""
        actor, seq = self.heard.bystander
        other = Forge(self.choices, self.heard, actor, self.feed)
        other.vector = VersionVector({actor: seq + 1})
        return other

    def some(self, size: int) -> bytes:
        """Arbitrary bytes."""
        return bytes(self.choices.draw(STREAM, 256) for _ in range(size))


def _assuming_nothing(hello: Hello, changes: Mapping[str, object]) -> Hello:
    """A vector that was changed is not said to have been told by the victim, unless that is what was changed."""
    return replace(hello, lacks=hello.vector.entries) if "vector" in changes and "lacks" not in changes else hello


def frames(*messages: Message) -> bytes:
    """The frames of some messages, behind each other."""
    return b"".join(frame for message in messages for frame in encode(message))


def pieces(data: bytes, size: int = 64 * 1024) -> Iterator[bytes]:
    """Some bytes in parts, as a link takes them."""
    for at in range(0, len(data), size):
        yield data[at : at + size]
