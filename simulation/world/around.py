"""The world as a node's engine sees it: the way to its peers, and who watches what it does.

Knows nothing of plans' actions or faults. Invariant: whatever an engine tells ends up in the world's figures, trace and
history; nothing that the world knows reaches the engine.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NoReturn

from holdfast.errors import HoldfastError, ProgramFault
from holdfast.transport.links.link import Link
from holdfast.transport.progress import SyncReport

from ..observed.recorder import Meeting, Recorder
from .answers import Answers

if TYPE_CHECKING:
    from .node import SimNode
    from .world import World


class Around:
    """The world as a node's engine sees it."""

    def __init__(self, world: World, node: SimNode) -> None:
        self._world = world
        self._node = node
        self.answers = Answers(world.figures, node.disk, partial(world.is_offline, node.name))

    @property
    def recorder(self) -> Recorder:
        """Who watches the file."""
        return self._node.recorder

    def link(self, peer: str) -> Link:
        """The way to a peer."""
        return self._world.network.link(self._node.name, peer)

    def hubs(self) -> list[str]:
        """The nodes that listen."""
        return [node.name for node in self._world.plan.hubs]

    def blame(self, fault: ProgramFault) -> NoReturn:
        """The world ends, even if the program catches it."""
        self._world.fail(fault)

    def meets(self, peer: str) -> Meeting | None:
        """A session begins."""
        other = self._world.by_name.get(peer)
        return self._node.recorder.meets(other.recorder) if other is not None else None

    def met(self, meeting: Meeting | None, report: SyncReport) -> None:
        """A session ended."""
        if meeting is not None and report.completed:
            meeting.completed(self._node.clock.now_ms())
            self._world.check(self._node)

    def chronicle(self, peer: str, began_s: float, end: SyncReport | HoldfastError) -> None:
        """How a session ended, for the trace."""
        chronicle, began_us = self._world.chronicle, round(began_s * 1_000_000)
        completed = isinstance(end, SyncReport) and end.completed
        said = end.code if isinstance(end, HoldfastError) else "completed" if completed else "incomplete"
        self._world.figures.syncs[said] += 1
        if isinstance(end, SyncReport):
            chronicle.synced(self._node.name, peer, began_us, end)
        else:
            chronicle.sync_failed(self._node.name, peer, began_us, end)
        self._world.ask(self._node)
