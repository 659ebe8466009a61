"""The one byte form of a version vector.

    vector = format (0x01), varint groups, group*
    group  = node id (8 bytes), varint lives (at least 1), life*
    life   = incarnation (8 bytes), varint seq (at least 1)

Varints are little-endian base 128, at most 9 bytes, so below 2**63. It must not know what vectors are
used for, nor hold state. Invariant: the form is canonical. Groups and lives ascend strictly, varints
are as short as they can be and nothing follows the last group, so equal vectors have equal bytes, and
a hash of the bytes stands for the vector. Every other input is refused: a peer that sends it has a
fault that should not spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from holdfast.errors import MalformedVector

from .identity import INCARNATION_BYTES, NODE_BYTES, Actor, node_of

FORMAT: Final = 0x01

ENTRIES_MAX: Final = 100_000
"""Entries that a received vector may have: about 2 MB, ten times the largest fleet we plan for."""

_VARINT_BYTES_MAX: Final = 9
_MORE: Final = 0x80
"""The bit of a varint byte that says that another byte follows."""


def encode_seqs(seqs: Mapping[Actor, int]) -> bytes:
    """Return the canonical bytes of a vector whose sequence numbers lie in 1 to 2**63 - 1."""
    return _joined(_groups(seqs))


class Grouped:
    """A vector group by group: one that differs from it in a few entries is encoded without sorting all again.

    Attributes:
        seqs: Its entries; they must not change.
    """

    __slots__ = ("_groups", "_lives", "seqs")

    def __init__(self, seqs: Mapping[Actor, int]) -> None:
        self.seqs = seqs
        self._groups: dict[str, bytes] | None = None
        self._lives: dict[str, list[Actor]] = {}

    def encode_with(self, entries: Mapping[Actor, int]) -> bytes:
        """Return the canonical bytes of the vector with these entries in place of its own; 0 for none."""
        groups = self._group()
        nodes = {node_of(actor) for actor in entries}
        lives = {actor: self.seqs[actor] for node in nodes for actor in self._lives.get(node, ())}
        changed = _groups({actor: seq for actor, seq in (lives | {**entries}).items() if seq})
        if nodes == changed.keys() <= groups.keys():
            return _joined(groups | changed)
        kept = {node: group for node, group in groups.items() if node not in nodes}
        return _joined(dict(sorted((kept | changed).items())))

    def _group(self) -> dict[str, bytes]:
        if self._groups is None:
            for actor in self.seqs:
                self._lives.setdefault(node_of(actor), []).append(actor)
            self._groups = _groups(self.seqs)
        return self._groups


def _groups(seqs: Mapping[Actor, int]) -> dict[str, bytes]:
    """The bytes of each node's entries, nodes ascending."""
    lives: dict[str, list[bytes]] = {}
    for actor in sorted(seqs):
        life = bytes.fromhex(actor[NODE_BYTES * 2 :]) + varint(seqs[actor])
        lives.setdefault(node_of(actor), []).append(life)
    return {node: b"".join((bytes.fromhex(node), varint(len(each)), *each)) for node, each in lives.items()}


def _joined(groups: Mapping[str, bytes]) -> bytes:
    return b"".join((bytes((FORMAT,)), varint(len(groups)), *groups.values()))


def decode_seqs(data: bytes) -> dict[Actor, int]:
    """Read what `encode_seqs` wrote.

    Raises:
        MalformedVector: `data` is not the canonical encoding of a vector of at most `ENTRIES_MAX`
            entries.
    """
    if data[:1] != bytes((FORMAT,)):
        raise _malformed(data, "it does not begin with a known format byte")
    groups, at = read_varint(data, 1)
    seqs: dict[Actor, int] = {}
    previous = b""
    for _ in range(groups):
        node = _read_name(data, at, NODE_BYTES)
        if node <= previous:
            raise _malformed(data, "its nodes are not in strictly ascending order")
        previous = node
        at = _read_lives(data, at + NODE_BYTES, node.hex(), seqs)
    if at != len(data):
        raise _malformed(data, "bytes follow its last entry")
    return seqs


def _read_lives(data: bytes, at: int, node: str, seqs: dict[Actor, int]) -> int:
    lives, at = read_varint(data, at)
    if lives == 0:
        raise _malformed(data, "it names a node without an entry")
    # The number is checked before the entries are read, so a lie costs no memory.
    if len(seqs) + lives > ENTRIES_MAX:
        raise _malformed(data, f"it has more than {ENTRIES_MAX} entries")
    previous = b""
    for _ in range(lives):
        incarnation = _read_name(data, at, INCARNATION_BYTES)
        if incarnation <= previous:
            raise _malformed(data, "its incarnations are not in strictly ascending order")
        previous = incarnation
        seq, at = read_varint(data, at + INCARNATION_BYTES)
        if seq == 0:
            raise _malformed(data, "it has an entry with sequence number 0")
        seqs[Actor(node + incarnation.hex())] = seq
    return at


def _read_name(data: bytes, at: int, size: int) -> bytes:
    name = data[at : at + size]
    if len(name) != size:
        raise _malformed(data, "it ends inside an entry")
    return name


def varint(value: int) -> bytes:
    """The shortest bytes of a number from 0 to 2**63 - 1."""
    if value < _MORE:
        return bytes((value,))
    out = bytearray()
    while value >= _MORE:
        out.append(value & 0x7F | _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number; gives it and where the next begins; raises MalformedVector."""
    value = 0
    for place, byte in enumerate(data[at : at + _VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < _MORE:
            if byte == 0 and place > 0:
                raise _malformed(data, "it has a number that is longer than needed")
            return value, at + place + 1
    if len(data) - at < _VARINT_BYTES_MAX:
        raise _malformed(data, "it ends inside a number")
    raise _malformed(data, "it has a number of 2**63 or more")


def _malformed(data: bytes, reason: str) -> MalformedVector:
    return MalformedVector(
        f"a version vector cannot be read: {reason}",
        subject=f"{len(data)} bytes, {data[:8].hex()}...",
        remedy="check that the peer runs a compatible release and that nothing rewrites its bytes",
    )
