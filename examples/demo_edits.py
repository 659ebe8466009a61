"""What the devices do while they are cut off: edits of their own, and edits of the same records at the same time.

Pure but for the seed that is passed in. Invariants: equal arguments give equal edits; no device is asked for an edit
that must fail, such as an update of a record that it has deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from zlib import crc32

from demo_lines import Line

Data = dict[str, Line]
"""The records of the data file: key -> fields."""

OWN_SHARE = 4
"""Without a file of edits each fourth record is edited by one device."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One write that a device is to make."""

    op: str
    key: str
    fields: Line = field(default_factory=dict)


@dataclass(slots=True)
class Plan:
    """The edits of each device in their order, and how many of the contested records are of which kind."""

    edits: dict[str, list[Edit]]
    contested: dict[str, int] = field(default_factory=dict)


def make_plan(data: Data, given: Iterable[Line] | None, edges: Sequence[str], contested: int, random: Random) -> Plan:
    """Deal edits over the devices.

    Args:
        data: The records that all devices have.
        given: Lines of a file of edits; None to invent some.
        edges: Names of the devices.
        contested: How many records two or three devices edit at once.
        random: Where everything random comes from.
    """
    own = list(_own_edits(data, random)) if given is None else [_from_line(line) for line in given]
    plan = Plan({edge: [] for edge in edges})
    for edit in own:
        # By key, so that the edits of one record stay in their order, at one device.
        plan.edits[edges[crc32(edit.key.encode()) % len(edges)]].append(edit)
    busy = {edit.key for edit in own}
    free = sorted(key for key in data if key not in busy and data[key])
    disputes = _Disputes(data, edges, random)
    for number, key in enumerate(random.sample(free, min(contested, len(free)))):
        kind, edits = disputes.of_kind(number, key)
        plan.contested[kind] = plan.contested.get(kind, 0) + 1
        for edge, edit in edits.items():
            # Somewhere between the device's other edits, so that the clocks of the sides are not in one order.
            plan.edits[edge].insert(random.randrange(len(plan.edits[edge]) + 1), edit)
    return plan


def _from_line(line: Line) -> Edit:
    fields = {name: value for name, value in line.items() if name not in ("key", "op", "at")}
    return Edit(line["op"], line["key"], fields)


def _own_edits(data: Data, random: Random) -> Iterable[Edit]:
    keys = sorted(key for key in data if data[key])
    for number, key in enumerate(random.sample(keys, len(keys) // OWN_SHARE)):
        fields = data[key]
        match number % 6:
            case 0:
                yield Edit("delete", key)
            case 1:
                yield Edit("put", f"{key}-new", fields)
            case _:
                name = random.choice(sorted(fields))
                yield Edit("update", key, {name: altered(fields[name], "corrected", number)})


@dataclass(frozen=True, slots=True)
class _Disputes:
    """Makes edits of one record that several devices make without knowing of each other."""

    data: Data
    edges: Sequence[str]
    random: Random

    def of_kind(self, number: int, key: str) -> tuple[str, dict[str, Edit]]:
        """The next dispute about a record: its kind, and what each side does. Ten kinds of dispute take turns."""
        match number % 10:
            case 0 | 5:
                return "update against delete", self._update_delete(key, number)
            case 1:
                return "put against update", self._put_update(key, number)
            case 2:
                return "create against create", self._create_create(key)
            case 3:
                return "update against update", self._update_update(key, number, 3)
            case _:
                return "update against update", self._update_update(key, number, 2)

    def _update_update(self, key: str, number: int, count: int) -> dict[str, Edit]:
        """So many devices change the same field."""
        sides = self._sides(count)
        name = self._field(key, number)
        return {edge: Edit("update", key, {name: altered(self.data[key][name], edge, at)}) for at, edge in sides}

    def _update_delete(self, key: str, number: int) -> dict[str, Edit]:
        (at, first), (_, second) = self._sides(2)
        name = self._field(key, number)
        return {
            first: Edit("update", key, {name: altered(self.data[key][name], first, at)}),
            second: Edit("delete", key),
        }

    def _put_update(self, key: str, number: int) -> dict[str, Edit]:
        (at, first), (other, second) = self._sides(2)
        name = self._field(key, number)
        whole = {**self.data[key], name: altered(self.data[key][name], first, at)}
        return {
            first: Edit("put", key, whole),
            second: Edit("update", key, {name: altered(self.data[key][name], second, other)}),
        }

    def _create_create(self, key: str) -> dict[str, Edit]:
        """Two devices make a record under the same new key."""
        sides, name = self._sides(2), min(self.data[key])
        fields = self.data[key]
        return {
            edge: Edit("put", f"{key}-twin", {**fields, name: altered(fields[name], edge, at)}) for at, edge in sides
        }

    def _sides(self, count: int) -> list[tuple[int, str]]:
        return list(enumerate(self.random.sample(list(self.edges), count), start=1))

    def _field(self, key: str, number: int) -> str:
        """The field in dispute: every other time one of text, where a device asks instead of taking the last."""
        fields = sorted(self.data[key])
        texts = [name for name in fields if isinstance(self.data[key][name], str)]
        return self.random.choice(texts if texts and number % 2 else fields)


def altered(value: object, by: str, number: int) -> object:
    """Another value of the same type; different for every `by` or `number`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value + number
    if isinstance(value, str):
        return f"{value} ({by})"
    return f"{by} {number}"


def asked_field(data: Data) -> str | None:
    """The field whose conflicts a person is to settle: the first that holds text in the first record that has one."""
    for fields in data.values():
        for name, value in fields.items():
            if isinstance(value, str):
                return name
    return None
