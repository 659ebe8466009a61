"""Version tokens: what a reader hands back to say which state it has read.

Pure. Invariant: two states of a record have equal tokens exactly when they have the same frontier.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NewType

from holdfast.clocks import Dot, parse_actor
from holdfast.errors import HoldfastError, InvalidValue

Version = NewType("Version", str)
"""Dots of the frontier as ``actor.seq``, sorted, joined by commas."""

NO_RECORD: Final = Version("")
"""The version of a record that does not exist."""


def version_of(dots: Iterable[Dot]) -> Version:
    """The token of a frontier."""
    return Version(",".join(f"{actor}.{seq}" for actor, seq in sorted(dots)))


def dots_of(version: str) -> frozenset[Dot]:
    """The frontier that a token stands for.

    Raises:
        InvalidValue: It is no token that `version_of` made.
    """
    if not version:
        return frozenset()
    try:
        parts = [part.split(".") for part in version.split(",")]
        return frozenset(Dot(parse_actor(actor), int(seq)) for actor, seq in parts)
    except (ValueError, HoldfastError) as error:
        raise InvalidValue("not a version token", subject=repr(version[:60]), remedy="Pass record.version.") from error
