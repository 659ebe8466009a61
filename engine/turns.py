"""What a change turns for readers: enough to tell, from how a record reads after it, how it read before.

Pure; knows nothing of causality. Invariant: taking back the turns of a record one after the other, the last first,
gives every document that readers saw.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from holdfast.resolvers import Policy
from holdfast.resolvers.canonical import encode

from .cells import Record
from .detector import agreed, disputed
from .documents import compose, is_name, replaced, split
from .projection import project

Texts = Mapping[str, str]
"""Field -> canonical JSON text."""


class Turn(NamedTuple):
    """How a record read before one change, as far as it read otherwise.

    Attributes:
        old: JSON of the fields that read otherwise, or are gone; of a record that is gone, all of them.
        added: JSON list of the fields that it did not have; None for none.
        was: 0 if there was no such record, 1 if it is gone now; None if neither.
    """

    old: str | None = None
    added: str | None = None
    was: int | None = None


UNTURNED: Final = Turn()
BORN: Final = Turn(was=0)


def turn(before: tuple[bool, Texts], after: tuple[bool, Texts]) -> Turn:
    """The turn from how a record read to how it reads; of each whether it lives, and its fields."""
    (lived, old), (lives, new) = before, after
    if not lived:
        return BORN if lives else UNTURNED
    if not lives:
        return Turn(old=compose(old), was=1)
    return Turn(replaced(old, new), names(name for name in new if name not in old))


def turn_of_fields(before: Record, after: Record, fields: Iterable[str]) -> Turn | None:
    """The turn of a change to these fields only; None where one of them, or existence, was or is in dispute."""
    if not before.alive or disputed(before.existence) or disputed(after.existence):
        return None
    old: dict[str, str] = {}
    added: list[str] = []
    for name in fields:
        was, now = before.cells.get(name), after.cells.get(name)
        text = agreed(was) if was is not None else None
        new = agreed(now) if now is not None else None
        if (was is not None and text is None) or (now is not None and new is None):
            return None
        if text is None:
            added += [name] if new is not None else []
        elif text != new:
            old[name] = text
    return Turn(compose(old) if old else None, names(added))


def names(fields: Iterable[str]) -> str | None:
    """Names as a JSON list; None for none."""
    found = sorted(fields)
    return encode(found) if found else None


def shown(collection: str, key: str, record: Record, policy: Policy) -> tuple[bool, Texts]:
    """How a record reads: whether it lives, and its fields."""
    texts = {name: agreed(cell) for name, cell in record.cells.items()}
    if not disputed(record.existence) and None not in texts.values():
        return record.alive and is_name(collection), {name: text for name, text in texts.items() if text is not None}
    projection = project(collection, key, record, policy)
    return projection.live, split(projection.doc)


def taken_back(live: bool, texts: Texts, change: Turn) -> tuple[bool, Texts]:  # noqa: FBT001 - one half of a state
    """How the record read before a change, from how it read after it."""
    old = split(change.old) if change.old else {}
    if change.was == 0:
        return False, {}
    if change.was == 1:
        return True, texts if change.old is None else old  # a log row of format 3 did not say
    added = frozenset(json.loads(change.added)) if change.added else ()
    return live, {name: text for name, text in {**texts, **old}.items() if name not in added}
