"""Version tokens: what a reader hands back to say which state it has read.

Pure. Invariant: two states of a record have equal tokens exactly when they have the same frontier.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NewType

from holdfast.clocks import Dot

Version = NewType("Version", str)
"""Dots of the frontier as ``actor.seq``, sorted, joined by commas."""

NO_RECORD: Final = Version("")
"""The version of a record that does not exist."""


def version_of(dots: Iterable[Dot]) -> Version:
    """The token of a frontier."""
    return Version(",".join(f"{actor}.{seq}" for actor, seq in sorted(dots)))
