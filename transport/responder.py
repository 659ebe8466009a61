"""Answers one exchange: reads the frames of a request, drives the session, yields the frames of the answer.

Knows nothing of HTTP; any link that gives chunks of bytes will do. Invariants: the answer begins only when the request
has been read, so a link need not be full duplex; what was acknowledged is durable.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from holdfast.engine.replica import Replica
from holdfast.errors import HoldfastError, LinkCut, ProtocolError

from .effects import Adopt, Apply, Effect, Fail, Introduce, IssueTicket, Meet, Read, ReadWhole, Renew, Send
from .messages import Message, Refuse
from .session import Responder
from .wire import Decoder, encode


async def respond(replica: Replica, chunks: AsyncIterator[bytes], *, rights: str) -> AsyncGenerator[bytes, None]:
    """The frames that answer an exchange.

    Args:
        replica: The node that answers.
        chunks: The bytes of the request, in any cut.
        rights: "rw", or "r": batches are then ignored, and the hello says so.

    Raises:
        ProtocolError: The peer sent what it must not; a refusal was yielded before.
        LinkCut: The request ended inside a frame.
        StorageError: The file failed.
    """
    session = Responder(rights)
    try:
        messages = await _read_request(replica, session, chunks)
        for message in messages:
            for frame in encode(message):
                yield frame
        async for message in _perform(replica, session, session.finish()):
            for frame in encode(message):
                yield frame
    except ProtocolError as error:
        for frame in encode(_refusal(error)):
            yield frame
        raise


async def _read_request(replica: Replica, session: Responder, chunks: AsyncIterator[bytes]) -> list[Message]:
    """Take in the whole request; what it calls for at once (a hello, refusals) is small."""
    decoder, answers = Decoder(), list[Message]()
    async for chunk in chunks:
        for message in decoder.feed(chunk):
            if not session.stopped:
                answers += [answer async for answer in _perform(replica, session, session.receive(message))]
    if not decoder.idle:
        raise LinkCut("the request ended inside a frame", subject="sync", remedy="The peer tries again by itself.")
    return answers


async def _perform(replica: Replica, session: Responder, effects: list[Effect]) -> AsyncIterator[Message]:
    queue = list(effects)
    while queue:
        effect = queue.pop(0)
        if isinstance(effect, Send):
            yield effect.message
        else:
            queue[:0] = await _do(replica, session, effect)


async def _do(replica: Replica, session: Responder, effect: Effect) -> list[Effect]:
    match effect:
        case Introduce(actor):
            return session.introduced(await replica.facts(actor=actor))
        case Meet(peer):
            await replica.meet(peer)
        case Adopt(space):
            await replica.adopt(space)
        case Renew(reason):
            await replica.renew(reason)
        case Apply(batch, actor, follows):
            return session.applied(batch, await replica.apply(batch, actor, follows=follows))
        case IssueTicket(actor):
            return session.ticketed(await replica.issue_ticket(actor))
        case Read(start, held):
            await replica.share()
            return session.fed(await replica.read(start, held))
        case ReadWhole(places):
            await replica.share()
            return session.fed(await replica.read_whole(places))
        case Fail(error):
            raise error
        case _:
            raise AssertionError(f"a responder has no {effect!r}")
    return []


def _refusal(error: HoldfastError) -> Refuse:
    return Refuse(code=error.code, message=error.what, subject=error.subject, remedy=error.remedy)
