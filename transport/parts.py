"""The messages of a comparison as items of a payload, and back.

Knows nothing of frames or of what stands in a range. Invariant: whatever comes in, what goes out is within the limits,
and the parts of a range ascend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from typing import Final

from holdfast.engine.delta import FEED_BYTES, FeedId
from holdfast.engine.digest import DIGEST_MASK
from holdfast.engine.documents import KEY_BYTES_MAX
from holdfast.engine.ranges import LISTED_MAX, PARTS_MAX, SPANS_MAX, Part, Parts, Place, Span

from .batch import NAME_BYTES_MAX, read_stretch
from .columns import pack_integers, pack_texts, read_integers, read_texts
from .messages import Compare, Ranges
from .payload import PayloadReader, Scalar

_NAMES: Final = range(NAME_BYTES_MAX + 1)
_KEYS: Final = range(KEY_BYTES_MAX + 1)
_PARTS_MAX: Final = PARTS_MAX + LISTED_MAX
"""The first range of an answer is told whole."""


def compare_items(spans: Sequence[Span]) -> Iterator[Scalar]:
    """The items of a `Compare`."""
    yield len(spans)
    yield from _place_items([span.low for span in spans])
    yield from _place_items([span.high for span in spans])


def read_compare(reader: PayloadReader) -> Compare:
    """Read the items of a `Compare`."""
    count = reader.integer("spans", high=SPANS_MAX)
    lows, highs = _read_places(reader, "spans.low", count), _read_places(reader, "spans.high", count)
    return Compare(tuple(map(Span, lows, highs)))


def ranges_items(parts: Parts) -> Iterator[Scalar]:
    """The items of a `Ranges`."""
    rows = list(chain.from_iterable(parts.spans))
    yield from (bytes.fromhex(parts.feed), parts.head, parts.stretch, parts.sound)
    yield from (len(parts.spans), pack_integers(list(map(len, parts.spans))))
    yield from _place_items([row.place for row in rows])
    yield from (pack_integers([row.records for row in rows]), pack_integers([row.digest for row in rows]))


def read_ranges(reader: PayloadReader) -> Ranges:
    """Read the items of a `Ranges`."""
    feed = FeedId(reader.fixed("feed", FEED_BYTES).hex())
    head, stretch, sound = reader.integer("head"), read_stretch(reader, "stretch"), reader.boolean("sound")
    sizes = read_integers(reader, "spans", reader.integer("spans", high=SPANS_MAX), high=_PARTS_MAX)
    count = sum(sizes)
    if count > _PARTS_MAX:
        raise reader.error("spans", f"are {count} parts, at most {_PARTS_MAX}")
    places = _read_places(reader, "parts", count)
    counts = read_integers(reader, "parts.count", count, low=1)
    digests = read_integers(reader, "parts.digest", count, high=DIGEST_MASK)
    rows = iter([*map(Part, places, counts, digests)])
    spans = tuple(tuple(next(rows) for _ in range(size)) for size in sizes)
    if any(before.place >= after.place for parts in spans for before, after in pairwise(parts)):
        raise reader.error("parts", "do not ascend")
    return Ranges(Parts(feed=feed, head=head, stretch=stretch, sound=sound, spans=spans))


def _place_items(places: Sequence[Place]) -> Iterator[Scalar]:
    yield from pack_texts([name for name, _ in places])
    yield from pack_texts([key for _, key in places])


def _read_places(reader: PayloadReader, name: str, count: int) -> list[Place]:
    names = read_texts(reader, f"{name}.collection", count, count * _NAMES.stop, _NAMES)
    keys = read_texts(reader, f"{name}.key", count, count * _KEYS.stop, _KEYS)
    return list(zip(names, keys, strict=True))
