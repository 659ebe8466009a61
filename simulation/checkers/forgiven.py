"""What purging may cost: which differences from the model a record may show because a part of it was let go for good.

The oracle of tests/model/observer.py in the words of worlds. Whether a record is alive is exact, whatever was purged.
Of its fields, what was let go (every member that counted had taken it in) may be missing, and so may what it had done:
a value that only such operations had superseded may stand again; but no field may be empty for it that the author of
what keeps the record alive had seen. A delete that was let go need not stand beside what
revives the record. Knows no world; invariant: without anything let go nothing is forgiven.
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.resolvers import Policy

from ..observed.image import Held, Name, Place, Value
from ..observed.model import Expected, Model
from ..observed.projection import project

_BY_DEFAULT = Policy()


def forgiving(model: Model, place: Place, held: Held, wanted: Expected, known: int, purged: int) -> Expected:
    """The record that is nearest to what stands here and that may be.

    Args:
        model: All operations.
        place: The record.
        held: As it stands.
        wanted: As the model makes it of all that is known here.
        known: What is known here.
        purged: What was let go of it for good, known here or not.
    """
    lives = {
        name: alive
        for name, alive in wanted.existence.items()
        if name in held.existence or not _may_be_missing(model, place, held, name, purged)
    }
    fields = sorted(wanted.cells.keys() | held.cells.keys())
    cells: dict[str, Mapping[Name, Value]] = {
        field: cell
        for field in fields
        if (cell := _cell(model, place, field, held, wanted.cells.get(field, {}), known, known & purged))
    }
    cells |= _fragments(model, place, held, known)
    policy = model.policies.get(place[0], _BY_DEFAULT)
    return Expected(lives, cells, project(place, lives, cells, model.operation, policy))


def _may_be_missing(model: Model, place: Place, held: Held, name: Name, purged: int) -> bool:
    """A delete that was let go; or what one had seen, at a node that has heard an absence and not yet all behind it."""
    if not model.operation(name).alive:
        return bool(model.bits([name]) & purged)
    return held.returned and bool(model.superseders(place, None, name, purged))


def _fragments(model: Model, place: Place, held: Held, known: int) -> dict[str, Mapping[Name, Value]]:
    """Fields that must not be missing: whoever keeps the record alive had seen them, and nobody has removed them."""
    missing: dict[str, Mapping[Name, Value]] = {}
    for name in (name for name, alive in held.existence.items() if alive and name in model):
        if model.operation(name).reborn:
            continue  # its author saw no record
        past, seen = model.known([name]), model.operation(name).seen
        others = [*model.members(known & model.of_place.get(place, 0) & ~past)]
        for field, cell in model.expected(place, past).cells.items():
            removed = any(
                field not in each.writes and (each.reborn or each.governs(field, register=True)) for each in others
            )
            if field not in held.cells and not removed and (cell.keys() & seen or name in cell):
                missing[field] = cell
    return missing


def _cell(
    model: Model, place: Place, field: str, held: Held, wanted: Mapping[Name, Value], known: int, gone: int
) -> dict[Name, Value]:
    """The values that stand in a field and may, and those that do not and must."""
    there = held.cells.get(field, {})
    cell = {name: value for name, value in wanted.items() if name in there or not model.bits([name]) & gone}
    for name in there.keys() - wanted.keys():
        if name in model and field in model.operation(name).writes:
            newer = model.bits(each.name for each in model.superseders(place, field, name, known))
            if newer & ~gone == 0:
                cell[name] = model.operation(name).writes[field]
    return cell
