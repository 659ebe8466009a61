"""The dot: the name of one write.

A dot must not know what was written, nor when. Invariant: an actor takes its sequence numbers 1, 2,
3, ... and each only once, in the transaction that stores the write, so a dot names one write for ever.
Paper: Preguica, Baquero et al., "Dotted Version Vectors" (2010).
"""

from __future__ import annotations

from typing import NamedTuple

from .identity import Actor


class Dot(NamedTuple):
    """One local write to one record; ordered by actor, then by sequence number.

    Attributes:
        actor: the life of a replica that wrote.
        seq: its running number at that actor, from 1 to 2**63 - 1.
    """

    actor: Actor
    seq: int
