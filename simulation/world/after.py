"""The nodes after healing, as a user's own checks see them.

Plain values: nothing here leads back to an engine. Invariant: a check sees exactly what readers of each node see.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from holdfast.engine.status import Status
from holdfast.errors import ProgramFault, SimulationFault, Violation

from ..kernel.blame import origin_of, program_line
from ..observed.image import Place
from .node import SimNode
from .programs import defined_at


@dataclass(frozen=True)
class NodeAfter:
    """One node.

    Attributes:
        name: In the plan.
        status: What `Engine.status` says.
        documents: Canonical JSON by collection and key.
    """

    name: str
    status: Status | None
    documents: Mapping[Place, str]

    @cached_property
    def records(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Fields by collection, then by key."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for (collection, key), text in self.documents.items():
            found.setdefault(collection, {})[key] = json.loads(text)
        return found


@dataclass(frozen=True, slots=True)
class WorldAfter:
    """All nodes, in agreement.

    Attributes:
        nodes: In the order of the plan; clones behind.
    """

    nodes: tuple[NodeAfter, ...]

    def records(self, collection: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Every record of a collection at every node: node, key, fields."""
        for node in self.nodes:
            for key, fields in node.records.get(collection, {}).items():
                yield node.name, key, fields


Check = Callable[[WorldAfter], object]
"""A rule of the user's application: raises AssertionError, or gives False, if it is broken."""


def ask(checks: Sequence[Check], nodes: Sequence[SimNode]) -> None:
    """Ask the user's checks; raises Violation for a rule that is broken, ProgramFault for a check that fails itself."""
    if not checks:
        return
    world = WorldAfter(tuple(NodeAfter(node.name, node.status, node.exported or {}) for node in nodes))
    for check in checks:
        name = getattr(check, "__name__", type(check).__name__)
        try:
            said = check(world)
        except SimulationFault:
            raise  # the fence has named the line
        except AssertionError as error:
            raise _broken(name, str(error) or "the assertion failed", program_line(error)) from error
        except Exception as error:
            what = f"the check {name} raised {type(error).__name__}: {error}"
            _, place = origin_of(error)
            raise ProgramFault(what, subject=place, remedy="Mend the check; a broken rule is an assert.") from error
        if inspect.iscoroutine(said):
            said.close()
            raise ProgramFault(
                f"the check {name} is asynchronous, so it said nothing",
                subject=defined_at(check),
                remedy=f"Write it as def {name}(world): the world has come to rest.",
            )
        if said is False:
            raise _broken(name, "the check says False", "")


def _broken(name: str, what: str, line: str) -> Violation:
    remedy = "The nodes agree on records that break this rule of yours: look at how they came to be."
    fault = Violation(f"{name}: {what}", subject=line or name, remedy=remedy)
    fault.invariant = f"your check {name}"
    return fault
