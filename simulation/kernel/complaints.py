"""What an event loop reports and nobody caught: failed callbacks, and errors of tasks that nobody looked at.

Invariant: none is lost. Each is a row of the trace and, up to a bound, kept with its error for the world to judge.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from .life import current_life
from .trace import Trace

KEPT_MAX: Final = 100
"""Complaints that are kept with their errors; the trace has all."""

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something that went wrong in a callback or a task that nobody waits for."""

    time_us: int
    node: str
    message: str
    error: BaseException | None


class Complaints(asyncio.AbstractEventLoop):
    """The part of the loop that takes them in.

    Attributes:
        complaints: The first of them.
    """

    @property
    def now_us(self) -> int:
        """Virtual microseconds since the world began."""
        raise NotImplementedError

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.complaints: list[Complaint] = []
        self._handler: Callable[..., object] | None = None

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Take one in, and pass it on to the handler that a program has set."""
        error = context.get("exception")
        life = getattr(context.get("task") or context.get("future"), "life", None) or current_life.get()
        if life is not None and not life.alive:
            return  # the dead say nothing
        complaint = Complaint(self.now_us, life.node if life else "", str(context.get("message", "")), error)
        if len(self.complaints) < KEPT_MAX:
            self.complaints.append(complaint)
        self.trace.add(complaint.time_us, complaint.node, "complaint", _text(complaint))
        if self._handler is not None:
            self._handler(self, context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Nothing more to do: it was written down."""

    def set_exception_handler(self, handler: Any) -> None:  # noqa: ANN401
        """Have another function hear of them, too."""
        self._handler = handler

    def get_exception_handler(self) -> Any:  # noqa: ANN401
        """The function that was set, if any."""
        return self._handler

    def get_debug(self) -> bool:
        """Never: asyncio's debug mode reads the real clock."""
        return False

    def set_debug(self, enabled: bool) -> None:  # noqa: FBT001
        """Accepted without effect."""


def _text(complaint: Complaint) -> str:
    error = complaint.error
    cause = f": {type(error).__name__}: {error}" if error is not None else ""
    return _ADDRESS.sub("0x", f"{complaint.message}{cause}")
