"""The kinds of arguments that actions and nodes have: what each accepts in JSON, and how it is described.

Knows no action and no plan. Invariant: ``kind.read(kind.write(value), path) == value`` for every legal value, and what
`describe` says is what `read` accepts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from typing import Any, Final, Protocol, TypeVar, get_type_hints

from holdfast.engine.documents import KEY_BYTES_MAX, NAME_CHARS_MAX, check_key, check_name, encode_document
from holdfast.errors import HoldfastError, InvalidPlan

NODE_NAME_CHARS_MAX: Final = 32
SPAN_MS_MAX: Final = 10 * 365 * 24 * 3_600_000
"""Ten virtual years: the longest plan, pause and jump of a clock."""

_Record = TypeVar("_Record")

# Names of nodes are folders on disk and parts of the names of streams of choices.
_NODE_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{NODE_NAME_CHARS_MAX - 1}}}")


class Kind(Protocol):
    """What one argument may be."""

    def read(self, value: object, path: str) -> Any:  # noqa: ANN401 - each kind has its own type
        """The typed value; raises InvalidPlan that names `path`."""
        ...

    def write(self, value: Any) -> object:  # noqa: ANN401 - as read
        """The JSON value."""
        ...

    def describe(self) -> str:
        """What is accepted, for people."""
        ...


def mistake(what: str, path: str, remedy: str) -> InvalidPlan:
    """The error for one place of a plan."""
    return InvalidPlan(what, subject=path or "plan", remedy=remedy)


class _Plain:
    """JSON as it stands."""

    def write(self, value: object) -> object:
        """As JSON."""
        return value


@dataclass(frozen=True, slots=True)
class Integer(_Plain):
    """A whole number from `low` to `high`, in `unit`."""

    low: int
    high: int
    unit: str = ""

    def read(self, value: object, path: str) -> int:
        """The value, if it is one."""
        if type(value) is not int or not self.low <= value <= self.high:
            raise mistake(f"{_shown(value)} is not {self.describe()}", path, "Write a number in this range.")
        return value

    def describe(self) -> str:
        """What fits here."""
        unit = f" {self.unit}" if self.unit else ""
        return f"integer, {self.low:,} to {self.high:,}{unit}"


@dataclass(frozen=True, slots=True)
class Flag(_Plain):
    """True or false."""

    def read(self, value: object, path: str) -> bool:
        """The value, if it is one."""
        if type(value) is not bool:
            raise mistake(f"{_shown(value)} is not true or false", path, "Write true or false.")
        return value

    def describe(self) -> str:
        """What fits here."""
        return "true or false"


@dataclass(frozen=True, slots=True)
class Word(_Plain):
    """One of a closed list of words."""

    words: tuple[str, ...]

    def read(self, value: object, path: str) -> str:
        """The value, if it is one."""
        if type(value) is not str or value not in self.words:
            raise mistake(f"{_shown(value)} is none of the words here", path, f"Write {self.describe()}.")
        return value

    def describe(self) -> str:
        """What fits here."""
        return " or ".join(f'"{word}"' for word in self.words)


@dataclass(frozen=True, slots=True)
class Text(_Plain):
    """Text of up to `chars_max` characters."""

    chars_max: int

    def read(self, value: object, path: str) -> str:
        """The value, if it is one."""
        if type(value) is not str or len(value) > self.chars_max or not _is_utf8(value):
            raise mistake(f"{_shown(value)} is not {self.describe()}", path, "Write legal text.")
        return value

    def describe(self) -> str:
        """What fits here."""
        return f"text of up to {self.chars_max:,} characters"


@dataclass(frozen=True, slots=True)
class Name(_Plain):
    """The name of a collection, field, program, resolver, backup or attack, as the engine takes names."""

    of: str

    def read(self, value: object, path: str) -> str:
        """The value, if it is one."""
        try:
            return check_name(value, self.of)
        except HoldfastError as error:
            raise mistake(error.what, path, error.remedy) from error

    def describe(self) -> str:
        """What fits here."""
        return f"name of a {self.of}, 1 to {NAME_CHARS_MAX} printable characters"


@dataclass(frozen=True, slots=True)
class Node(_Plain):
    """The name of a node; `role` is "hub" where only a hub fits, "new" where the name must not be taken yet."""

    role: str = ""

    def read(self, value: object, path: str) -> str:
        """The value, if it is one."""
        if type(value) is not str or not _NODE_NAME.fullmatch(value):
            raise mistake(
                f"{_shown(value)} cannot be the name of a node",
                path,
                f"Write 1 to {NODE_NAME_CHARS_MAX} letters, digits, '-' and '_', such as \"edge-1\".",
            )
        return value

    def describe(self) -> str:
        """What fits here."""
        return {"": "name of a node", "hub": "name of a hub", "new": "name that no node has"}[self.role]


@dataclass(frozen=True, slots=True)
class Key(_Plain):
    """The key of a record, as the engine takes keys."""

    def read(self, value: object, path: str) -> str:
        """The value, if it is one."""
        try:
            return check_key(value, "key")
        except HoldfastError as error:
            raise mistake(error.what, path, error.remedy) from error

    def describe(self) -> str:
        """What fits here."""
        return f"key of a record, 1 to {KEY_BYTES_MAX} bytes of UTF-8"


@dataclass(frozen=True, slots=True)
class Fields(_Plain):
    """The fields of a record, as the engine takes them."""

    def read(self, value: object, path: str) -> dict[str, Any]:
        """The value, if it is one."""
        if type(value) is not dict:
            raise mistake(f"{_shown(value)} is not an object", path, 'Write fields and values: {"title": "a"}.')
        _check_fields(value, path)
        return value

    def describe(self) -> str:
        """What fits here."""
        return "object of fields and values, as in `put`"


@dataclass(frozen=True, slots=True)
class Value(_Plain):
    """Any JSON value that a field can have."""

    def read(self, value: object, path: str) -> object:
        """The value, if it is one."""
        _check_fields({"value": value}, path)
        return value

    def describe(self) -> str:
        """What fits here."""
        return "any JSON value that a field can have"


@dataclass(frozen=True, slots=True)
class Maybe:
    """A kind, or null."""

    kind: Kind
    null: str

    def read(self, value: object, path: str) -> Any:  # noqa: ANN401 - as the inner kind
        """The value, if it is one."""
        return None if value is None else self.kind.read(value, path)

    def write(self, value: object) -> object:
        """As JSON."""
        return None if value is None else self.kind.write(value)

    def describe(self) -> str:
        """What fits here."""
        return f"{self.kind.describe()}; null: {self.null}"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of `low` to `high` values of one kind."""

    kind: Kind
    low: int
    high: int
    note: str = ""

    def read(self, value: object, path: str) -> tuple[Any, ...]:
        """The value, if it is one."""
        items = read_list(value, path, self.low, self.high)
        return tuple(self.kind.read(item, f"{path}[{at}]") for at, item in enumerate(items))

    def write(self, value: Sequence[Any]) -> object:
        """As JSON."""
        return [self.kind.write(item) for item in value]

    def describe(self) -> str:
        """What fits here."""
        note = f"; {self.note}" if self.note else ""
        return f"list of {self.low:,} to {self.high:,}: {self.kind.describe()}{note}"


@dataclass(frozen=True, slots=True)
class Part:
    """A dataclass whose fields say their kinds, as an object; `title` is its heading in the reference."""

    record: Any
    title: str

    def read(self, value: object, path: str) -> Any:  # noqa: ANN401 - the dataclass
        """The value, if it is one."""
        return read_arguments(self.record, value, path)

    def write(self, value: object) -> object:
        """As JSON."""
        return write_arguments(value)

    def describe(self) -> str:
        """What fits here."""
        return f"[{self.title}](#{self.title.lower()})"


def read_list(value: object, path: str, low: int, high: int) -> list[object]:
    """The value as a list of `low` to `high` items."""
    if type(value) is not list:
        raise mistake(f"{_shown(value)} is not a list", path, "Write a list: [...].")
    if not low <= len(value) <= high:
        raise mistake(f"a list of {len(value):,} where {low:,} to {high:,} fit", path, "Shorten or complete it.")
    return value


def read_object(value: object, path: str) -> dict[str, object]:
    """The value as an object."""
    if type(value) is not dict:
        raise mistake(f"{_shown(value)} is not an object", path, "Write an object: {...}.")
    return value


def below(path: str, name: str) -> str:
    """The path of a member of the object at `path`; the plan itself has the path ""."""
    return f"{path}.{name}" if path else name


def kinds_of(record: Any) -> Mapping[str, Kind]:  # noqa: ANN401 - any dataclass
    """The kind of each field of a dataclass, in order; a field says it as ``Annotated[type, kind]``."""
    return _kinds(record)


@cache
def _kinds(record: Any) -> Mapping[str, Kind]:  # noqa: ANN401 - any dataclass
    hints = get_type_hints(record, include_extras=True)
    return {field.name: hints[field.name].__metadata__[0] for field in fields(record)}


def required(record: Any) -> frozenset[str]:  # noqa: ANN401 - any dataclass
    """The fields of a dataclass that have no default."""
    return frozenset(field.name for field in fields(record) if _default(field) is MISSING)


def read_arguments(record: type[_Record], value: object, path: str) -> _Record:
    """A dataclass from a JSON object; a field that is not given has its default."""
    given = read_object(value, path)
    kinds = kinds_of(record)
    for name in given:
        if name not in kinds:
            remedy = f"There are: {', '.join(kinds) or 'none'}."
            raise mistake("there is no such argument", below(path, f"{name:.40}"), remedy)
    for name, kind in kinds.items():
        if name in required(record) and name not in given:
            raise mistake("an argument is missing", below(path, name), f"Write it: {kind.describe()}.")
    return record(**{name: kinds[name].read(item, below(path, name)) for name, item in given.items()})


def write_arguments(record: Any) -> dict[str, object]:  # noqa: ANN401 - any dataclass with kinds
    """The JSON object of a dataclass, without what has its default value."""
    kinds = kinds_of(type(record))
    return {
        field.name: kinds[field.name].write(getattr(record, field.name))
        for field in fields(record)
        if (default := _default(field)) is MISSING or getattr(record, field.name) != default
    }


def _default(field: Field[Any]) -> object:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _check_fields(fields: dict[str, object], path: str) -> None:
    try:
        encode_document(fields, path)
    except HoldfastError as error:
        raise mistake(error.what, path, error.remedy) from error


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _shown(value: object) -> str:
    """The value, short enough for a message."""
    text = ascii(value) if isinstance(value, str | int | float | bool) or value is None else f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - the length stands beside it
