"""Ranges of the key order, and what two nodes hold in them: sums of the records' digests.

Pure; knows no table and no message. Invariant: what is compared is what stands in the rows, so a record that was lost
shows though the sum that the file keeps knows nothing of it; a range counts as settled only if all in it was compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from .delta import NO_STRETCH, FeedId, StretchId
from .digest import added

Place = tuple[str, str]
"""Collection and key; ordered by code points, as SQLite orders their bytes."""

EDGE: Final[Place] = ("", "")
"""As the lower end of a range: before everything; as the upper end: behind everything."""

LISTED_MAX: Final = 512
"""Records of a range that are told one by one."""

PARTS_EACH: Final = 256
"""Parts that a larger range is told in."""

PARTS_MAX: Final = 16_384
"""Parts in one answer."""

SPANS_MAX: Final = 256
"""Ranges that are asked about at once."""


class Span(NamedTuple):
    """A range of the key order: behind `low`, up to and with `high`."""

    low: Place = EDGE
    high: Place = EDGE

    def is_sound(self) -> bool:
        """Whether it can hold anything."""
        return self.high == EDGE or self.low < self.high


WHOLE: Final = Span()


class Part(NamedTuple):
    """A part of a range: the records behind the part before, up to `place`, and the sum of their digests."""

    place: Place
    records: int
    digest: int


class Held(NamedTuple):
    """A record as a comparison sees it."""

    place: Place
    digest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a node holds in ranges, as one transaction saw it.

    Attributes:
        feed, head, stretch: Its feed, where that ended, and the stretch that this lies in.
        sound: Whether the rows are what the sum in the file says; True where not all of them were looked at.
        spans: The parts of each range, of the first ones if not all fitted.
    """

    feed: FeedId
    head: int
    stretch: StretchId = NO_STRETCH
    sound: bool = True
    spans: tuple[tuple[Part, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """How what stands here differs from what a peer told of some ranges.

    Attributes:
        changed: Records that both hold, and not alike.
        there, here: Records that only the peer holds, and only this node.
        narrower: Ranges that differ and have to be asked about again.
    """

    changed: tuple[Place, ...] = ()
    there: tuple[Place, ...] = ()
    here: tuple[Place, ...] = ()
    narrower: tuple[Span, ...] = ()


def part(held: Iterable[Held], size: int) -> list[Part]:
    """Records, in the order of keys, as parts of so many."""
    parts: list[Part] = []
    place, count, total = EDGE, 0, 0
    for place, digest in held:
        count, total = count + 1, added(total, digest)
        if count == size:
            parts.append(Part(place, count, total))
            count = total = 0
    if count:
        parts.append(Part(place, count, total))
    return parts


def differences(span: Span, held: Iterable[Held], parts: Iterable[Part]) -> Differences:
    """Compare what stands here in a range, in the order of keys, with a peer's parts of it."""
    changed: list[Place] = []
    there: list[Place] = []
    here: list[Place] = []
    narrower: list[Span] = []
    rows = iter(held)
    waiting = next(rows, None)
    low = span.low
    for place, count, digest in parts:
        inside: list[Held] = []
        while waiting is not None and waiting.place <= place:
            inside.append(waiting)
            waiting = next(rows, None)
        if count > 1:
            if (len(inside), sum_of(inside)) != (count, digest):
                narrower.append(Span(low, place))
        else:
            same = inside.pop() if inside and inside[-1].place == place else None
            here += [one.place for one in inside]
            if same is None:
                there.append(place)
            elif same.digest != digest:
                changed.append(place)
        low = place
    while waiting is not None:
        here.append(waiting.place)
        waiting = next(rows, None)
    return Differences(changed=tuple(changed), there=tuple(there), here=tuple(here), narrower=tuple(narrower))


def sum_of(held: Iterable[Held]) -> int:
    """The sum of digests, as the file keeps it."""
    total = 0
    for _, digest in held:
        total = added(total, digest)
    return total
