"""Encodes and decodes messages without holding up the event loop: a large one is the work of a thread.

Knows nothing of sessions or links. Invariants: messages keep their order, because the next one is begun when the one
before is done; whoever is cancelled meanwhile leaves a thread that finishes on values which nobody else looks at.
"""

from __future__ import annotations

import asyncio
from typing import Final

from .messages import (
    Absent,
    Ack,
    Batch,
    Compare,
    Hello,
    Keys,
    Message,
    NeedVector,
    NeedWhole,
    Ranges,
    Refuse,
)
from .wire import Decoder, encode

INLINE_BYTES_MAX: Final = 64 * 1024
"""Payload up to which a message is encoded or decoded on the event loop: 0.5 to 0.6 ms each. A thread costs 0.07."""

_RECORD_BYTES: Final = 16
"""What a record takes beside its key, document and cells, and an entry of a vector or a name: roughly."""


async def encoded(message: Message) -> list[bytes]:
    """The frames that carry `message`, in their order."""
    if _size(message) <= INLINE_BYTES_MAX:
        return encode(message)
    return await asyncio.to_thread(encode, message)


async def next_message(decoder: Decoder) -> Message | None:
    """The next message out of what `decoder` was given; None where bytes of it are still missing.

    Raises:
        ProtocolError: As `Decoder.step`; the decoder is then of no further use, nor if this was cancelled.
    """
    while (size := decoder.ahead()) is not None:
        if size > INLINE_BYTES_MAX:
            message = await asyncio.to_thread(decoder.step)
        else:
            message = decoder.step()
            await asyncio.sleep(0)  # a chunk may hold many
        if message is not None:
            return message
    return None


def _size(message: Message) -> int:
    """Bytes of payload, roughly."""
    match message:
        case Batch():
            entries = len(message.vector.entries) + sum(map(len, message.delta.contexts)) + len(message.delta)
            return message.delta.size() + _RECORD_BYTES * entries
        case Hello():
            return _RECORD_BYTES * len(message.vector.entries)
        case NeedWhole() | Absent():
            return _RECORD_BYTES * len(message.keys)
        case Compare():
            return _RECORD_BYTES * len(message.spans)
        case Ranges():
            return _RECORD_BYTES * sum(map(len, message.parts.spans))
        case Ack() | NeedVector() | Keys() | Refuse():
            return 0
