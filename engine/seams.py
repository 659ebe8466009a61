"""Where the world comes in: wall time, randomness and storage, as values that can be replaced.

The only module of the engine that reads a clock or draws random bytes. Invariant: nothing else in the engine does, so
a simulation that passes its own seams decides everything.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from holdfast.clocks import Entropy, TimeSource

from .arguments import check_count, check_port
from .delta import BATCH_BYTES_TARGET
from .storage.connection import Storage, Threads


class SystemClock:
    """The machine's wall clock."""

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seams:
    """The outside world as the engine sees it.

    Attributes:
        time: Wall time.
        entropy: Random bytes for identities, feeds and tickets.
        storage: What opens connections to the file and runs functions on them.
        drift_ms_max: How far ahead of `time` a peer's stamp may be before it counts as suspect.
        batch_bytes: Bytes at which a batch of the feed is closed.
    """

    time: TimeSource = field(default_factory=SystemClock)
    entropy: Entropy = os.urandom
    storage: Storage = field(default_factory=Threads)
    drift_ms_max: int = 300_000
    batch_bytes: int = BATCH_BYTES_TARGET

    def __post_init__(self) -> None:
        """Check; raises UsageError."""
        check_port(self.time, "time", ("now_ms",))
        check_port(self.storage, "storage", ("open_writer", "open_reader"))
        check_port(self.entropy, "entropy", ("__call__",))
        check_count(self.drift_ms_max, "drift_ms_max")
