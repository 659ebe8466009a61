"""Which space a node is in: the ids that it goes by, and what becomes of them when two nodes meet.

Pure. Invariant: an id that two nodes have agreed on is never forgotten by either, so nodes that have met once find an
id in common for good; and an id that is bound to records never yields to one that is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from holdfast.clocks import SpaceId

ALIASES_MAX: Final = 256
"""Other ids of one space that are kept: one for each group of nodes that met before they held anything."""


class Bond(IntEnum):
    """How far the id of a space binds a node.

    FREE: nobody else knows it. LOOSE: nodes that held nothing have agreed on it. BOUND: it is that of records.
    """

    FREE = 0
    LOOSE = 1
    BOUND = 2


@dataclass(frozen=True, slots=True)
class Membership:
    """The space that a node is in.

    Attributes:
        space: Its id.
        bond: How far that binds.
        aliases: Other ids that it has gone by, ascending.
    """

    space: SpaceId
    bond: Bond = Bond.FREE
    aliases: tuple[SpaceId, ...] = ()

    @property
    def ids(self) -> frozenset[SpaceId]:
        """All ids by which others may know it."""
        return frozenset((self.space, *self.aliases)) if self.bond else frozenset()


STRANGER: Final = Membership(SpaceId(""))
"""Of a node that tells no id."""


def united(ours: Membership, theirs: Membership, *, holds: bool) -> Membership | None:
    """What two nodes that meet are members of from now on; None if they are in different spaces.

    Args:
        ours: What this one is a member of; if both are free, the id is ours.
        theirs: What the other one is a member of.
        holds: Whether either of them holds records.
    """
    if ours.bond is theirs.bond is Bond.BOUND and not ours.ids & theirs.ids:
        return None
    lead = theirs if _yields(ours, theirs) else ours
    bond = Bond.BOUND if holds or lead.bond is Bond.BOUND else Bond.LOOSE
    return Membership(lead.space, bond, tuple(sorted((ours.ids | theirs.ids) - {lead.space}))[:ALIASES_MAX])


def _yields(ours: Membership, theirs: Membership) -> bool:
    """Whether their id is used from now on: the one that binds more, or that ours has yielded to before."""
    if theirs.bond is not ours.bond:
        return theirs.bond > ours.bond
    yielded, they_yielded = ours.space in theirs.aliases, theirs.space in ours.aliases
    if yielded is not they_yielded:
        return yielded
    return ours.bond is not Bond.FREE and theirs.space < ours.space
