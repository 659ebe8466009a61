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
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from holdfast.clocks import Actor

from .arguments import check_path

_log = logging.getLogger(__name__)

RECORD_BYTES = 256
"""The side file is one record of this size, rewritten in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Testimony:
    """What a witness says: the identity, its highest sequence number, and where the file stood.

    Attributes:
        actor: The identity that wrote.
        seq: The highest sequence number that a commit gave.
        place: Host and file as far as the witness can tell; "" if it cannot.
    """

    actor: Actor
    seq: int
    place: str = ""


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

    def recall(self) -> Testimony | None:
        """What was noted last; None if the side file is missing or unreadable, which counts as a copy."""
        try:
            text = self.path.read_bytes()[:RECORD_BYTES].rstrip(b"\0 ").decode()
            body, check = text.rsplit("|", 1)
            if int(check, 16) != zlib.crc32(body.encode()):
                return None
            note = json.loads(body)
            return Testimony(actor=Actor(note["actor"]), seq=int(note["seq"]), place=str(note["place"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note(self, actor: Actor, seq: int) -> None:
        """Rewrite the record in place, without a sync: to be behind the file is normal.

        What was committed stays committed if the note fails (a full disk, say): at worst the next opening begins a new
        incarnation.
        """
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
                self._place = json.dumps(self.place())
            body = f'{{"actor":"{actor}","seq":{seq},"place":{self._place}}}'
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
