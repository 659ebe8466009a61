"""The partition simulation: real engines on real SQLite under virtual time, on a network that misbehaves by plan.

May use everything but the command line. Invariant: what happens in a world follows from its plan and its choices; no
module here reads a wall clock, draws randomness of its own, starts a thread or opens a socket.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .plans.builder import PlanBuilder
    from .plans.generate import plan_of
    from .plans.parse import parse_plan
    from .plans.plan import Plan
    from .runs.artefact import Artefact
    from .runs.replay import Replay, replay
    from .runs.report import Report
    from .runs.shrink import shrink
    from .runs.simulate import Progress, simulate
    from .runs.totals import Totals
    from .world.after import NodeAfter, WorldAfter
    from .world.outcome import Figures, Outcome

__all__ = [
    "Artefact",
    "Figures",
    "NodeAfter",
    "Outcome",
    "Plan",
    "PlanBuilder",
    "Progress",
    "Replay",
    "Report",
    "Totals",
    "WorldAfter",
    "parse_plan",
    "plan_of",
    "replay",
    "shrink",
    "simulate",
]

_LAZY: dict[str, str] = {
    "Artefact": "runs.artefact",
    "Figures": "world.outcome",
    "NodeAfter": "world.after",
    "Outcome": "world.outcome",
    "Plan": "plans.plan",
    "PlanBuilder": "plans.builder",
    "Progress": "runs.simulate",
    "Replay": "runs.replay",
    "Report": "runs.report",
    "Totals": "runs.totals",
    "WorldAfter": "world.after",
    "parse_plan": "plans.parse",
    "plan_of": "plans.generate",
    "replay": "runs.replay",
    "shrink": "runs.shrink",
    "simulate": "runs.simulate",
}
"""Public name -> the module that defines it, below this package."""


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
