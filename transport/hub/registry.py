"""The registry of a hub: which spaces it serves, and which tokens open them.

It must not know HTTP, nor open the files of the spaces. Invariants: a secret is shown once and never stored; every
call reads the file anew, so a running hub sees at once what another process has changed.

The file keeps a rollback journal: it is small, seldom written, and several processes may write to it, which is what a
write-ahead log of an older SQLite does not survive (the WAL-reset bug).
"""

from __future__ import annotations

import re
import sqlite3
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from hmac import compare_digest
from importlib import resources
from pathlib import Path
from typing import Final, Literal, NewType

from holdfast.engine.documents import NAME_CHARS_MAX
from holdfast.engine.seams import Seams
from holdfast.engine.storage.faults import translated
from holdfast.errors import FileUnreadable, InvalidName, InvalidValue, NewerFormat, NotADatabase

Rights = Literal["rw", "r"]
TokenId = NewType("TokenId", str)
"""12 hex digits: names a token in lists and logs."""

FORMAT: Final = 2
"""The format that this version writes; stands in the file as PRAGMA user_version."""

APPLICATION_ID: Final = 0x48464855
"""'HFHU': tells a registry from any other SQLite database."""

SECRET_BYTES: Final = 32
SECRET_PREFIX: Final = "hf_"  # noqa: S105 - the part that is not secret
"""Lets people and scanners see what they found."""

LOCK_S_MAX: Final = 5.0
"""How long a call waits for another process that is writing."""

APPROVED_MS: Final = 24 * 3600 * 1000
"""How long what was held of a node is let through once it is approved: time for the node to come and send it."""

# What a command line, a URL and a log can carry without quoting.
_NAME: Final = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{NAME_CHARS_MAX - 1}}}")
_SECRET: Final = re.compile(rf"{SECRET_PREFIX}[A-Za-z0-9_-]{{43}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A space that the hub serves: its name, its file, and when it was added (milliseconds since 1970)."""

    name: str
    path: Path
    created_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token, without its secret; times in milliseconds since 1970, `revoked_ms` None while good."""

    id: TokenId
    space: str
    rights: Rights
    label: str
    created_ms: int
    revoked_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a secret opens: the space of that name, in that file, with these rights."""

    token: TokenId
    space: str
    path: Path
    rights: Rights


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a node sent that the hub holds back; times in milliseconds since 1970, `approved_ms` None while it is."""

    space: str
    actor: str
    label: str
    reason: str
    held_ms: int
    approved_ms: int | None


@dataclass(frozen=True, slots=True)
class HubRegistry:
    """The registry in `directory`; several processes may use it at once, and nothing has to be closed.

    Attributes:
        directory: Holds `hub.db`, and the files of the spaces in `spaces/`.
        seams: Where time and randomness come from.

    Every method raises a StorageError when the file cannot be used.
    """

    directory: Path
    seams: Seams = field(default_factory=Seams)

    @classmethod
    def init(cls, directory: Path, *, seams: Seams | None = None) -> HubRegistry:
        """Make the directory and its registry where they are missing; an existing one stays as it is.

        Raises:
            FileUnreadable: the directory cannot be made.
            NotADatabase: `hub.db` is another program's file.
            NewerFormat: a newer version wrote it.
        """
        try:
            # Only its user may look inside: the directory holds everyone's data.
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (directory / "spaces").mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            remedy = "Choose a directory that you may write to."
            what = f"the directory of a hub cannot be made there: {error.strerror or error}"
            raise FileUnreadable(what, subject=str(directory), remedy=remedy) from error
        registry = cls(directory, seams or Seams())
        with registry._connected("rwc") as connection:
            registry._migrate(connection)
        return registry

    def spaces(self) -> list[Space]:
        """The spaces by name."""
        with self._connected("ro") as connection:
            rows = connection.execute("SELECT name, file, created_ms FROM space ORDER BY name").fetchall()
        return [Space(name=name, path=self._path(file), created_ms=created) for name, file, created in rows]

    def add_space(self, name: str) -> Space:
        """Serve a new space under `name`; its file is made when its first node comes.

        Raises:
            InvalidName: the name is taken, or not 1 to 128 letters, digits, "_", "." and "-".
        """
        if not _NAME.fullmatch(name):
            remedy = (
                f'Use at most {NAME_CHARS_MAX} letters, digits, "_", "." and "-", starting with none of the last two.'
            )
            raise InvalidName("this is not the name of a space", subject=repr(name), remedy=remedy)
        file, now = f"{self.seams.entropy(8).hex()}.db", self.seams.time.now_ms()
        with self._connected("rw") as connection:
            added = connection.execute(
                "INSERT INTO space (name, file, created_ms) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING",
                (name, file, now),
            )
        if not added.rowcount:
            raise InvalidName("the hub serves a space of this name", subject=name, remedy="Choose another name.")
        return Space(name=name, path=self._path(file), created_ms=now)

    def space(self, name: str) -> Space:
        """The space of that name.

        Raises:
            InvalidName: the hub serves none.
        """
        for found in self.spaces():
            if found.name == name:
                return found
        raise _no_such_space(name, self.directory)

    def add_token(self, space: str, rights: Rights, label: str = "") -> tuple[TokenId, str]:
        """Make a token for a space; gives its id and its secret, which nobody can ask for again.

        Raises:
            InvalidName: the hub serves no space of that name.
            InvalidValue: `rights` are neither "rw" nor "r".
        """
        if rights not in {"rw", "r"}:
            raise InvalidValue("unknown rights", subject=repr(rights), remedy='Use "rw" or "r".')
        token = TokenId(self.seams.entropy(6).hex())
        secret = SECRET_PREFIX + urlsafe_b64encode(self.seams.entropy(SECRET_BYTES)).rstrip(b"=").decode()
        with self._connected("rw") as connection:
            added = connection.execute(
                "INSERT INTO token (id, space, rights, label, digest, created_ms)"
                " SELECT ?, id, ?, ?, ?, ? FROM space WHERE name = ?",
                (token, rights, label, _digest(secret), self.seams.time.now_ms(), space),
            )
        if not added.rowcount:
            raise _no_such_space(space, self.directory)
        return token, secret

    def tokens(self, space: str) -> list[Token]:
        """The tokens of a space, revoked ones included, oldest first.

        Raises:
            InvalidName: the hub serves no space of that name.
        """
        with self._connected("ro") as connection:
            found = connection.execute("SELECT id FROM space WHERE name = ?", (space,)).fetchone()
            if found is None:
                raise _no_such_space(space, self.directory)
            rows = connection.execute(
                "SELECT id, rights, label, created_ms, revoked_ms FROM token WHERE space = ? ORDER BY created_ms, id",
                found,
            ).fetchall()
        return [
            Token(id=id_, space=space, rights=rights, label=label, created_ms=created, revoked_ms=revoked)
            for id_, rights, label, created, revoked in rows
        ]

    def revoke(self, token: str) -> None:
        """Close a token for good, from the next request on; revoking it again changes nothing.

        Raises:
            InvalidName: there is no token of that id.
        """
        with self._connected("rw") as connection:
            revoked = connection.execute(
                "UPDATE token SET revoked_ms = coalesce(revoked_ms, ?) WHERE id = ?", (self.seams.time.now_ms(), token)
            )
        if not revoked.rowcount:
            raise InvalidName(
                "there is no token of this id", subject=token, remedy=f"See `holdfast hub token list {self.directory}`."
            )

    def authenticate(self, secret: str) -> Grant | None:
        """What `secret` opens; None if it is unknown or revoked.

        The time it takes tells nothing: secrets are found by their digest, which nobody can aim at.
        """
        if not _SECRET.fullmatch(secret):
            return None
        digest = _digest(secret)
        with self._connected("ro") as connection:
            row = connection.execute(
                "SELECT token.id, name, file, rights, digest FROM token JOIN space ON space.id = token.space"
                " WHERE digest = ? AND revoked_ms IS NULL",
                (digest,),
            ).fetchone()
        if row is None or not compare_digest(row[4], digest):
            return None
        return Grant(token=row[0], space=row[1], path=self._path(row[2]), rights=row[3])

    def authorize(self, space: str, secret: str) -> Rights | None:
        """What `secret` may do in `space`; None if nothing, whether or not there is such a space."""
        grant = self.authenticate(secret)
        return grant.rights if grant is not None and grant.space == space else None

    def held(self, space: str) -> list[Held]:
        """What is held, or was and is approved, of the nodes of a space, the latest first.

        Raises:
            InvalidName: the hub serves no space of that name.
        """
        self.space(space)
        with self._connected("ro") as connection:
            rows = connection.execute(
                "SELECT actor, label, reason, held_ms, approved_ms FROM held"
                " WHERE space = (SELECT id FROM space WHERE name = ?) ORDER BY held_ms DESC, actor",
                (space,),
            ).fetchall()
        return [
            Held(space=space, actor=actor, label=label, reason=reason, held_ms=held, approved_ms=approved)
            for actor, label, reason, held, approved in rows
        ]

    def hold(self, space: str, actor: str, label: str, reason: str) -> None:
        """Note what a node sent; what was approved of it before is over."""
        with self._connected("rw") as connection:
            connection.execute(
                "INSERT OR REPLACE INTO held SELECT id, ?, ?, ?, ?, NULL FROM space WHERE name = ?",
                (actor, label, reason, self.seams.time.now_ms(), space),
            )

    def approve(self, space: str, actor: str) -> None:
        """Let through what a node sends from now on, for `APPROVED_MS`.

        Raises:
            InvalidName: nothing of such a node is held.
        """
        with self._connected("rw") as connection:
            approved = connection.execute(
                "UPDATE held SET approved_ms = ? WHERE actor = ? AND space = (SELECT id FROM space WHERE name = ?)",
                (self.seams.time.now_ms(), actor, space),
            )
        if not approved.rowcount:
            remedy = f"See `holdfast hub held {self.directory} {space}`."
            raise InvalidName("nothing of this node is held", subject=actor, remedy=remedy)

    def is_approved(self, space: str, actor: str) -> bool:
        """Whether what a node sends may change as much as it likes, for now."""
        since = self.seams.time.now_ms() - APPROVED_MS
        with self._connected("ro") as connection:
            row = connection.execute(
                "SELECT 1 FROM held JOIN space ON space.id = held.space"
                " WHERE name = ? AND actor = ? AND approved_ms >= ?",
                (space, actor, since),
            ).fetchone()
        return row is not None

    def _path(self, file: str) -> Path:
        return self.directory / "spaces" / file

    @contextmanager
    def _connected(self, mode: Literal["ro", "rw", "rwc"]) -> Iterator[sqlite3.Connection]:
        """A connection, in one transaction that is committed at the end."""
        path = (self.directory / "hub.db").absolute()
        if mode != "rwc" and not path.exists():
            raise FileUnreadable(
                "this is not the directory of a hub",
                subject=str(path),
                remedy=f"Check the path; `holdfast hub init {self.directory}` makes one.",
            )
        uri = f"{path.as_uri()}?mode={mode}"
        with translated(str(path)), closing(sqlite3.connect(uri, uri=True, timeout=LOCK_S_MAX)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            found = _format(connection, str(path))
            if mode != "rwc" and not found:
                raise NotADatabase(
                    "it holds no registry", subject=str(path), remedy=f"Run `holdfast hub init {self.directory}`."
                )
            if mode != "rwc" and found < FORMAT:
                HubRegistry.init(self.directory, seams=self.seams)  # an older version made it
            with connection:
                yield connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        path = str(self.directory / "hub.db")
        done = _format(connection, path)
        for number, script in enumerate(_scripts()[done:FORMAT], start=done + 1):
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{script}\nPRAGMA application_id = {APPLICATION_ID};\n"
                f"PRAGMA user_version = {number};\nCOMMIT;"
            )


@cache
def _scripts() -> tuple[str, ...]:
    folder = resources.files("holdfast.transport.hub") / "sql"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple((folder / name).read_text(encoding="utf-8") for name in names)


def _format(connection: sqlite3.Connection, path: str) -> int:
    """The format of the file, 0 if it is empty; refuses the files of other programs and of newer versions."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION_ID and (tables or version or application):
        raise NotADatabase("this is another program's database", subject=path, remedy="Choose another directory.")
    if version > FORMAT:
        raise NewerFormat(
            f"the registry has format {version}, this version reads up to {FORMAT}",
            subject=path,
            remedy="Upgrade Holdfast; the file was left as it is.",
        )
    return int(version)


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("ascii")).digest()


def _no_such_space(space: str, directory: Path) -> InvalidName:
    remedy = f"See `holdfast hub space list {directory}`, or add it: `holdfast hub space add {directory} NAME`."
    return InvalidName("the hub serves no space of this name", subject=repr(space), remedy=remedy)
