"""Who purges and who takes part, on the wire: items of a hello.

Knows nothing of frames or storage. Invariant: an actor stands in the list once; a member that counts has no time since
when it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from holdfast.clocks import Actor
from holdfast.clocks.identity import ACTOR_BYTES
from holdfast.clocks.vector import FINGERPRINT_BYTES
from holdfast.engine.storage.roster import Decision, Seat

from .batch import NAME_BYTES_MAX, TABLE_BYTES_MAX, TABLE_ENTRIES_MAX
from .columns import pack_blobs, pack_integers, pack_texts, read_blobs, read_integers, read_texts
from .payload import PayloadReader, Scalar


def decision_items(decision: Decision, seats: tuple[Seat, ...]) -> Iterator[Scalar]:
    """Yield the items that carry a decision and the members."""
    yield from (decision.term, decision.number, bytes.fromhex(decision.authority))
    yield from (len(seats), bytes.fromhex("".join(seat.actor for seat in seats)))
    yield from pack_texts([seat.label for seat in seats])
    yield pack_integers([seat.heard_ms for seat in seats])
    yield pack_integers([0 if seat.out_ms is None else seat.out_ms + 1 for seat in seats])
    yield from pack_blobs([seat.out_at for seat in seats])


def read_decision(reader: PayloadReader) -> Decision:
    """Read the decision that `decision_items` wrote."""
    term, number = reader.integer("decision.term"), reader.integer("decision.number")
    return Decision(term, number, Actor(reader.fixed("decision.authority", 0, ACTOR_BYTES).hex()))


def read_seats(reader: PayloadReader) -> tuple[Seat, ...]:
    """Read the members that `decision_items` wrote."""
    count = reader.integer("seats", high=TABLE_ENTRIES_MAX)
    names = reader.fixed("seats", count * ACTOR_BYTES).hex()
    actors = [names[at : at + _NAME] for at in range(0, len(names), _NAME)]
    labels = read_texts(reader, "seats.label", count, TABLE_BYTES_MAX, range(NAME_BYTES_MAX + 1))
    heard = read_integers(reader, "seats.heard_ms", count)
    out = read_integers(reader, "seats.out_ms", count)
    known = read_blobs(reader, "seats.out_at", count, count * FINGERPRINT_BYTES)
    if len({*actors}) != count:
        raise reader.error("seats", "a member stands there twice")
    rows = zip(actors, labels, heard, out, known, strict=True)
    return tuple(
        Seat(actor=Actor(actor), label=label, heard_ms=ms, out_ms=since - 1 if since else None, out_at=at)
        for actor, label, ms, since, at in rows
    )


_NAME: Final = 2 * ACTOR_BYTES
