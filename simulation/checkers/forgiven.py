"""What purging may cost: which differences from the model a record may show because a part of it was let go for good.

The oracle of tests/model/observer.py in the words of worlds. Whether a record is alive is exact, whatever was purged.
Of its fields, what was let go (every member that counted had taken it in) may be missing, and so may what it had done:
a value that only such operations had superseded may stand again. A delete that was let go need not stand beside what
revives the record. Knows no world; invariant: without anything let go nothing is forgiven.
"""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.resolvers import Policy

from ..observed.image import Held, Name, Place, Value
from ..observed.model import Expected, Model
from ..observed.projection import project

_BY_DEFAULT = Policy()


def forgiving(model: Model, place: Place, held: Held, wanted: Expected, known: int, gone: int) -> Expected:
    """The record that is nearest to what stands here and that may be.

    Args:
        model: All operations.
        place: The record.
        held: As it stands.
        wanted: As the model makes it of all that is known here.
        known: What is known here.
        gone: What of that was let go for good.
    """
    lives = {name: alive for name, alive in wanted.existence.items() if alive or name in held.existence}
    lives |= {name: alive for name, alive in wanted.existence.items() if not model.bits([name]) & gone}
    fields = sorted(wanted.cells.keys() | held.cells.keys())
    cells = {
        field: cell
        for field in fields
        if (cell := _cell(model, place, field, held, wanted.cells.get(field, {}), known, gone))
    }
    policy = model.policies.get(place[0], _BY_DEFAULT)
    return Expected(lives, cells, project(place, lives, cells, model.operation, policy))


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
