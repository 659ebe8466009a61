"""What all actions of a plan have in common: a name, a place, and arguments whose kinds can be listed.

Knows no single action. Invariant: every argument is a JSON value of one declared kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Final, Literal

from .arguments import SPAN_MS_MAX, Fields, Integer, Key, Kind, ListOf, Maybe, Name, Node, Word, kinds_of

GROUP_NODES_MAX: Final = 1_000
CLOCK_MS_MAX: Final = 10**14
"""Three thousand years: more than a hybrid clock believes, so that the atlas can say so."""

CollectionName = Annotated[str, Name("collection")]
RecordKey = Annotated[str, Key()]
Document = Annotated[dict[str, Any], Fields()]
ThinkMs = Annotated[int, Integer(0, SPAN_MS_MAX, "ms")]
PeriodMs = Annotated[int, Integer(1, SPAN_MS_MAX, "ms")]
PerMille = Annotated[int, Integer(0, 1_000, "per mille")]
ByteCount = Annotated[int, Integer(0, 10**12, "bytes")]
DiskMs = Annotated[int, Integer(0, 600_000, "ms")]
ForMs = Annotated[int | None, Maybe(Integer(1, SPAN_MS_MAX, "ms"), "until its opposite, or healing")]
DownMs = Annotated[int | None, Maybe(Integer(1, SPAN_MS_MAX, "ms"), "until `restart`, or healing")]
HubName = Annotated[str, Node("hub")]
Group = Annotated[tuple[str, ...], ListOf(Node(), 1, GROUP_NODES_MAX)]
Peers = Annotated[tuple[str, ...], ListOf(Node(), 0, GROUP_NODES_MAX, "empty: all nodes that are not in `group`")]
Direction = Literal["both", "to", "from"]
Way = Annotated[Direction, Word(("both", "to", "from"))]


class Action:
    """What all actions share: a name, made of the class's, and arguments that can be listed."""

    __slots__ = ()
    name: ClassVar[str]
    place: ClassVar[Literal["node", "links"]] = "node"
    """Whether an event names a node, or the action's `group` and `peers` say which links it is about."""

    def __init_subclass__(cls) -> None:
        cls.name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def arguments(self) -> Iterator[tuple[str, Kind, Any]]:
        """Each argument as (name, kind, value), in order."""
        for name, kind in kinds_of(type(self)).items():
            yield name, kind, getattr(self, name)


class LinkAction(Action):
    """An action on the links between each node of `group` and each of `peers`."""

    __slots__ = ()
    place = "links"
