"""What happened in a world as the harness observed it: operations, what each node has taken in, sessions, accidents.

Values and sets only; knows no SQL and asks the engine for nothing. Invariant: an operation enters once, under the name
that its stamp gives it, after all that its author had seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from holdfast.clocks import Actor, Dot

from .image import Image, Name, Place, Value
from .model import Model
from .operation import Kind, Known, Wrote


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
        phantoms: Receipts of operations that no file was seen to hold: (node, dot).
        withdrawn: Names that their node no longer stands for: what they named has other names now.
        lost: Operations that stood in no file when one was rolled back.
        purged: Operations that a node has let go for good, with their deleted record.
        actors: The identity that each node wrote under when it was last looked at.
        copies: Identities of files that were copied: until a copy has been told, it may use the same dots.
        ambiguous: Records in which two copies wrote under one name: whose operation it stands for, nobody can tell.
        outsiders: Identities of adversaries, whose operations nobody saw being written.
        doubtful: Whether a node has had a reason to take itself for a copy: a file put back or copied, a power cut that
            may have torn its witness, an adversary who says so.
    """

    observed: dict[str, Observed] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    transactions: list[tuple[str, int]] = field(default_factory=list)
    acknowledged: int = 0
    phantoms: list[tuple[str, Dot]] = field(default_factory=list)
    withdrawn: int = 0
    lost: int = 0
    purged: Known = field(default_factory=dict)
    actors: dict[str, Actor] = field(default_factory=dict)
    copies: set[Actor] = field(default_factory=set)
    ambiguous: set[Place] = field(default_factory=set)
    outsiders: set[Actor] = field(default_factory=set)
    doubtful: bool = False

    def everything(self) -> Known:
        """What any file stands for."""
        union: Known = {}
        for observed in self.observed.values():
            for place, bits in observed.known.items():
                union[place] = union.get(place, 0) | bits
        return union

    def count_losses(self, model: Model) -> None:
        """A file was rolled back: what stands in no file now is lost, but for what was let go."""
        kept = sum(self.everything().values()) | sum(self.purged.values())
        self.lost = model.all & ~kept & ~self.withdrawn

    def can_settle(self, claimed: Mapping[Actor, int]) -> bool:
        """Whether a session may still bring a node's vector to what one of its records has taken in.

        Not where a session was cut and its sender then left the identity that it had spoken under, was put back, or was
        a stranger who never came again: nobody claims what it had claimed, the record waits for good, and status says
        so (docs/decisions, 0019).
        """
        if not self.outsiders and not any(isinstance(event, RolledBack | Renewed) for event in self.events):
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
        expects: Record -> the version on which alone the job of this operation is to be done.
    """

    place: Place
    kind: Kind
    writes: Mapping[str, Value] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    read: frozenset[Dot] | None = None
    decision: bool = False
    alive: bool = True
    expects: Mapping[Place, str] = field(default_factory=dict)

    @property
    def logged(self) -> tuple[Place, Kind]:
        """Place and kind as the log shows them."""
        return self.place, Kind.DECIDE if self.decision else self.kind
