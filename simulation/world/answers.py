"""Whether local reads and writes were answered, and under what: offline, with a full disk, beside a long reader.

Counts at the engine, so that the work of a plan and of a user's programs count alike; syncs and what the world itself
asks do not. Invariants: each read and write that came to an end counts once under each condition that held when it
began; one that its node's crash or its caller ended counts nowhere; counting takes no step and draws nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from holdfast.errors import HoldfastError, UsageError

from ..disk.conditions import HEALTHY
from ..disk.disk import Disk
from ..kernel.life import PROGRAM, current_work
from .outcome import Figures

T = TypeVar("T")
Kind = Literal["read", "write"]

ALWAYS: Final = "in all"
OFFLINE: Final = "offline"


@dataclass(slots=True)
class Answers:
    """The answers of one node.

    Args:
        figures: Where they are counted.
        disk: Of the node.
        is_offline: Whether the node reaches no hub.
    """

    figures: Figures
    disk: Disk
    is_offline: Callable[[], bool]

    async def counted(self, kind: Kind, asked: Awaitable[T]) -> T:
        """Wait for the answer to one read or write, and count it."""
        work = current_work.get()
        if not work:
            return await asked
        under = self._conditions()
        loop = asyncio.get_running_loop()
        began = loop.time()
        said = "answered"
        try:
            answer = await asked
        except UsageError:  # "there is no such record" is an answer
            self._count(under, kind, said)
            raise
        except HoldfastError as error:
            self._count(under, kind, error.code)
            if work == PROGRAM:  # of the work of a plan, its worker knows more
                self.figures.refused[f"{work} {kind}: {error.code}"] += 1
            raise
        self._count(under, kind, said)
        waited_ms = round((loop.time() - began) * 1000)
        self.figures.stall_ms_max = max(self.figures.stall_ms_max, waited_ms)
        return answer

    def _count(self, under: list[str], kind: Kind, said: str) -> None:
        for condition in under:
            self.figures.answers[f"{condition}: {kind}: {said}"] += 1

    def _conditions(self) -> list[str]:
        disk = self.disk.condition
        held = {
            ALWAYS: True,
            OFFLINE: self.is_offline(),
            "disk full": disk.full,
            "read errors": disk.read_error_per_mille > 0,
            "write errors": disk.write_error_per_mille > 0,
            "slow disk": disk.latency_us != HEALTHY.latency_us,
            "another writer": self.disk.held == "write",
            "long reader": self.disk.held == "read",
        }
        return [condition for condition, holds in held.items() if holds]
