"""What nodes do about members in a plan: decide who counts, hand that over, and let go for good what was deleted.

Values only: how a world does it is not said here. Invariant: a node that may not do what it is asked is refused, as its
user would be; a plan need not know who decides at which moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .action import Action
from .arguments import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Seize(Action):
    """Let this node decide who takes part and what is purged; whoever did before is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver(Action):
    """Let a member decide from now on, if this node does."""

    member: Annotated[str, Node()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire(Action):
    """Wait for a member no more, if this node decides."""

    member: Annotated[str, Node()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore(Action):
    """Wait again for a member that was left out, if this node decides."""

    member: Annotated[str, Node()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge(Action):
    """Let go for good of what was deleted, as far as all that count have heard of it."""
