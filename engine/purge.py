"""How the node that decides about purging goes about it.

Pure. Invariant: its numbers are in range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from holdfast.errors import UsageError

from .documents import shown

SECONDS_MAX: Final = 10 * 366 * 24 * 3600

SEAL_AFTER_S: Final = 30 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """How the node that decides goes about it; nothing anywhere else.

    Args:
        every_s: At most so often it looks whether deleted records may go for good, in seconds.
        silent_after_s: Members that were not heard of for longer are left out: nobody waits for them any more, and
            when they come back they hear what was deleted. None: nobody is left out but by `expire`.
        seal_after_s: Of members that were left out for longer nothing is kept but what they wrote. When they come back
            they lose nothing, and are members again. None: nobody is sealed but by `seal`.

    Raises:
        UsageError: A number is out of its range.
    """

    every_s: float = 3600
    silent_after_s: float | None = None
    seal_after_s: float | None = SEAL_AFTER_S

    def __post_init__(self) -> None:
        _check("every_s", self.every_s)
        if self.silent_after_s is not None:
            _check("silent_after_s", self.silent_after_s)
        if self.seal_after_s is not None:
            _check("seal_after_s", self.seal_after_s)

    @property
    def every_ms(self) -> int:
        """`every_s` in milliseconds."""
        return int(self.every_s * 1000)

    @property
    def silent_ms(self) -> int | None:
        """`silent_after_s` in milliseconds."""
        return None if self.silent_after_s is None else int(self.silent_after_s * 1000)

    @property
    def seal_ms(self) -> int | None:
        """`seal_after_s` in milliseconds."""
        return None if self.seal_after_s is None else int(self.seal_after_s * 1000)


def _check(name: str, seconds: object) -> None:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= SECONDS_MAX:
        remedy = f"Pass seconds from 0 to {SECONDS_MAX}."
        raise UsageError(f"{name} is {shown(seconds)}", subject="purge", remedy=remedy)
