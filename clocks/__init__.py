"""Causality: identities, dots, version vectors and the hybrid logical clock.

Everything here is a value or a small state machine over values. The package must not know records,
storage, transport, wall time or randomness: time and entropy enter as arguments. It imports nothing but
`holdfast.errors`.
"""

from .dot import Dot
from .hybrid import (
    DRIFT_MS_MAX,
    HybridClock,
    Observation,
    TimeSource,
    Timestamp,
    logical,
    millis,
    pack,
)
from .identity import (
    Actor,
    Entropy,
    NodeId,
    SpaceId,
    actor_bytes,
    actor_from_bytes,
    actor_of,
    incarnation_of,
    new_incarnation,
    new_node_id,
    new_space_id,
    node_of,
    parse_actor,
)
from .ranges import NO_DOTS, DotRanges
from .vector import EMPTY, SEQ_MAX, Causality, VersionVector

__all__ = [
    "DRIFT_MS_MAX",
    "EMPTY",
    "NO_DOTS",
    "SEQ_MAX",
    "Actor",
    "Causality",
    "Dot",
    "DotRanges",
    "Entropy",
    "HybridClock",
    "NodeId",
    "Observation",
    "SpaceId",
    "TimeSource",
    "Timestamp",
    "VersionVector",
    "actor_bytes",
    "actor_from_bytes",
    "actor_of",
    "incarnation_of",
    "logical",
    "millis",
    "new_incarnation",
    "new_node_id",
    "new_space_id",
    "node_of",
    "pack",
    "parse_actor",
]
