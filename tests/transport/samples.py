"""One sample of every message, and Hypothesis strategies for all of them.

The golden frames in `golden/` were written from these samples, once, by

    PYTHONPATH=src python -m tests.transport.samples

which never replaces a file: a frame that a released version wrote must be readable by all later ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hypothesis import strategies as st

from holdfast.clocks import NO_DOTS, SEQ_MAX, Actor, DotRanges, SpaceId, VersionVector
from holdfast.engine.delta import NO_STRETCH, Delta, FeedId, StretchId
from holdfast.engine.ranges import WHOLE, Part, Parts, Span
from holdfast.engine.storage.roster import Decision, Seat
from holdfast.transport.messages import (
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
    VectorNote,
    VectorPatch,
)
from holdfast.transport.wire import Decoder, encode
from tests.strategies import any_actors, any_vectors

GOLDEN = Path(__file__).parent / "golden"

HUB = Actor("0a" * 16)
EDGE = Actor("7f" * 16)
FEED = FeedId("c3" * 8)
STRETCH = StretchId(b"\x5a" * 4)


def decoded(decoder: Decoder, data: bytes) -> Iterator[Message]:
    """The messages that a chunk completes, each decoded as it is asked for."""
    decoder.add(data)
    while decoder.ahead() is not None:
        message = decoder.step()
        if message is not None:
            yield message


def plain_batch(count: int) -> Batch:
    """A batch of `count` plain records of one collection, as a feed usually gives them."""
    delta = Delta(
        actors=(HUB,),
        labels=("hub",),
        collections=("tasks",),
        collection=[0] * count,
        key=[f"t{row:06}" for row in range(count)],
        actor=[0] * count,
        seq=list(range(1, count + 1)),
        clock=[(1_700_000_000_000 << 16) + 7 * row for row in range(count)],
        flags=[0] * count,
        doc=[f'{{"done":false,"title":"Task {row}"}}' for row in range(count)],
    )
    return Batch(feed=FEED, start=0, end=count, drained=False, vector=VectorNote(), delta=delta)


MIXED = Delta(
    actors=(HUB, EDGE),
    labels=("hub", ""),
    collections=("tasks", "sites"),
    contexts=(VersionVector({EDGE: 9}),),
    collection=[0, 0, 1, 0],
    key=["t1", "t2", "öst/1", "two\nlines"],
    actor=[0, -1, 1, 0],
    seq=[4, 0, 9, 5],
    clock=[(1_700_000_000_000 << 16) + 3, 0, 1_690_000_000_000 << 16, 1_700_000_000_001 << 16],
    flags=[0, 0, 1, 0],
    doc=['{"done":true}', "{}", '{"name":"Østerbro"}', '{"done":false}'],
    cells={1: b"\x01packed cells", 2: b""},
    extra={1: 0, 3: 0},
    forgotten=(DotRanges({EDGE: ((1, 4), (7, 9))}), NO_DOTS),
    returned={1: 1, 2: 0},
)

SAMPLES: dict[str, Message] = {
    "hello": Hello(
        features=("zstd-dictionary",),
        space_name="plant",
        space=SpaceId("5e" * 16),
        actor=EDGE,
        label="pump-7",
        feed=FEED,
        head=1200,
        vector=VectorNote(b"\x11" * 8, VersionVector({EDGE: 1200, HUB: 7})),
        peer_feed=FeedId("d4" * 8),
        checkpoints={0: 88, 1: 90},
        held_of=HUB,
        held=7,
        ticket=b"ticket",
        clock_ms=1_700_000_000_000,
        schema=b"\x22" * 8,
        policy=b"\x33" * 8,
        fence=VectorPatch(VersionVector({HUB: 2})),
        rights="r",
        lacks=VersionVector({EDGE: 12}),
        stretch=STRETCH,
        bound=True,
        aliases=(SpaceId("5f" * 16), SpaceId("60" * 16)),
        decision=Decision(2, 7, HUB),
        seats=(
            Seat(actor=HUB, label="hub", heard_ms=0),
            Seat(actor=EDGE, label="", heard_ms=1_700_000_000_000, out_ms=1_700_000_000_001, out_at=b"\x44" * 8),
        ),
    ),
    "batch": Batch(
        feed=FEED,
        start=88,
        end=92,
        drained=True,
        vector=VectorNote(b"\x11" * 8, VersionVector({HUB: 9})),
        delta=MIXED,
        start_stretch=STRETCH,
        end_stretch=StretchId(b"next"),
        fence=VectorPatch(VersionVector({HUB: 8, EDGE: 1})),
        horizon=VectorPatch(VersionVector({})),
    ),
    "ack": Ack(feed=FEED, checkpoint=92, ticket=b"next ticket", stretch=STRETCH),
    "need_whole": NeedWhole(FEED, (("tasks", "t1"), ("sites", "öst/1"))),
    "need_vector": NeedVector(),
    "keys": Keys(bytes(8 * 17) + b"\x01" * 8 + bytes(8 * 4078), VectorPatch(VersionVector({EDGE: 4})), 12),
    "absent": Absent(
        vector=VectorNote(b"\x11" * 8, VersionVector({HUB: 9})),
        fence=VectorPatch(VersionVector({HUB: 8})),
        horizon=VectorPatch(VersionVector({EDGE: 1})),
        buckets=(0, 17, 4095),
        keys=(5, 17 << 52, (17 << 52) + 1),
        asked=12,
    ),
    "refuse": Refuse(code="space-mismatch", message="another space", subject="plant", remedy="Ask its owner."),
    "compare": Compare((WHOLE, Span(("tasks", "t1"), ("tasks", "t9")))),
    "ranges": Ranges(
        Parts(
            feed=FEED,
            head=92,
            stretch=STRETCH,
            sound=False,
            spans=((Part(("sites", "öst/1"), 7, 1 << 61), Part(("tasks", "two\nlines"), 1, 3)), ()),
        )
    ),
}

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_INTEGERS = st.one_of(st.integers(0, 300), st.integers(0, SEQ_MAX))
_FEEDS = st.binary(min_size=8, max_size=8).map(bytes.hex)
_STRETCHES = st.sampled_from([NO_STRETCH, STRETCH])
_PRINTS = st.sampled_from([b"", b"\x00" * 8, b"fingerpr"])
_NOTES = st.builds(VectorNote, _PRINTS, any_vectors())
_PATCHES = st.builds(VectorPatch, st.one_of(st.none(), any_vectors()))
_SETS = st.builds(DotRanges, st.dictionaries(any_actors(), st.lists(st.tuples(st.integers(1, 9), st.integers(9, 20)))))


@st.composite
def deltas(draw: st.DrawFn) -> Delta:
    """Any delta that keeps the promises of `Delta`."""
    actors = tuple(draw(st.lists(any_actors(), min_size=1, max_size=4, unique=True)))
    collections = tuple(draw(st.lists(_NAMES, min_size=1, max_size=3, unique=True)))
    contexts = tuple(draw(st.lists(any_vectors(), max_size=3)))
    forgotten = tuple(draw(st.lists(_SETS, max_size=2)))
    records = draw(st.lists(st.tuples(st.integers(0, len(collections) - 1), _NAMES), max_size=8, unique=True))
    rows = range(len(records))
    actor = [draw(st.integers(-1, len(actors) - 1)) for _ in rows]
    celled = {row for row in rows if actor[row] < 0 or draw(st.booleans())}
    return Delta(
        actors=actors,
        labels=tuple(draw(_TEXT) for _ in actors),
        collections=collections,
        contexts=contexts,
        collection=[number for number, _ in records],
        key=[key for _, key in records],
        actor=actor,
        seq=[draw(st.integers(1, SEQ_MAX)) if index >= 0 else 0 for index in actor],
        clock=[draw(_INTEGERS) if index >= 0 else 0 for index in actor],
        flags=[draw(st.integers(0, 3)) if index >= 0 else 0 for index in actor],
        doc=[draw(_TEXT) for _ in rows],
        cells={row: draw(st.binary(max_size=12)) for row in celled},
        extra={row: draw(st.integers(0, len(contexts) - 1)) for row in rows if contexts and draw(st.booleans())},
        forgotten=forgotten,
        returned={row: draw(st.integers(0, len(forgotten) - 1)) for row in rows if forgotten and draw(st.booleans())},
    )


@st.composite
def ranges(draw: st.DrawFn) -> Ranges:
    """Any answer to a comparison."""
    places = st.lists(st.tuples(_NAMES, _NAMES), max_size=4, unique=True).map(sorted)
    numbers = (st.integers(1, 2**40), st.integers(0, 2**62 - 1))
    spans = tuple(
        tuple(Part(place, *map(draw, numbers)) for place in draw(places)) for _ in range(draw(st.integers(0, 3)))
    )
    parts = Parts(feed=draw(_FEEDS), head=draw(_INTEGERS), stretch=STRETCH, sound=draw(st.booleans()), spans=spans)
    return Ranges(parts)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Any batch."""
    return Batch(
        feed=draw(_FEEDS),
        start=draw(_INTEGERS),
        end=draw(_INTEGERS),
        drained=draw(st.booleans()),
        vector=draw(_NOTES),
        delta=draw(deltas()),
        start_stretch=draw(_STRETCHES),
        end_stretch=draw(_STRETCHES),
        fence=draw(_PATCHES),
        horizon=draw(_PATCHES),
    )


def hellos() -> st.SearchStrategy[Hello]:
    """Any hello of this version."""
    return st.builds(
        Hello,
        version=st.just(PROTOCOL_VERSION),
        features=st.lists(_NAMES, max_size=3).map(tuple),
        space_name=_TEXT,
        space=st.one_of(st.just(""), st.binary(min_size=16, max_size=16).map(bytes.hex)),
        actor=any_actors(),
        label=_TEXT,
        feed=_FEEDS,
        head=_INTEGERS,
        vector=_NOTES,
        peer_feed=st.one_of(st.just(""), _FEEDS),
        checkpoints=st.dictionaries(st.integers(0, 255), _INTEGERS, max_size=3),
        held_of=st.one_of(st.just(""), any_actors()),
        held=_INTEGERS,
        ticket=st.binary(max_size=32),
        clock_ms=_INTEGERS,
        schema=_PRINTS,
        policy=_PRINTS,
        fence=_PATCHES,
        rights=st.sampled_from(["rw", "r"]),
        lacks=any_vectors(),
        stretch=_STRETCHES,
        bound=st.booleans(),
        aliases=st.lists(st.binary(min_size=16, max_size=16).map(bytes.hex), max_size=3).map(tuple),
        decision=st.builds(Decision, _INTEGERS, _INTEGERS, st.one_of(st.just(""), any_actors())),
        seats=st.lists(seats(), max_size=3, unique_by=lambda seat: seat.actor).map(tuple),
    )


def seats() -> st.SearchStrategy[Seat]:
    """Any member."""
    return st.builds(
        Seat,
        actor=any_actors(),
        label=_TEXT,
        heard_ms=_INTEGERS,
        out_ms=st.one_of(st.none(), st.integers(0, 1 << 50)),
        out_at=_PRINTS,
    )


def absences() -> st.SearchStrategy[Absent]:
    """Any absence."""
    return st.builds(
        Absent,
        vector=_NOTES,
        fence=_PATCHES,
        horizon=_PATCHES,
        buckets=st.sets(st.integers(0, 4095), max_size=4).map(lambda found: tuple(sorted(found))),
        keys=st.lists(st.integers(0, (1 << 64) - 1), max_size=4).map(tuple),
        asked=_INTEGERS,
    )


def messages() -> st.SearchStrategy[Message]:
    """Any message of any type."""
    return st.one_of(
        hellos(),
        batches(),
        st.builds(Ack, feed=_FEEDS, checkpoint=_INTEGERS, ticket=st.binary(max_size=32), stretch=_STRETCHES),
        st.builds(NeedWhole, _FEEDS, st.lists(st.tuples(_NAMES, _NAMES), max_size=4).map(tuple)),
        st.just(NeedVector()),
        ranges(),
        st.builds(Compare, st.lists(st.builds(Span, *[st.tuples(_TEXT, _TEXT)] * 2), max_size=3).map(tuple)),
        absences(),
        st.builds(Keys, st.integers(0, 255).map(lambda byte: bytes([byte]) * 8 * 4096), _PATCHES, _INTEGERS),
        st.builds(Refuse, code=_TEXT, message=_TEXT, subject=_TEXT, remedy=_TEXT),
    )


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, sample in SAMPLES.items():
        path = GOLDEN / f"{name}.frame"
        if not path.exists():
            path.write_bytes(b"".join(encode(sample)))
