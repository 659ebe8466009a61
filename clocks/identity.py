"""Names of nodes, actors and spaces: what a dot's first half and a session's address are made of.

An actor is a node id followed by an incarnation: one life of one database file. A copy or a restore
keeps the node id and starts a new incarnation, so no two lives ever number their writes in the same
sequence.

This module must not know where randomness comes from, nor files, hosts or networks: entropy is an
argument. Invariant: every name is lowercase hex of a fixed length, so the order of names as text is
the order of their bytes, and a name has exactly one spelling.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NewType

from holdfast.errors import InvalidName

NodeId = NewType("NodeId", str)
"""One replica, over all its lives: 16 lowercase hex characters (8 random bytes)."""

Actor = NewType("Actor", str)
"""One life of one replica: 32 lowercase hex characters, node id then incarnation."""

SpaceId = NewType("SpaceId", str)
"""One set of replicas that sync with each other: 32 lowercase hex characters (16 random bytes)."""

Entropy = Callable[[int], bytes]
"""Gives the asked number of random bytes, as `os.urandom` does."""

NODE_BYTES: Final = 8
INCARNATION_BYTES: Final = 8
ACTOR_BYTES: Final = NODE_BYTES + INCARNATION_BYTES
SPACE_BYTES: Final = 16

_NODE_CHARS: Final = NODE_BYTES * 2
_ACTOR: Final = re.compile(rf"[0-9a-f]{{{ACTOR_BYTES * 2}}}")


def new_node_id(entropy: Entropy) -> NodeId:
    """Draw a node id, once in the life of a replica.

    Raises:
        ValueError: `entropy` gave another number of bytes than it was asked for.
    """
    return NodeId(_draw(entropy, NODE_BYTES))


def new_incarnation(entropy: Entropy) -> str:
    """Draw an incarnation (16 lowercase hex characters), once in the life of a database file.

    Raises:
        ValueError: `entropy` gave another number of bytes than it was asked for.
    """
    return _draw(entropy, INCARNATION_BYTES)


def new_space_id(entropy: Entropy) -> SpaceId:
    """Draw a space id, once in the life of a space.

    Raises:
        ValueError: `entropy` gave another number of bytes than it was asked for.
    """
    return SpaceId(_draw(entropy, SPACE_BYTES))


def actor_of(node: NodeId, incarnation: str) -> Actor:
    """Name the life `incarnation` of `node`.

    Raises:
        InvalidName: one of the two is not 16 lowercase hex characters.
    """
    # Equal lengths are checked apart: 15 and 17 characters would also add up to an actor.
    if len(node) != _NODE_CHARS:
        raise _invalid(f"{node}/{incarnation}")
    return parse_actor(node + incarnation)


def node_of(actor: Actor) -> NodeId:
    """Return the replica that `actor` is a life of."""
    return NodeId(actor[:_NODE_CHARS])


def incarnation_of(actor: Actor) -> str:
    """Return which life of its replica `actor` is: 16 lowercase hex characters."""
    return actor[_NODE_CHARS:]


def parse_actor(text: str) -> Actor:
    """Check that text from outside is an actor.

    Raises:
        InvalidName: `text` is not 32 lowercase hex characters.
    """
    if _ACTOR.fullmatch(text) is None:
        raise _invalid(text)
    return Actor(text)


def actor_bytes(actor: Actor) -> bytes:
    """Return the 16 bytes that stand for `actor` in compact encodings."""
    return bytes.fromhex(actor)


def actor_from_bytes(raw: bytes) -> Actor:
    """Return the actor that 16 bytes stand for.

    Raises:
        InvalidName: `raw` is not 16 bytes long.
    """
    if len(raw) != ACTOR_BYTES:
        raise _invalid(raw.hex())
    return Actor(raw.hex())


def _draw(entropy: Entropy, size: int) -> str:
    raw = entropy(size)
    # A short draw would make a name that parses as another kind, or that another node also draws.
    if len(raw) != size:
        raise ValueError(f"the entropy source gave {len(raw)} bytes instead of {size}")
    return raw.hex()


def _invalid(text: str) -> InvalidName:
    return InvalidName(
        "this is not an actor: a node id and an incarnation, 16 lowercase hex characters each",
        subject=repr(text[:80]),
        remedy="pass an actor as a dot or a version vector gives it",
    )
