"""The witness: what stands outside a file and tells whether it is still the file it was.

Knows nothing of SQLite or sessions. Invariant: a witness that is behind the file is normal (it is written after the
commit, without a sync); one that is ahead, missing, or of another file, host or identity means that the file is a
copy or an old state, and a new incarnation must begin (docs/concepts.md, Identity).
"""

from __future__ import annotations

import json
import logging
import os
import platform
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from holdfast.clocks import Actor
from holdfast.errors import FileUnreadable

from .arguments import check_path

_log = logging.getLogger(__name__)

RECORD_BYTES = 512
"""The side file is one record of this size, rewritten in place: one sector."""

LEFT_MAX: Final = 4
"""Identities of which a side file remembers that names were given up: the last ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Testimony:
    """What a witness says: the identity, its highest sequence number, and where the file stood.

    Attributes:
        actor: The identity that wrote.
        seq: The highest sequence number that a commit gave.
        place: Host and file as far as the witness can tell; "" if it cannot.
        shared: The highest number that may have left the file; None if the witness does not tell.
        left: Identities of which this file has given up names, and the highest number of each that it kept.
    """

    actor: Actor
    seq: int
    place: str = ""
    shared: int | None = None
    left: Mapping[Actor, int] = field(default_factory=dict)


class Witness(Protocol):
    """Keeps a testimony outside the database file."""

    def recall(self) -> Testimony | None:
        """What was noted last; None if nothing was."""
        ...

    def note(self, actor: Actor, seq: int) -> None:
        """Note what a commit has made true."""
        ...

    def place(self) -> str:
        """Where the file stands now, to compare with a testimony."""
        ...

    def close(self) -> None:
        """Let go of what it holds open."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A witness that also knows which names were given up: an old state of the file brings them back."""

    def leave(self, actor: Actor, known: int) -> None:
        """The names of this identity above `known` are no longer the file's; the next note keeps that."""
        ...


@runtime_checkable
class Measures(Protocol):
    """A witness that also knows what has left the file: an old state of it brings back what nobody else can have."""

    def share(self, actor: Actor, shared: int) -> None:
        """Operations of this identity above the number have never left the file; the next note keeps that."""
        ...


class SideFile:
    """A witness in a file beside the database.

    Args:
        database: The database file.
        bound: Whether host and inode belong to the testimony; False where they change by themselves (containers).
    """

    def __init__(self, database: str | Path, *, bound: bool = True) -> None:
        self._database = check_path(database, "database")
        self._bound = bound
        self.path = self._database.with_name(self._database.name + "-witness")
        self._descriptor: int | None = None
        self._place = ""
        self._left: dict[Actor, int] = {}
        self._shared: dict[Actor, int] = {}

    def recall(self) -> Testimony | None:
        """What was noted last; None if the side file is missing or says nothing, which counts as a copy.

        Raises:
            FileUnreadable: It is there and can't be read: each opening would take the file for another copy.
        """
        try:
            noted = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileUnreadable(
                f"the witness cannot be read: {error.strerror or error}",
                subject=str(self.path),
                remedy="Give this user the right to read and write it. If it is lost, delete it: the node then goes on"
                " under a new identity.",
            ) from error
        try:
            text = noted[:RECORD_BYTES].rstrip(b"\0 ").decode()
            body, check = text.rsplit("|", 1)
            if int(check, 16) != zlib.crc32(body.encode()):
                return None
            note = json.loads(body)
            self._left = {Actor(actor): int(known) for actor, known in note.get("left", {}).items()}
            return Testimony(
                actor=Actor(note["actor"]),
                seq=int(note["seq"]),
                place=str(note["place"]),
                shared=int(note["shared"]) if "shared" in note else None,
                left=dict(self._left),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def share(self, actor: Actor, shared: int) -> None:
        """Operations of this identity above the number have never left the file; the next note keeps that."""
        self._shared = {actor: shared}

    def leave(self, actor: Actor, known: int) -> None:
        """The names of this identity above `known` are no longer the file's; the next note keeps that."""
        others = [(other, kept) for other, kept in self._left.items() if other != actor]
        self._left = dict([*others, (actor, known)][-LEFT_MAX:])

    def note(self, actor: Actor, seq: int) -> None:
        """Rewrite the record in place, without a sync: to be behind the file is normal.

        What was committed stays committed if the note fails (a full disk, say): at worst the next opening begins a new
        incarnation.
        """
        try:
            if self._descriptor is None:
                self._place = json.dumps(self.place())  # first: if it fails, the next note begins anew
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            more = f',"shared":{self._shared[actor]}' if actor in self._shared else ""
            more += f',"left":{json.dumps(self._left)}' if self._left else ""
            body = f'{{"actor":"{actor}","seq":{seq},"place":{self._place}{more}}}'
            os.pwrite(self._descriptor, f"{body}|{zlib.crc32(body.encode()):08x}".encode().ljust(RECORD_BYTES), 0)
        except OSError as error:
            _log.warning("the witness %s was not noted: %s", self.path, error)

    def place(self) -> str:
        """Host and inode of the database file; "" if not bound to them."""
        if not self._bound:
            return ""
        state = self._database.stat()
        return f"{_host()}/{state.st_dev}/{state.st_ino}"

    def close(self) -> None:
        """Close the side file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def testify(witness: Witness, actor: Actor, seq: int, shared: int, given_up: Mapping[Actor, int]) -> None:
    """Note what a commit has made true, what may have left the file, and which names were given up."""
    if isinstance(witness, Measures):
        witness.share(actor, shared)
    if isinstance(witness, Remembers):
        for left, known in given_up.items():
            witness.leave(left, known)
    witness.note(actor, seq)


def doubt(testimony: Testimony | None, actor: Actor, seq: int, place: str) -> str | None:
    """Why the file is not the one that the witness knows; None if it is."""
    if testimony is None:
        return "there is no witness beside the file: it was copied or moved without it"
    if testimony.actor != actor:
        return "the witness knows another identity: the file was replaced"
    if testimony.seq > seq:
        return f"the witness has seen operation {testimony.seq}, the file ends at {seq}: it was rolled back"
    if testimony.place != place:
        return "the file stands on another host or inode: it was copied"
    return None


def lost(testimony: Testimony | None) -> str | None:
    """What is missing from a file that was empty, by its witness; None if it may have been."""
    if testimony is None or not testimony.seq:
        return None
    return f"the witness has seen operation {testimony.seq}, the file was empty: it was deleted, or its log was lost"


def _host() -> str:
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip() or platform.node()
    except OSError:
        return platform.node()
