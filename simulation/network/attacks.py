"""The catalogue of attacks: what an adversary sends, and what it must not achieve, as data.

An attack is one request or one answer. Operations are not signed yet, so whoever is a member may claim what it likes
under any name; where such a claim misleads honest nodes the entry says so instead of hiding it. Knows nothing of
engines. Invariant: whatever an entry allows, honest nodes stay up, their files verify, and what they wrote stays.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgpack
import zstandard

from holdfast.clocks import SpaceId, VersionVector
from holdfast.engine.delta import Delta, FeedId
from holdfast.transport.frame import FRAME_RAW_BYTES_MAX, FrameType, encode_frame
from holdfast.transport.messages import NeedVector, NeedWhole, Refuse, VectorNote

from ..kernel.choices import between
from .forgery import FAR, STREAM, Forge, frames


class Outcome(Enum):
    """What may come of an attack.

    Attributes:
        UNAFFECTED: Honest nodes hold and believe exactly what they did, whether they refused it or not.
        REFUSED: As UNAFFECTED, and the exchange must end with a refusal or an error of the tree.
        REPORTED: Nothing is taken in; the victim's status names a record that could not be joined.
        WRITTEN: What any member may do: the record is taken in, and honest nodes agree on it.
        RENEWED: An honest node begins a new incarnation without need; its operations stay, under new names.
        MISLED: Forged claims about others are believed until operations are signed; `why` says how far that goes.
    """

    UNAFFECTED = "unaffected"
    REFUSED = "refused"
    REPORTED = "reported"
    WRITTEN = "written"
    RENEWED = "renewed"
    MISLED = "misled"


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack.

    Attributes:
        name: What it is called.
        make: The bytes of the request or answer.
        called, answered: What may come of it when the adversary calls, and when it answers; None: it makes no sense.
        why: What makes that so.
    """

    name: str
    make: Callable[[Forge], bytes]
    called: Outcome | None
    answered: Outcome | None
    why: str


# ------------------------------------------------------------------------------------------------------------ bytes


def _member(forge: Forge) -> bytes:
    """What an ordinary member would send: the raw material."""
    return forge.talk(forge.batch())


def _mutated(forge: Forge) -> bytes:
    # Not in an acknowledgement behind them: what was whole before it is a member's.
    data = bytearray(frames(forge.hello(), forge.batch()))
    at = between(forge.choices, STREAM, 0, len(data) - 1)
    data[at] ^= 1 + forge.choices.draw(STREAM, 255)
    return bytes(data)


def _truncated(forge: Forge) -> bytes:
    data = _member(forge)
    return data[: between(forge.choices, STREAM, 1, len(frames(forge.hello())) - 1)]


def _garbage(forge: Forge) -> bytes:
    return forge.some(400)


def _raw_frame(kind: FrameType, flags: int, raw: int, body: bytes, announced: int | None = None) -> bytes:
    prefix = struct.pack(">2sBBBBHII", b"HF", 1, kind, flags, 0, 0, raw, len(body) if announced is None else announced)
    return prefix + struct.pack(">I", zlib.crc32(body, zlib.crc32(prefix))) + body


def _oversized(forge: Forge) -> bytes:
    return frames(forge.hello()) + _raw_frame(FrameType.BATCH, 0, 2**32 - 1, b"x" * 100, 2**32 - 1)


def _bomb(forge: Forge) -> bytes:
    body = zstandard.ZstdCompressor().compress(bytes(2 * FRAME_RAW_BYTES_MAX))
    return frames(forge.hello()) + _raw_frame(FrameType.BATCH, 1, FRAME_RAW_BYTES_MAX, body)


def _bomb_of_parts(forge: Forge) -> bytes:
    part = encode_frame(FrameType.BATCH, forge.some(8_192) * (FRAME_RAW_BYTES_MAX // 8_192), more=True)
    return frames(forge.hello()) + part * 9


def _deep_payload(forge: Forge) -> bytes:
    return frames(forge.hello()) + encode_frame(FrameType.BATCH, b"\x91" * 100_000 + b"\xc0")


def _future_version(_: Forge) -> bytes:
    return encode_frame(FrameType.HELLO, msgpack.packb([99, 0, None, b""]))


# ------------------------------------------------------------------------------------------------------- the session


def _without_hello(forge: Forge) -> bytes:
    return frames(forge.batch())


def _ack_first(forge: Forge) -> bytes:
    return frames(forge.ack(), forge.hello(), forge.batch())


def _foreign_batch(forge: Forge) -> bytes:
    return frames(forge.hello(), forge.batch(feed=FeedId("99" * 8)))


def _unknown_base(forge: Forge) -> bytes:
    return frames(forge.hello(), forge.batch(vector=VectorNote(b"unknown!", VersionVector({}))))


def _wrong_space(forge: Forge) -> bytes:
    return frames(forge.hello(space=SpaceId("99" * 16)), forge.batch())


def _wrong_space_name(forge: Forge) -> bytes:
    return frames(forge.hello(space_name="another", space=SpaceId("99" * 16)), forge.batch())


def _asks_for_everything(forge: Forge) -> bytes:
    keys = tuple(("t", f"no-such-{n}") for n in range(10_000))
    return frames(forge.hello(), NeedWhole(forge.heard.victim_feed, keys))


def _need_vector(forge: Forge) -> bytes:
    return frames(forge.hello(), NeedVector())


def _never_acknowledges(forge: Forge) -> bytes:
    return frames(forge.hello(), forge.batch())


def _never_drained(forge: Forge) -> bytes:
    return frames(forge.hello(), forge.batch(drained=False, start=5, end=9))


# ---------------------------------------------------------------------------------------------------------- records


def _deep_document(forge: Forge) -> bytes:
    doc = '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"
    return forge.talk(forge.batch(forge.record(doc=[doc])))


def _no_json(forge: Forge) -> bytes:
    return forge.talk(forge.batch(forge.record(doc=["{no json"])))


def _no_object(forge: Forge) -> bytes:
    return forge.talk(forge.batch(forge.record(doc=["[1,2]"])))


def _illegal_key(forge: Forge) -> bytes:
    return forge.talk(forge.batch(forge.record(collections=("no such\x00name",))))


def _broken_cells(forge: Forge) -> bytes:
    return forge.talk(forge.batch(forge.celled(b"\xc1broken")))


def _broken_stamps(forge: Forge) -> bytes:
    shape = msgpack.packb(([1], {"by": 0}))
    return forge.talk(forge.batch(forge.celled(msgpack.packb([shape, 7, -1, "x", 0]))))


def _future_clock(forge: Forge) -> bytes:
    delta = forge.record(clock=[2**63 - 1])
    return forge.talk(forge.batch(delta), clock_ms=253_402_300_799_000)


# ---------------------------------------------------------------------------------------------- identities and claims


def _victim_itself(forge: Forge) -> bytes:
    return frames(forge.hello(actor=forge.heard.victim), forge.batch())


def _bystander_without_ticket(forge: Forge) -> bytes:
    other = forge.as_bystander()
    hello = other.hello(peer_feed=FeedId(""), held_of=forge.heard.victim, checkpoints={})
    return frames(hello)


def _bystander_with_another_ticket(forge: Forge) -> bytes:
    return frames(forge.stolen(ticket=forge.some(12), vector=VectorNote(b"", VersionVector({forge.actor: 1}))))


def _replayed(forge: Forge) -> bytes:
    return forge.heard.request


def _holds_more(forge: Forge) -> bytes:
    return forge.talk(held=FAR)


def _assumes_more(forge: Forge) -> bytes:
    return forge.talk(vector=VectorNote(b"", VersionVector({forge.heard.victim: FAR})), lacks=VersionVector({}))


def _asks_to_renew(_: Forge) -> bytes:
    return frames(Refuse(code="renew-identity", message="because I say so"))


def _acknowledges_too_much(forge: Forge) -> bytes:
    return forge.talk(forge.batch(), forge.ack(checkpoint=2**62))


def _holds_everything(forge: Forge) -> bytes:
    everything = VersionVector({forge.actor: 1, forge.heard.victim: FAR, forge.heard.bystander[0]: FAR})
    return forge.talk(vector=VectorNote(b"", everything))


def _claims_the_future_of_others(forge: Forge) -> bytes:
    return forge.talk(forge.batch(claims=VersionVector({forge.heard.bystander[0]: FAR})))


def _beyond_the_feed(forge: Forge) -> bytes:
    hub, feed = forge.heard.hello.held_of, forge.heard.hello.peer_feed
    if not hub:
        return frames(forge.hello())
    batch = forge.batch(Delta(), feed=feed, start=forge.heard.hello.checkpoints.get(0, 0), end=2**61)
    return forge.talk(batch, actor=hub, feed=feed, head=2**61)


def _forged_operation(forge: Forge) -> bytes:
    actor, seq = forge.heard.bystander
    delta = forge.record(actors=(actor,), labels=("",), seq=[seq + 3])
    return forge.talk(forge.batch(delta, claims=VersionVector({actor: seq + 3})))


def _operation_beyond_the_vector(forge: Forge) -> bytes:
    actor, seq = forge.heard.bystander
    return forge.talk(forge.batch(forge.record(actors=(actor,), labels=("",), seq=[seq + 3])))


def _forged_operation_of_the_victim(forge: Forge) -> bytes:
    victim = forge.heard.victim
    delta = forge.record(actors=(victim,), labels=("",), seq=[FAR])
    return forge.talk(forge.batch(delta, claims=VersionVector({victim: FAR})))


_CHECKSUM = "the frame's header or checksum does not fit"
_MEMBER = "a member may write, and this is its own operation"
_LIMIT = "a limit is met before anything is allocated"
_TURN = "no session has this message at this place"
_HOLE = "one record cannot be joined; the others can"
_GIVES_UP = "the record is a member's; the session gives up without progress"
_ALONE = "believed of the adversary alone"
_SIGNED = "until operations are signed a member speaks for any identity"

U, R, P, W, N, M = Outcome  # in the order in which they are declared

ATTACKS: Final = (
    Attack("ordinary member", _member, W, W, _MEMBER),
    Attack("mutated byte", _mutated, R, R, _CHECKSUM),
    Attack("truncated", _truncated, R, R, "the stream ends inside a frame"),
    Attack("garbage", _garbage, R, R, _CHECKSUM),
    Attack("oversized frame", _oversized, R, R, _LIMIT),
    Attack("zstd bomb", _bomb, R, R, _LIMIT),
    Attack("bomb of many parts", _bomb_of_parts, R, R, _LIMIT),
    Attack("deep payload", _deep_payload, R, R, "payloads are flat"),
    Attack("future version", _future_version, R, R, "another protocol version is refused"),
    Attack("no hello", _without_hello, R, R, _TURN),
    Attack("acknowledgement first", _ack_first, R, R, _TURN),
    Attack("batch of another feed", _foreign_batch, R, R, _TURN),
    Attack("vector on an unknown base", _unknown_base, R, R, "a difference is resolved against its very base only"),
    Attack("another space", _wrong_space, R, R, "spaces never mix"),
    Attack("another space's name", _wrong_space_name, R, R, "spaces never mix"),
    Attack("asks for 10,000 records that are not there", _asks_for_everything, U, R, "nothing is found"),
    Attack("never knows the base", _need_vector, R, R, "an initiator gives up after some exchanges without progress"),
    Attack("never acknowledges", _never_acknowledges, W, W, _GIVES_UP),
    Attack("never drained", _never_drained, W, W, _GIVES_UP),
    Attack("deep document", _deep_document, P, P, _HOLE),
    Attack("document that is no JSON", _no_json, P, P, _HOLE),
    Attack("document that is no object", _no_object, P, P, _HOLE),
    Attack("illegal collection", _illegal_key, P, P, _HOLE),
    Attack("broken cells", _broken_cells, P, P, _HOLE),
    Attack("broken stamps", _broken_stamps, P, P, _HOLE),
    Attack("clock far in the future", _future_clock, W, W, "stamps rank concurrent writes only, and move no clock"),
    Attack("identity of the victim", _victim_itself, R, R, "two files with one identity: one is a copy"),
    Attack("identity of another, no ticket", _bystander_without_ticket, U, None, "it is greeted, and told nothing"),
    Attack("identity of another, wrong ticket", _bystander_with_another_ticket, R, None, "the ticket shows a copy"),
    Attack("replayed request", _replayed, U, None, "nothing of it is new, and on an old ticket nothing new is given"),
    Attack("holds what was never written", _holds_more, N, N, "that is how a restored file is recognised"),
    Attack("was told what was never said", _assumes_more, N, None, "that is how a hub that was put back is recognised"),
    Attack("asks for a new identity", _asks_to_renew, U, N, "that is how a copied file is recognised"),
    Attack("acknowledges what was never sent", _acknowledges_too_much, W, W, _ALONE),
    Attack("holds everything", _holds_everything, U, R, _ALONE),
    Attack("takes in the future of others", _claims_the_future_of_others, M, M, _SIGNED),
    Attack("checkpoint beyond another's feed", _beyond_the_feed, None, M, "who poses as a hub ends what is read of it"),
    Attack("operation of another", _forged_operation, M, M, _SIGNED),
    Attack("operation beyond its batch's vector", _operation_beyond_the_vector, P, P, _HOLE),
    Attack("operation of the victim", _forged_operation_of_the_victim, N, N, "that is how a copied file is recognised"),
)
"""Every attack, from bytes to claims."""

_ENDLESS: Final = frozenset({"never knows the base", "never acknowledges", "never drained", "identity of the victim"})
"""What keeps an initiator busy for ever, or leaves records that wait for ever: for laboratories."""

IN_WORLDS: Final = tuple(
    attack for attack in ATTACKS if M not in (attack.called, attack.answered) and attack.name not in _ENDLESS
)
"""What a world must survive with every promise kept: all but what misleads until operations are signed."""
