"""Choices: the only source of chance in a world, as numbered draws from named streams.

    0 <= draw(stream, n) < n, and 0 is always the plainest choice: first in line, no fault, the shortest delay

Knows nothing of what is decided. Invariants: streams are independent, so one draw more in one shifts no other; a
choice among one is none (nothing is drawn, nothing is recorded); a tape gives back what was recorded or fails.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, TypeVar

from holdfast.errors import TapeMismatch

T = TypeVar("T")

_FLOAT_MAX: Final = 2**32
"""Below this many outcomes one float decides without a bias that could be seen."""

_WORD: Final = 2**32
"""Entropy is drawn in words of four bytes, so that every number on a tape is exact in any JSON reader."""


class Choices(Protocol):
    """What decides (a port)."""

    def draw(self, stream: str, n: int) -> int:
        """One of 0 to n - 1; with n = 1 it is 0 and no draw at all."""
        ...


class Draw(NamedTuple):
    """One recorded choice."""

    stream: str
    n: int
    value: int


Tape = Sequence[Draw]
"""Choices in the order in which they were made."""


class SeededChoices:
    """Draws that follow from a seed, each stream with a generator of its own."""

    def __init__(self, seed: int | str) -> None:
        self.seed = seed
        self._floats: dict[str, Callable[[], float]] = {}
        self._streams: dict[str, random.Random] = {}

    def draw(self, stream: str, n: int) -> int:
        """One of 0 to n - 1."""
        if n <= 1:
            return _only(stream, n)
        if n > _FLOAT_MAX:
            return self._stream(stream).randrange(n)
        try:
            return int(self._floats[stream]() * n)
        except KeyError:
            return int(self._stream(stream).random() * n)

    def _stream(self, name: str) -> random.Random:
        if name not in self._streams:
            self._streams[name] = random.Random(f"{self.seed}:{name}")  # noqa: S311 - a schedule, not a secret
            self._floats[name] = self._streams[name].random
        return self._streams[name]


class RecordingChoices:
    """Writes down what another one decides."""

    def __init__(self, inner: Choices) -> None:
        self.tape: list[Draw] = []
        self._inner = inner

    def draw(self, stream: str, n: int) -> int:
        """One of 0 to n - 1, as the other one decides."""
        value = self._inner.draw(stream, n)
        if n > 1:
            self.tape.append(Draw(stream, n, value))
        return value


@dataclass(slots=True)
class TapedChoices:
    """Gives back what was recorded, in order.

    Attributes:
        tape: The recorded choices.
        position: How many of them were used.
    """

    tape: Tape
    position: int = field(default=0, init=False)

    def draw(self, stream: str, n: int) -> int:
        """The next recorded value.

        Raises:
            TapeMismatch: The tape is at its end, or its next choice was made in another stream or among others.
        """
        if n <= 1:
            return _only(stream, n)
        if self.position >= len(self.tape):
            raise _mismatch(self.position, "it ends", stream, n)
        recorded = self.tape[self.position]
        if (recorded.stream, recorded.n) != (stream, n) or not 0 <= recorded.value < n:
            what = f"it has {recorded.value} of {recorded.n} in stream {recorded.stream!r}"
            raise _mismatch(self.position, what, stream, n)
        self.position += 1
        return recorded.value


def chance(choices: Choices, stream: str, per_mille: int) -> bool:
    """Whether something happens that happens `per_mille` times in a thousand; never and always draw nothing."""
    if not 0 < per_mille < 1000:  # noqa: PLR2004 - a thousand is what per mille means
        return per_mille > 0
    return choices.draw(stream, 1000) >= 1000 - per_mille


def pick(choices: Choices, stream: str, sequence: Sequence[T]) -> T:
    """One of a sequence that has a fixed order and is not empty."""
    return sequence[choices.draw(stream, len(sequence))]


def between(choices: Choices, stream: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    return low + choices.draw(stream, high - low + 1)


def bytes_source(choices: Choices, stream: str) -> Callable[[int], bytes]:
    """Random bytes from a stream, as `Seams.entropy` gives them."""

    def entropy(size: int) -> bytes:
        words = [choices.draw(stream, _WORD).to_bytes(4, "big") for _ in range(0, size, 4)]
        return b"".join(words)[:size]

    return entropy


def _only(stream: str, n: int) -> int:
    if n == 1:
        return 0
    raise ValueError(f"stream {stream!r}: one of {n} cannot be drawn")


def _mismatch(position: int, what: str, stream: str, n: int) -> TapeMismatch:
    return TapeMismatch(
        f"the tape does not fit: {what} where one of {n} in stream {stream!r} is asked for",
        subject=f"choice {position}",
        remedy="Replay it with the plan, the versions and the commit that it was recorded with.",
    )
