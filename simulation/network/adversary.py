"""A peer without an engine, which calls honest nodes or answers them with an attack of the catalogue.

Knows nothing of engines. Invariant: it sends only what `attacks` makes from what it overheard, and takes note of what
came back; it judges nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

from holdfast.clocks import Actor
from holdfast.errors import HoldfastError
from holdfast.transport.messages import Message

from ..kernel.choices import Choices
from .attacks import Attack
from .forgery import MALLORY, Forge, Overheard, messages_of, pieces
from .network import Network


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back on an attack by call.

    Attributes:
        messages: What the victim answered.
        error: What ended the exchange, if not its end.
    """

    messages: tuple[Message, ...]
    error: HoldfastError | None


@dataclass(slots=True)
class Adversary:
    """A node of the network under some name.

    Attributes:
        network: Where it is.
        choices: Decide what is arbitrary.
        name: Under which name it is reached.
        actor: Under which identity it writes.
        answered: Answers that it gave.
        wrote_ms: When it wrote its one operation, which is the same in each answer; 0 before the first.
    """

    network: Network
    choices: Choices
    name: str = "mallory"
    actor: Actor = MALLORY
    answered: int = field(default=0, init=False)
    wrote_ms: int = field(default=0, init=False)

    async def call(self, attack: Attack, victim: str, member: str) -> Reply:
        """Attack a node with a request, knowing what `member` has said to it."""
        requests = [request.body for request in self.network.requests(member, victim) if request.complete]
        data = attack.make(self._forge(Overheard.on_the_way(requests[-1])))
        got = b""
        try:
            async for chunk in self.network.link(self.name, victim).exchange(_chunks(data)):
                got += chunk
        except HoldfastError as error:
            return Reply(tuple(messages_of(got)), error)
        return Reply(tuple(messages_of(got)), None)

    def _forge(self, heard: Overheard) -> Forge:
        forge = Forge(self.choices, heard, self.actor, wrote_ms=self.wrote_ms)
        self.wrote_ms = forge.wrote_ms
        return forge

    def listen(self, attack: Attack, name: str = "") -> None:
        """Attack whoever calls from now on; `name`: instead of the node of that name."""

        async def answer(body: AsyncIterator[bytes], _: str) -> AsyncGenerator[bytes, None]:
            request = b"".join([chunk async for chunk in body])
            heard = Overheard.at_the_door(request)
            if heard is not None:
                self.answered += 1
                for piece in pieces(attack.make(self._forge(heard))):
                    yield piece

        self.network.register(name or self.name, answer)


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for piece in pieces(data):
        yield piece
