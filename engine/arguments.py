"""What callers pass: checked at the call, before anything is queued, read or written.

Knows nothing of files and threads. Invariant: an argument that is not of the type or range that the API names is
refused with a UsageError that names it and what to pass instead, and nothing has happened yet.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from holdfast.errors import FileUnreadable, InvalidValue, UsageError
from holdfast.resolvers.canonical import INTEGER_MAX

from .documents import check_key, check_name, kind, shown

AUTHOR_BYTES_MAX: Final = 512
NOTE_BYTES_MAX: Final = 16 * 1024

IMPOSSIBLE: Final = {errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}
"""What the system says of a path that no file can have."""


def check_path(path: object, what: str = "path") -> Path:
    """The path as an absolute one; raises UsageError if no file can have it, FileUnreadable if that cannot be told."""
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"{what} is {shown(path)}", subject=what, remedy="Pass text, or a path object.")
    try:
        found = Path(path).resolve()
        found.exists()
    except OSError as error:
        if error.errno in IMPOSSIBLE:
            raise _impossible(path, what, error) from error
        raise FileUnreadable(
            f"the {what} cannot be looked up: {error.strerror}",
            subject=str(path),
            remedy="Check folder, rights and device.",
        ) from error
    except (RuntimeError, TypeError, ValueError) as error:  # a link to itself, NUL, bytes
        raise _impossible(path, what, error) from error
    return found


def _impossible(path: object, what: str, error: Exception) -> UsageError:
    return UsageError(f"no file can have this {what}: {error}", subject=shown(path), remedy="Check it.")


def check_remarks(author: object, note: object, subject: str) -> None:
    """Return if both can stand in the log.

    Raises:
        InvalidValue: One is no text, no legal UTF-8, or too long.
    """
    if author != "":
        _check_remark(author, "author", AUTHOR_BYTES_MAX, subject)
    if note != "":
        _check_remark(note, "note", NOTE_BYTES_MAX, subject)


def _check_remark(text: object, what: str, bytes_max: int, subject: str) -> None:
    size = _size(text)
    if size is None:
        raise InvalidValue(f"the {what} is not legal text: {kind(text)}", subject=subject, remedy="Pass plain text.")
    if size > bytes_max:
        raise InvalidValue(
            f"the {what} may have {bytes_max} bytes of UTF-8; this one has {size}",
            subject=subject,
            remedy="Shorten it, or keep long text in a field.",
        )


def check_version(version: object, subject: str) -> None:
    """Return if this may be the version of a record, or None; raises UsageError."""
    if version is not None and _size(version) is None:
        raise UsageError(
            f"if_version is not a version but {kind(version)}",
            subject=subject,
            remedy="Pass the version of a document or receipt, or NO_RECORD.",
        )


def check_text(text: object, what: str) -> str:
    """The text, if it is legal UTF-8; raises UsageError."""
    if type(text) is not str or _size(text) is None:
        raise UsageError(f"the {what} is not legal text: {kind(text)}", subject=what, remedy="Pass plain text.")
    return text


def check_limit(limit: object, what: str = "limit", *, least: int = 0) -> None:
    """Return if a number of things can be limited to this, or it is None; raises UsageError."""
    if limit is not None:
        check_count(limit, what, least=least)


def check_count(number: object, what: str, *, least: int = 0) -> int:
    """The number, if it is an integer that a file can hold and at least `least`; raises UsageError."""
    if type(number) is not int or not least <= number <= INTEGER_MAX:
        raise UsageError(
            f"{what} is {shown(number)}, not an integer of {least} or more",
            subject=what,
            remedy=f"Pass a number from {least} to 2**63 - 1.",
        )
    return number


def check_choice(word: object, choices: Collection[str], what: str) -> None:
    """Return if the word is one of the choices; raises UsageError."""
    if type(word) is not str or word not in choices:
        raise UsageError(
            f"{what} is {shown(word)}, which is none of its words",
            subject=what,
            remedy=f"Pass one of: {', '.join(choices)}.",
        )


def check_place(collection: object, key: object) -> None:
    """Return if both are None or spelled as they must be; raises InvalidName, InvalidKey."""
    if collection is not None:
        check_name(collection, "collection")
    if key is not None:
        check_key(key, str(collection or ""))


def check_callable(function: object, what: str) -> None:
    """Return if it can be called, or is None; raises UsageError."""
    if function is not None and not callable(function):
        raise UsageError(f"{what} cannot be called: {kind(function)}", subject=what, remedy="Pass a function.")


def check_port(value: object, what: str, methods: Sequence[str]) -> None:
    """Return if an object has the methods of a port; raises UsageError."""
    missing = [name for name in methods if not callable(getattr(value, name, None))]
    if missing or isinstance(value, type):
        raise UsageError(
            f"{what} is {kind(value)}, which does not have {', '.join(missing or methods)} to call",
            subject=what,
            remedy="Pass an object with these methods.",
        )


def check_rows(rows: object, subject: str) -> None:
    """Return if rows may come out of it; raises UsageError."""
    if not hasattr(rows, "__aiter__") and (not isinstance(rows, Iterable) or isinstance(rows, str | bytes | Mapping)):
        raise UsageError(f"rows are {kind(rows)}", subject=subject, remedy="Pass an iterable of pairs: (key, fields).")


def row_fault(row: object, number: int, collection: str) -> UsageError:
    """The error about a row that is no pair."""
    return UsageError(
        f"row {number} is not a pair but {shown(row)}", subject=collection, remedy="Pass pairs: (key, fields)."
    )


def check_keys(keys: object, collection: str) -> list[str]:
    """The keys as a list, each checked; raises InvalidKey, UsageError."""
    if not isinstance(keys, Iterable) or isinstance(keys, str | bytes):
        what = f"keys are of type {type(keys).__name__}"
        raise UsageError(what, subject=collection, remedy="Pass a list of keys.")
    return [check_key(key, collection) for key in keys]


def check_fields(fields: object, subject: str) -> list[str]:
    """The names of fields, at least one; raises InvalidName, UsageError."""
    if not isinstance(fields, Iterable) or isinstance(fields, str | bytes):
        what = f"fields are of type {type(fields).__name__}"
        raise UsageError(what, subject=subject, remedy="Pass a list of names, or nothing for all of the record.")
    found = [check_name(name, "field") for name in fields]
    if not found:
        raise UsageError("no field is named", subject=subject, remedy="Name some, or none at all for all of it.")
    return found


def _size(text: object) -> int | None:
    """Bytes of UTF-8; None if it is no text that has such a form."""
    if type(text) is not str:
        return None
    try:
        return len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        return None
