"""What happened in a world as the harness observed it: operations, what each node has taken in, sessions, accidents.

Values and sets only; knows no SQL and asks the engine for nothing. Invariant: an operation enters once, under the name
that its stamp gives it, after all that its author had seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from holdfast.clocks import Actor, Dot

from .image import Image, Name, Place, Value

if TYPE_CHECKING:
    from .model import Model

Known = dict[Place, int]
"""Record -> the set of operations on it, as bits of an integer (numbered by the model)."""


class Kind(IntEnum):
    """What a log row tells of (docs/file-format.md)."""

    PUT = 1
    UPDATE = 2
    DELETE = 3
    DECIDE = 4
    MERGE = 5
    REISSUE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrote:
    """One operation.

    Attributes:
        node, name, place: Who wrote it, its stamp, which record.
        seen: The operations that stood in the record as its author had read it.
        writes: Field -> value. Of operations that one transaction wrote over again, only what was submitted is known.
        clears: Fields that it removed; None: all that it does not write (a put), but for values of types that are no
            registers, unless `reborn`: its author saw no living record.
        alive, birth, decision: As its stamp and the existence say.
        lsn: Its transaction at the author.
        renames: The operation whose new name this is.
    """

    node: str
    name: Name
    place: Place
    seen: frozenset[Name]
    writes: Mapping[str, Value] = field(default_factory=dict)
    clears: frozenset[str] | None = frozenset()
    alive: bool = True
    birth: bool = False
    reborn: bool = False
    decision: bool = False
    lsn: int = 0
    renames: Name | None = None

    def governs(self, name: str, *, register: bool) -> bool:
        """Whether it replaces what its author had seen in this field."""
        if name in self.writes:
            return True
        return name in self.clears if self.clears is not None else self.reborn or register

    def __str__(self) -> str:
        what = "delete" if not self.alive else "put" if self.clears is None else "update"
        said = ", ".join(f"{name}={value}" for name, value in sorted(self.writes.items()))
        gone = ", ".join(f"-{name}" for name in sorted(self.clears or ()))
        return f"{self.name} by {self.node}: {what} {said}{' ' if said and gone else ''}{gone}".rstrip(": ")


@dataclass(frozen=True, slots=True)
class Gain:
    """What one side of a completed session has from the other: all that it had, and had taken in, when they began."""

    node: str
    peer: str
    had: Known
    vector: Mapping[Actor, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """A session of `node` with `peer` was completed; `pulled`, `pushed`: which side took in what the other had.

    Attributes:
        nodes_had, peers_had: What each side had taken in when it began, and
        nodes_vector, peers_vector: its version vector then.
    """

    node: str
    peer: str
    at_ms: int
    peers_actor: Actor
    nodes_had: Known
    peers_had: Known
    nodes_vector: Mapping[Actor, int]
    peers_vector: Mapping[Actor, int]
    pulled: bool = True
    pushed: bool = True

    def gains(self) -> Iterator[Gain]:
        """What each side that read the other to its end must hold now."""
        if self.pulled:
            yield Gain(self.node, self.peer, self.peers_had, self.peers_vector)
        if self.pushed:
            yield Gain(self.peer, self.node, self.nodes_had, self.nodes_vector)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """A node's file is now an older state of itself, or empty: a restore, a lost disk, an unsafe power cut."""

    node: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """A node goes on under another identity."""

    node: str
    old: Actor
    new: Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """A node's process ended and came back; `clean`: it was closed, not ended in the middle."""

    node: str
    clean: bool


Event = Synced | RolledBack | Renewed | Reopened


@dataclass(slots=True)
class Observed:
    """One node as it was last looked at.

    Attributes:
        image: Its file.
        known: What the file stands for: all that the authors of what is visible had seen, and that itself.
        owed: What it has ever stood for, or acknowledged, since its file was last rolled back.
        strangers: Operations that stand here and that nobody was seen to write.
        came: Operations that the last look found and that others wrote.
        wrote: Operations that the last look found and that were written here, in their order.
        wall_ms: The node's wall clock at that look; wall_before_ms: at the one before.
        clock: The saved hybrid clock; clock_before: at the look before, None if that was another state of the file.
        discarded: Siblings of conflicts that the last look no longer found, and whose values are gone.
    """

    image: Image = field(default_factory=Image)
    known: Known = field(default_factory=dict)
    owed: Known = field(default_factory=dict)
    strangers: dict[Place, frozenset[Name]] = field(default_factory=dict)
    came: list[tuple[Place, Name]] = field(default_factory=list)
    wrote: list[Wrote] = field(default_factory=list)
    wall_ms: int = 0
    clock: int | None = None
    clock_before: int | None = None
    discarded: list[tuple[Place, str, Name]] = field(default_factory=list)


@dataclass(slots=True)
class History:
    """Everything that was observed.

    Attributes:
        observed: Each node as it was last looked at.
        events: Sessions and accidents, in order.
        transactions: Sets of operations that were written together: (author's node, operations).
        acknowledged: Operations whose caller has got the receipt.
        withdrawn: Names that their node no longer stands for: what they named has other names now.
        lost: Operations that stood in no file when one was rolled back.
        actors: The identity that each node wrote under when it was last looked at.
        copies: Identities of files that were copied: until a copy has been told, it may use the same dots.
        outsiders: Identities of adversaries, whose operations nobody saw being written.
    """

    observed: dict[str, Observed] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    transactions: list[tuple[str, int]] = field(default_factory=list)
    acknowledged: int = 0
    withdrawn: int = 0
    lost: int = 0
    actors: dict[str, Actor] = field(default_factory=dict)
    copies: set[Actor] = field(default_factory=set)
    outsiders: set[Actor] = field(default_factory=set)

    def everything(self) -> Known:
        """What any file stands for."""
        union: Known = {}
        for observed in self.observed.values():
            for place, bits in observed.known.items():
                union[place] = union.get(place, 0) | bits
        return union

    def count_losses(self, model: Model) -> None:
        """A file was rolled back: what stands in no file now is lost."""
        self.lost = model.all & ~sum(self.everything().values()) & ~self.withdrawn

    def can_settle(self, claimed: Mapping[Actor, int]) -> bool:
        """Whether a session may still bring a node's vector to what one of its records has taken in.

        Not where a session was cut and its sender then left the identity that it had spoken under, or was put back:
        nobody claims what it had claimed, the record waits for good, and status says so (docs/decisions, 0019).
        """
        if not any(isinstance(event, RolledBack | Renewed) for event in self.events):
            return True
        vectors = [seen.image.vector for seen in self.observed.values()]
        return all(any(vector.get(actor, 0) >= seq for vector in vectors) for actor, seq in claimed.items())

    def synced(self, node: str) -> Iterator[Synced]:
        """Completed sessions of a node, in either role."""
        return (event for event in self.events if isinstance(event, Synced) and node in (event.node, event.peer))


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One operation as it was submitted to the engine, before it had a name.

    Attributes:
        place, kind, writes, removed: What was asked for.
        read: The dots that its author had read; None: the state at commit.
        decision: Whether it settles a conflict.
    """

    place: Place
    kind: Kind
    writes: Mapping[str, Value] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    read: frozenset[Dot] | None = None
    decision: bool = False
    alive: bool = True

    @property
    def logged(self) -> tuple[Place, Kind]:
        """Place and kind as the log shows them."""
        return self.place, Kind.DECIDE if self.decision else self.kind
