"""What a simulated disk is like at a moment: how fast it answers, and what fails.

Values only; `disk.py` draws by them and `drivers.py` makes the failures. Invariant: a condition says how likely things
are, never which of them happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Failure(Enum):
    """What may fail while one function runs."""

    READ = "read"  # every read of database and log: SQLITE_IOERR
    WRITE = "write"  # every write to them: SQLITE_IOERR
    LOG_FULL = "log full"  # no byte fits into the log: SQLITE_FULL inside the commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The state of a disk.

    Attributes:
        latency_us: Virtual microseconds that a function waits before it runs, from and to (both included).
        stall_per_mille: Share of functions that wait for `stall_us` besides.
        stall_us: From and to.
        read_error_per_mille: Share of functions during which nothing can be read.
        write_error_per_mille: Share of writing functions during which nothing can be written.
        full: No space is left: each writing function fails at some allocation or in its commit, if it needs space.
    """

    latency_us: tuple[int, int] = (50, 2_000)
    stall_per_mille: int = 0
    stall_us: tuple[int, int] = (500_000, 5_000_000)
    read_error_per_mille: int = 0
    write_error_per_mille: int = 0
    full: bool = False


HEALTHY: Final = Condition()
