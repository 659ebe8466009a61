"""What is to be run: a plan or how to draw one, and the user's schemas, resolvers, programs and checks.

Values and functions of the user; knows no world. Invariants: the same scenario and seed give the same plan; a scenario
that was made can be run, or making it raised InvalidPlan.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

from holdfast.engine.schema import Schema
from holdfast.errors import FileUnreadable, InvalidPlan
from holdfast.resolvers import Resolver

from ..plans.actions import RunProgram
from ..plans.arguments import mistake
from ..plans.generate import plan_of
from ..plans.parse import check, parse_plan
from ..plans.plan import PLAN_BYTES_MAX, Event, Plan
from ..plans.schemas import BUILT_IN, collection_of
from ..plans.weather import Partitions
from ..world.after import Check
from ..world.programs import Program
from .functions import check_checks, check_programs, check_resolvers


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """How a plan is drawn for each seed; the arguments of `plan_of`."""

    nodes: int = 4
    hours: float = 1
    partitions: Partitions = "medium"
    keys: int = 6
    faults: Collection[str] | None = None
    operations: int | None = None


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is to be run.

    Attributes:
        source: The plan for all seeds, or how each seed draws its own.
        schemas: What the nodes declare, if the plan is drawn.
        resolvers, programs: By name.
        checks: Asked about the nodes in the end.
    """

    source: Plan | Fleet
    schemas: tuple[Schema, ...] = ()
    resolvers: Mapping[str, Resolver] = field(default_factory=dict)
    programs: Mapping[str, Program] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()

    def plan(self, seed: int) -> Plan:
        """The plan of a seed."""
        if isinstance(self.source, Plan):
            return replace(self.source, seed=seed)
        fleet = self.source
        drawn = plan_of(
            seed,
            nodes=fleet.nodes,
            hours=fleet.hours,
            partitions=fleet.partitions,
            keys=fleet.keys,
            faults=fleet.faults,
            operations=fleet.operations,
            schema=self.schemas or None,
            resolvers=self.resolvers,
        )
        return self._with_programs(drawn) if self.programs else drawn

    def of(self, plan: Plan) -> Scenario:
        """The same functions with another plan; raises InvalidPlan if they do not fit."""
        check(plan, resolvers=self.resolvers, programs=self.programs)
        return replace(self, source=plan, schemas=())

    def _with_programs(self, plan: Plan) -> Plan:
        """Every program runs on every edge, from the start and again after each restart."""
        edges = [node.name for node in plan.nodes if node.role == "edge"]
        started = [
            Event(at_ms=0, node=edge, action=RunProgram(program=name)) for edge in edges for name in self.programs
        ]
        events = (*(event for event in plan.events if event.at_ms == 0), *started)
        whole = replace(plan, events=(*events, *(event for event in plan.events if event.at_ms > 0)))
        check(whole, resolvers=self.resolvers, programs=self.programs)
        return whole

    @property
    def functions(self) -> tuple[object, ...]:
        """All that is the user's: programs, resolvers, checks."""
        own = [resolver for resolver in self.resolvers.values() if resolver is not BUILT_IN.get(resolver.name)]
        return (*self.programs.values(), *own, *self.checks)

    @cached_property
    def digest(self) -> str:
        """The same for scenarios that give the same plans; the user's functions count by name."""
        names = [*self.programs, *self.resolvers, *(getattr(each, "__name__", "") for each in self.checks)]
        source = self.source.to_json() if isinstance(self.source, Plan) else repr(self.source)
        said = repr((source, [collection_of(schema) for schema in self.schemas], names))
        return blake2b(said.encode(), digest_size=8).hexdigest()

    def pickled(self) -> bytes | None:
        """As bytes for another process; None if a function of the user cannot travel."""
        homes = {getattr(each, "__module__", type(each).__module__) for each in self.functions}
        if "__main__" in homes:  # the other process would run the user's script again
            return None
        try:
            return pickle.dumps(self)
        except (pickle.PicklingError, AttributeError, TypeError):
            return None


def scenario_of(
    plan: Plan | str | Path | None,
    fleet: Fleet,
    *,
    schemas: Schema | Sequence[Schema] = (),
    resolvers: Mapping[str, Resolver] | Collection[Resolver] = (),
    programs: Mapping[str, Program] | None = None,
    checks: Callable[..., object] | Sequence[Check] = (),
) -> Scenario:
    """The scenario of a user's arguments.

    Raises:
        InvalidPlan: The plan cannot be run.
        FileUnreadable: It cannot be read.
    """
    declared = _declared(schemas)
    known = _resolvers(declared, resolvers)
    check_resolvers(known)
    check_programs({} if programs is None else programs)
    named = dict(programs or {})
    asked = (checks,) if callable(checks) else tuple(checks)
    check_checks(asked)
    source = fleet if plan is None else _plan(plan, known, named)
    if declared and isinstance(source, Plan) and not source.collections:
        source = replace(source, collections=tuple(collection_of(schema) for schema in declared))
        check(source, resolvers=known, programs=named)
    return Scenario(source=source, schemas=declared, resolvers=known, programs=named, checks=asked)


def _declared(schemas: Schema | Sequence[Schema]) -> tuple[Schema, ...]:
    declared = (schemas,) if isinstance(schemas, Schema) else tuple(schemas)
    for schema in declared:
        if not isinstance(schema, Schema):
            what = f"a schema is a Schema, not {type(schema).__name__}"
            raise mistake(what, "schemas", 'Pass Schema(name="tasks", ...), or a list of such.')
    return declared


def _plan(plan: Plan | str | Path, resolvers: Mapping[str, Resolver], programs: Mapping[str, Program]) -> Plan:
    if isinstance(plan, Plan):
        check(plan, resolvers=resolvers, programs=programs)
        return plan
    if not isinstance(plan, str | Path):
        what = f"a plan is a Plan, its JSON text or the path of a file, not {type(plan).__name__}"
        raise mistake(what, "plan", "Pass one of them, or None to draw plans from seeds.")
    if isinstance(plan, str) and plan.lstrip().startswith("{"):
        return parse_plan(plan, resolvers=resolvers, programs=programs)
    return parse_plan(read_bytes(plan, PLAN_BYTES_MAX + 1), resolvers=resolvers, programs=programs)


def read_bytes(path: str | Path, most: int = -1) -> bytes:
    """A whole file, or its first bytes: a device may have no end."""
    try:
        with Path(path).open("rb") as file:
            return file.read(most)
    except OSError as error:
        what = f"the file cannot be read: {error.strerror or error}"
        raise FileUnreadable(what, subject=str(path), remedy="Check the path and its permissions.") from error


def _resolvers(schemas: Sequence[Schema], given: Mapping[str, Resolver] | Collection[Resolver]) -> dict[str, Resolver]:
    """The user's resolvers by name: those that are registered, and those of the schemas."""
    listed = given if isinstance(given, Mapping) else {getattr(each, "name", repr(each)): each for each in given}
    found = dict(listed)
    for schema in schemas:
        for resolver in (*schema.fields.values(), schema.default, schema.on_delete):
            built_in = BUILT_IN.get(resolver.name)
            if built_in is not None and type(resolver) is type(built_in):
                continue
            other = found.setdefault(resolver.name, resolver)
            if other is not resolver and other != resolver:
                raise _twice(schema, resolver)
    return found


def _twice(schema: Schema, resolver: Resolver) -> InvalidPlan:
    what = f"two different resolvers have the name {resolver.name!r}"
    return mistake(what, f"schema {schema.name!r}", "Give each its own name: nodes tell rules apart by it.")
