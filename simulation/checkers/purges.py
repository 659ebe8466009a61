"""I14: the fence rises over nothing that a member is not known to have that counts where it rises.

What was dead up to the fence may be gone for good, so every other promise about purging leans on this one. An identity
has what any file under it ever claimed: it may have been put back since it said so. Of strangers nothing is known.
"""

from __future__ import annotations

from typing import ClassVar

from holdfast.clocks import Actor

from .view import Checker, NodeView, WorldView, observed, vector_text

_COUNTED = "SELECT actor, label FROM member WHERE out_ms IS NULL ORDER BY actor"


class Purges(Checker):
    """Nothing goes for good before all have heard of it."""

    name: ClassVar[str] = "I14 the fence waits for all that count"

    def __init__(self) -> None:
        self._fence: dict[Actor, int] = {}
        self._had: dict[Actor, dict[Actor, int]] = {}

    def step(self, world: WorldView, node: NodeView) -> None:
        """What the node claims; and its fence, if none was ever as far."""
        image = observed(world, node).image
        _raise(self._had.setdefault(image.actor, {}), image.vector)
        beyond = {actor: seq for actor, seq in image.fence.items() if seq > self._fence.get(actor, 0)}
        if not beyond:
            return
        _raise(self._fence, beyond)
        for actor, label in [(image.actor, node.name), *node.connection.execute(_COUNTED)]:
            had = self._had.get(actor)
            if had is None:
                continue
            lacks = {each: seq for each, seq in beyond.items() if had.get(each, 0) < seq}
            if lacks:
                what = f"the fence rose here over what {label or actor} never had, which counts: {vector_text(lacks)}"
                raise self.fail(node, None, what, member=actor, had=vector_text(had), fence=vector_text(image.fence))


def _raise(vector: dict[Actor, int], by: dict[Actor, int]) -> None:
    for actor, seq in by.items():
        if seq > vector.get(actor, 0):
            vector[actor] = seq
