"""Read a plan from JSON text: bounded, strict, and with the place of every mistake.

Nothing is built before the text has passed the limits on bytes and depth. Invariant: what `parse_plan` returns can be
run, and every other text raises InvalidPlan whose subject is a path such as ``events[3].args.loss_per_mille``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from math import isfinite
from typing import Any, Final, NoReturn

from holdfast.engine.documents import nesting
from holdfast.errors import InvalidPlan
from holdfast.resolvers import Resolver
from holdfast.resolvers.canonical import DEPTH_MAX

from .arguments import below, mistake, read_arguments, read_object
from .atlas import check_survivable
from .lives import check_lives
from .names import check_names
from .plan import FORMAT, PLAN_BYTES_MAX, Plan

PLAN_DEPTH_MAX: Final = DEPTH_MAX + 8
"""As deep as a record may be, below plan, events, args, writes and fields."""

_WRITE_IT: Final = "Write the plan as docs/reference/plan.md describes it."


class _Repeated(dict[str, Any]):
    """An object that names one member twice."""

    name = ""


def parse_plan(
    text: str | bytes, *, resolvers: Mapping[str, Resolver] | None = None, programs: Collection[str] = ()
) -> Plan:
    """The plan that a text holds.

    Args:
        text: JSON, as ``docs/reference/plan.md`` describes it.
        resolvers: The user's, by name; the plan may name these and the built-in ones.
        programs: Names of the user's programs that the plan may run.

    Raises:
        InvalidPlan: It is no plan, or one that cannot be run; the subject names the place.
    """
    return read_plan(_decode(_bounded(text)), resolvers=resolvers, programs=programs)


def read_plan(
    value: object, *, resolvers: Mapping[str, Resolver] | None = None, programs: Collection[str] = ()
) -> Plan:
    """The plan that a JSON value holds; as `parse_plan`."""
    given = read_object(value, "")
    _check_format(given)
    plan = read_arguments(Plan, given, "")
    check(plan, resolvers=resolvers, programs=programs)
    return plan


def check(plan: Plan, *, resolvers: Mapping[str, Resolver] | None = None, programs: Collection[str] = ()) -> None:
    """Make sure that a plan of legal values fits together and can be survived.

    Raises:
        InvalidPlan: As `parse_plan`.
    """
    check_names(plan, resolvers or {}, programs)
    check_lives(plan)
    check_survivable(plan)


def _bounded(text: str | bytes) -> str:
    size = len(text)
    if size <= PLAN_BYTES_MAX and isinstance(text, str):
        size = len(text.encode(errors="surrogatepass"))
    if size > PLAN_BYTES_MAX:
        raise mistake(f"a plan may have {PLAN_BYTES_MAX:,} bytes; this one has more", "", "Split it into several.")
    try:
        plain = text.decode() if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise mistake(f"the text is not UTF-8: {error}", "", _WRITE_IT) from error
    if nesting(plain) > PLAN_DEPTH_MAX:
        raise mistake(f"a plan may nest {PLAN_DEPTH_MAX} deep; this one nests deeper", "", "Flatten its values.")
    return plain


def _decode(text: str) -> object:
    repeated: list[_Repeated] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        marked = _Repeated(found)
        names = [name for name, _ in pairs]
        marked.name = next(name for name in names if names.count(name) > 1)
        repeated.append(marked)
        return marked

    try:
        value: object = json.loads(text, object_pairs_hook=unique, parse_constant=_refuse_constant, parse_float=_finite)
    except InvalidPlan:
        raise
    except (ValueError, RecursionError) as error:
        raise mistake(f"the text is not JSON: {error}", "", _WRITE_IT) from error
    if repeated:
        path = next(_paths_to(repeated[0], value, ""))
        raise mistake("a member is given twice", below(path, f"{repeated[0].name:.40}"), "Write it once.")
    return value


def _paths_to(wanted: object, value: object, path: str) -> Iterator[str]:
    if value is wanted:
        yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _paths_to(wanted, item, below(path, name))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _paths_to(wanted, item, f"{path}[{at}]")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text[:20]} is beyond a float")
    return number


def _check_format(given: Mapping[str, object]) -> None:
    number = given.get("format")
    if type(number) is int and number > FORMAT:
        raise mistake(
            f"the plan has format {number}; this version reads up to {FORMAT}",
            "format",
            "Update Holdfast, or the plan.",
        )
    if number != FORMAT or type(number) is not int:
        raise mistake("the plan does not say its format", "format", f'Write "format": {FORMAT}.')
