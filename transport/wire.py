"""The wire format: messages to frames and back, without any link.

Every message is one flat payload (see `payload`), by position: a later version appends items, and this one ignores
what it does not know. A payload above the limit of a frame is cut into parts, which are joined before anything in
them is read. It must not know what a session does with a message. Invariant: whatever bytes come in, what goes out is
a valid message or a `ProtocolError`, and a connection holds at most one unfinished message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, assert_never

from holdfast.clocks import Actor, SpaceId, VersionVector
from holdfast.clocks.identity import ACTOR_BYTES, SPACE_BYTES
from holdfast.clocks.vector import FINGERPRINT_BYTES
from holdfast.engine.delta import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, FEED_BYTES, FeedId
from holdfast.engine.membership import ALIASES_MAX
from holdfast.engine.storage.absence import BUCKETS, HASH_BYTES
from holdfast.errors import FrameTooLarge, IncompatibleProtocol, MalformedFrame

from .batch import (
    KEY_BYTES,
    NAME_BYTES_MAX,
    TABLE_BYTES_MAX,
    batch_items,
    patch_item,
    read_batch,
    read_patch,
    read_stretch,
    read_vector,
    vector_items,
)
from .columns import pack_integers, pack_steps, pack_texts, read_integers, read_steps, read_texts
from .frame import FRAME_RAW_BYTES_MAX, FrameReader, FrameType, encode_frame
from .messages import (
    PROTOCOL_VERSION,
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
from .parts import compare_items, ranges_items, read_compare, read_ranges
from .payload import PayloadReader, Scalar, pack
from .seating import decision_items, read_decision, read_seats

DIGEST_BYTES: Final = 8
MESSAGE_BYTES_MAX: Final = BATCH_BYTES_MAX + 8 * 1024 * 1024
"""Payload of one message over all its parts: the largest batch, with its tables and columns of numbers."""

TICKET_BYTES_MAX: Final = 256
"""Bytes of a session ticket: room for a signed one."""

FEATURES_MAX: Final = 256
CLASSES_MAX: Final = 256

REASON_BYTES_MAX: Final = 64 * 1024
"""Bytes of each text of a refusal."""

RIGHTS: Final = ("rw", "r")


def encode(message: Message, *, level: int = 3) -> list[bytes]:
    """Return the frames that carry `message`, in their order.

    Args:
        message: The message; its fields must be within the limits of this module and of `batch`.
        level: zstd level: 3 live, 9 for what is kept, 19 for what is cached.
    """
    type_, items = _items(message)
    payload = pack(items)
    assert len(payload) <= MESSAGE_BYTES_MAX, f"a {type_.name} of {len(payload)} bytes is above {MESSAGE_BYTES_MAX}"
    parts = [payload[at : at + FRAME_RAW_BYTES_MAX] for at in range(0, len(payload), FRAME_RAW_BYTES_MAX)]
    frames = [encode_frame(type_, part, more=True, level=level) for part in parts[:-1]]
    return [*frames, encode_frame(type_, parts[-1], level=level)]


class Decoder:
    """Turns the bytes of one connection into messages, however the link cut them.

    After an error it is of no further use: end the session.
    """

    __slots__ = ("_frames", "_joined", "_type")

    def __init__(self) -> None:
        self._frames = FrameReader()
        self._joined = bytearray()
        self._type: FrameType | None = None

    @property
    def idle(self) -> bool:
        """Whether the bytes so far end with a whole message; a link that ends elsewhere was cut."""
        return self._frames.idle and self._type is None

    def add(self, data: bytes) -> None:
        """Take a chunk of bytes."""
        self._frames.feed(data)

    def ahead(self) -> int | None:
        """Return how many bytes of payload the next step looks at, None where bytes are still missing for one.

        Raises:
            MalformedFrame, FrameTooLarge, IncompatibleProtocol: as `step`.
        """
        header = self._frames.ahead()
        return None if header is None else header.raw_length + (0 if header.more else len(self._joined))

    def step(self) -> Message | None:
        """Read one frame; return the message that it completes, None if it completes none.

        One at a time, because a small hostile chunk can hold many frames that expand.

        Raises:
            MalformedFrame: the bytes are no frames, or parts of different messages are mixed.
            FrameTooLarge: a frame or a message announces or reaches more than the limits.
            MalformedMessage: a field is missing, of another type or out of range; MalformedVector: of a vector.
            IncompatibleProtocol: the peer speaks another version.
        """
        frame = self._frames.next()
        if frame is None:
            return None
        if self._type is None and not frame.more:
            return _read(frame.type, frame.payload)
        self._join(frame.type, frame.payload)
        self._type = frame.type
        if frame.more:
            return None
        payload, self._joined, self._type = self._joined, bytearray(), None
        return _read(frame.type, payload)

    def _join(self, type_: FrameType, part: bytes) -> None:
        if self._type is not None and type_ is not self._type:
            raise MalformedFrame(
                f"a {type_.name} stands among the parts of a {self._type.name}",
                subject="frame",
                remedy="The session ends; if the peer repeats it, update the peer.",
            )
        if len(self._joined) + len(part) > MESSAGE_BYTES_MAX:
            raise FrameTooLarge(
                f"the parts of a {type_.name} have more than {MESSAGE_BYTES_MAX} bytes",
                subject="frame",
                remedy="The session ends; the peer must send smaller batches.",
            )
        self._joined += part


def _items(message: Message) -> tuple[FrameType, Iterator[Scalar]]:
    match message:
        case Hello():
            found = FrameType.HELLO, _hello_items(message)
        case Batch():
            found = FrameType.BATCH, batch_items(message)
        case Ack():
            items = (bytes.fromhex(message.feed), message.checkpoint, message.ticket, message.taken, message.stretch)
            found = FrameType.ACK, iter(items)
        case NeedWhole():
            found = FrameType.NEED_WHOLE, _need_whole_items(message)
        case NeedVector():
            found = FrameType.NEED_VECTOR, iter(())
        case Keys():
            found = FrameType.KEYS, iter((message.sums, patch_item(message.fence), message.asked))
        case Absent():
            found = FrameType.ABSENT, _absent_items(message)
        case Refuse():
            found = FrameType.REFUSE, iter((message.code, message.message, message.subject, message.remedy))
        case Compare(spans):
            found = FrameType.COMPARE, compare_items(spans)
        case Ranges(parts):
            found = FrameType.RANGES, ranges_items(parts)
        case _:
            assert_never(message)
    return found


def _read(type_: FrameType, payload: bytes | bytearray) -> Message:
    reader = PayloadReader(payload, type_.name.lower())
    message = _READERS[type_](reader)
    reader.finish()
    return message


def _hello_items(hello: Hello) -> Iterator[Scalar]:
    # The version is first: a peer of any later version can be told which one is spoken here.
    yield hello.version
    yield from (len(hello.features), *pack_texts(hello.features))
    yield from (hello.space_name, bytes.fromhex(hello.space), bytes.fromhex(hello.actor), hello.label)
    yield from (bytes.fromhex(hello.feed), hello.head, *vector_items(hello.vector), bytes.fromhex(hello.peer_feed))
    classes = sorted(hello.checkpoints)
    lsns = list(map(hello.checkpoints.__getitem__, classes))
    yield from (len(classes), pack_integers(classes), pack_integers(lsns))
    yield from (bytes.fromhex(hello.held_of), hello.held, hello.ticket, hello.clock_ms)
    yield from (hello.schema, hello.policy, patch_item(hello.fence), hello.rights)
    yield from (hello.holds, hello.digest, hello.lacks.encode(), hello.stretch)
    yield from (hello.bound, bytes.fromhex("".join(hello.aliases)))
    yield from decision_items(hello.decision, hello.seats)


def _read_hello(reader: PayloadReader) -> Hello:
    # Fields are read in the order of the arguments, which is the order of the items.
    return Hello(
        version=_read_version(reader),
        features=_read_features(reader),
        space_name=reader.text("space_name", NAME_BYTES_MAX),
        space=SpaceId(reader.fixed("space", 0, SPACE_BYTES).hex()),
        actor=Actor(reader.fixed("actor", ACTOR_BYTES).hex()),
        label=reader.text("label", NAME_BYTES_MAX),
        feed=FeedId(reader.fixed("feed", FEED_BYTES).hex()),
        head=reader.integer("head"),
        vector=read_vector(reader, "vector"),
        peer_feed=FeedId(reader.fixed("peer_feed", 0, FEED_BYTES).hex()),
        checkpoints=_read_checkpoints(reader),
        held_of=Actor(reader.fixed("held_of", 0, ACTOR_BYTES).hex()),
        held=reader.integer("held"),
        ticket=reader.blob("ticket", TICKET_BYTES_MAX),
        clock_ms=reader.integer("clock_ms"),
        schema=reader.fixed("schema", 0, FINGERPRINT_BYTES),
        policy=reader.fixed("policy", 0, FINGERPRINT_BYTES),
        fence=read_patch(reader, "fence"),
        rights=_read_rights(reader),
        holds=reader.fixed("holds", 0, FINGERPRINT_BYTES),
        digest=reader.fixed("digest", 0, DIGEST_BYTES),
        lacks=VersionVector.decode(reader.blob("lacks", TABLE_BYTES_MAX)),
        stretch=read_stretch(reader, "stretch"),
        bound=reader.boolean("bound"),
        aliases=_read_aliases(reader),
        decision=read_decision(reader),
        seats=read_seats(reader),
    )


def _read_aliases(reader: PayloadReader) -> tuple[SpaceId, ...]:
    ids = reader.blob("aliases", ALIASES_MAX * SPACE_BYTES)
    if len(ids) % SPACE_BYTES:
        raise reader.error("aliases", f"must be a multiple of {SPACE_BYTES} bytes")
    return tuple(SpaceId(ids[at : at + SPACE_BYTES].hex()) for at in range(0, len(ids), SPACE_BYTES))


def _read_version(reader: PayloadReader) -> int:
    version = reader.integer("version")
    if version != PROTOCOL_VERSION:
        raise IncompatibleProtocol(
            f"the peer speaks protocol version {version}, this node version {PROTOCOL_VERSION}",
            subject="hello.version",
            remedy="Update the older of the two nodes.",
        )
    return version


def _read_features(reader: PayloadReader) -> tuple[str, ...]:
    count = reader.integer("features", high=FEATURES_MAX)
    return tuple(read_texts(reader, "features", count, TABLE_BYTES_MAX, range(1, NAME_BYTES_MAX + 1)))


def _read_checkpoints(reader: PayloadReader) -> dict[int, int]:
    count = reader.integer("checkpoints", high=CLASSES_MAX)
    classes = read_integers(reader, "checkpoints", count, high=CLASSES_MAX - 1)
    checkpoints = dict(zip(classes, read_integers(reader, "checkpoints", count), strict=True))
    if len(checkpoints) != count:
        raise reader.error("checkpoints", "a priority class stands there twice")
    return checkpoints


def _read_rights(reader: PayloadReader) -> str:
    rights = reader.text("rights", NAME_BYTES_MAX)
    if rights not in RIGHTS:
        raise reader.error("rights", f"must be one of {', '.join(RIGHTS)}")
    return rights


def _ack_items(ack: Ack) -> Iterator[Scalar]:
    yield from (bytes.fromhex(ack.feed), ack.checkpoint, ack.ticket, ack.taken, ack.stretch)


def _read_ack(reader: PayloadReader) -> Ack:
    return Ack(
        feed=FeedId(reader.fixed("feed", FEED_BYTES).hex()),
        checkpoint=reader.integer("checkpoint"),
        ticket=reader.blob("ticket", TICKET_BYTES_MAX),
        taken=reader.boolean("taken"),
        stretch=read_stretch(reader, "stretch"),
    )


def _need_whole_items(need: NeedWhole) -> Iterator[Scalar]:
    assert len(need.keys) <= BATCH_RECORDS_MAX, f"{len(need.keys)} records asked for at once"
    names = list(chain.from_iterable(need.keys))
    yield from (bytes.fromhex(need.feed), len(need.keys), *pack_texts(names[::2]), *pack_texts(names[1::2]))


def _read_need_whole(reader: PayloadReader) -> NeedWhole:
    feed = FeedId(reader.fixed("feed", FEED_BYTES).hex())
    count = reader.integer("keys", high=BATCH_RECORDS_MAX)
    sizes = range(1, NAME_BYTES_MAX + 1)
    collections = read_texts(reader, "keys.collection", count, count * sizes.stop, sizes)
    keys = read_texts(reader, "keys.key", count, count * KEY_BYTES.stop, KEY_BYTES)
    return NeedWhole(feed, tuple(zip(collections, keys, strict=True)))


def _read_need_vector(_: PayloadReader) -> NeedVector:
    return NeedVector()


def _read_keys(reader: PayloadReader) -> Keys:
    sums = reader.fixed("sums", HASH_BYTES * BUCKETS)
    return Keys(sums, read_patch(reader, "fence"), reader.integer("asked"))


def _absent_items(absent: Absent) -> Iterator[Scalar]:
    yield from (*vector_items(absent.vector), patch_item(absent.fence), patch_item(absent.horizon), absent.asked)
    yield from (len(absent.buckets), *pack_steps(absent.buckets))
    yield b"".join(hashed.to_bytes(HASH_BYTES, "big") for hashed in absent.keys)


def _read_absent(reader: PayloadReader) -> Absent:
    vector, fence, horizon = read_vector(reader, "vector"), read_patch(reader, "fence"), read_patch(reader, "horizon")
    asked = reader.integer("asked")
    buckets = read_steps(reader, "buckets", reader.integer("buckets", high=BUCKETS), high=BUCKETS - 1)
    hashes = reader.blob("keys", MESSAGE_BYTES_MAX)
    if buckets != sorted(set(buckets)) or len(hashes) % HASH_BYTES:
        raise reader.error("keys", f"must be whole hashes of {HASH_BYTES} bytes in ascending buckets")
    keys = tuple(int.from_bytes(hashes[at : at + HASH_BYTES], "big") for at in range(0, len(hashes), HASH_BYTES))
    return Absent(vector=vector, fence=fence, horizon=horizon, buckets=tuple(buckets), keys=keys, asked=asked)


def _read_refuse(reader: PayloadReader) -> Refuse:
    return Refuse(
        code=reader.text("code", NAME_BYTES_MAX),
        message=reader.text("message", REASON_BYTES_MAX),
        subject=reader.text("subject", REASON_BYTES_MAX),
        remedy=reader.text("remedy", REASON_BYTES_MAX),
    )


_READERS: Final[dict[FrameType, Callable[[PayloadReader], Message]]] = {
    FrameType.HELLO: _read_hello,
    FrameType.BATCH: read_batch,
    FrameType.ACK: _read_ack,
    FrameType.NEED_WHOLE: _read_need_whole,
    FrameType.NEED_VECTOR: _read_need_vector,
    FrameType.REFUSE: _read_refuse,
    FrameType.KEYS: _read_keys,
    FrameType.ABSENT: _read_absent,
    FrameType.COMPARE: read_compare,
    FrameType.RANGES: read_ranges,
}
