"""Who decides in a space, as the plan says: nodes seize it, hand it over, leave members out and take them back.

Uses the public API alone. Invariant: a member is named as an operator would name it: by its identity, as a restored
node is there under several.
"""

from __future__ import annotations

from typing import assert_never

from ..plans import actions as plan
from .engine import SimEngine


async def administer(engine: SimEngine, action: plan.Seize | plan.HandOver | plan.Expire | plan.Restore) -> None:
    """Do it; raises what the engine raises where this node may not, or knows no such member."""
    match action:
        case plan.Seize():
            await engine.members.seize("the plan says so")
        case plan.HandOver():
            await engine.members.hand_over(await _named(engine, action.member, counts=True))
        case plan.Expire():
            await engine.members.expire(await _named(engine, action.member, counts=True))
        case plan.Restore():
            await engine.members.restore(await _named(engine, action.member, counts=False))
        case _:
            assert_never(action)


async def _named(engine: SimEngine, label: str, *, counts: bool) -> str:
    """The identity of the member of this label that was met last; the label if there is none."""
    members = [each for each in await engine.members.list() if each.label == label and each.counts is counts]
    return max(members, key=lambda each: (each.heard_ms, each.actor)).actor if members else label
