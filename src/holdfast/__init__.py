"""Holdfast keeps an application's data on the device where it is used and lets the devices agree when they meet.

This module is the public API: what `__all__` lists is supported, and everything else may change without notice.
It must not import anything heavy, because an edge device pays for every import at every start: what needs a
database, a network or a codec is named in `_LAZY` and imported on first use (PEP 562).
Invariant: `import holdfast` loads the error tree and nothing else of Holdfast.
"""

from __future__ import annotations

from importlib import import_module

from holdfast.errors import (
    DamagedFile,
    DiskFull,
    EngineClosed,
    FileLocked,
    FileUnreadable,
    ForkedEngine,
    FrameTooLarge,
    HoldfastError,
    HubError,
    ImportFailed,
    IncompatibleProtocol,
    InvalidDecision,
    InvalidKey,
    InvalidName,
    InvalidQuery,
    InvalidSchema,
    InvalidUrl,
    InvalidValue,
    LinkCut,
    LinkError,
    MalformedFrame,
    MalformedMessage,
    MalformedVector,
    MissingExtra,
    NewerFormat,
    NoSuchConflict,
    NoSuchRecord,
    NoSuchSpace,
    NotADatabase,
    NotReached,
    ProtocolError,
    ReadOnlyEngine,
    ReadOnlyToken,
    ResolverFault,
    SessionRefused,
    SpaceMismatch,
    StorageError,
    TransactionConflict,
    TransactionTooLarge,
    Unauthorized,
    Unreachable,
    UsageError,
    VersionMismatch,
)

__version__ = "0.1.0.dev0"

__all__ = [
    "DamagedFile",
    "DiskFull",
    "EngineClosed",
    "FileLocked",
    "FileUnreadable",
    "ForkedEngine",
    "FrameTooLarge",
    "HoldfastError",
    "HubError",
    "ImportFailed",
    "IncompatibleProtocol",
    "InvalidDecision",
    "InvalidKey",
    "InvalidName",
    "InvalidQuery",
    "InvalidSchema",
    "InvalidUrl",
    "InvalidValue",
    "LinkCut",
    "LinkError",
    "MalformedFrame",
    "MalformedMessage",
    "MalformedVector",
    "MissingExtra",
    "NewerFormat",
    "NoSuchConflict",
    "NoSuchRecord",
    "NoSuchSpace",
    "NotADatabase",
    "NotReached",
    "ProtocolError",
    "ReadOnlyEngine",
    "ReadOnlyToken",
    "ResolverFault",
    "SessionRefused",
    "SpaceMismatch",
    "StorageError",
    "TransactionConflict",
    "TransactionTooLarge",
    "Unauthorized",
    "Unreachable",
    "UsageError",
    "VersionMismatch",
    "__version__",
]

# Public name -> the module that defines it. Each name also stands in `__all__` and, for type checkers, in an
# import under `if TYPE_CHECKING:`; tests/test_exports.py proves that the three agree.
_LAZY: dict[str, str] = {}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
