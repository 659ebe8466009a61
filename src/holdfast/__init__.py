"""Holdfast keeps an application's data on the device where it is used and lets the devices agree when they meet.

This module is the public API: what `__all__` lists is supported, and everything else may change without notice.
It must not import anything heavy, because an edge device pays for every import at every start: what needs a
database, a network or a codec is named in `_LAZY` and imported on first use (PEP 562).
Invariant: `import holdfast` loads the error tree and nothing else of Holdfast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from holdfast.errors import (
    DamagedFile,
    DiskFull,
    EngineClosed,
    FileLocked,
    FileUnreadable,
    ForkedEngine,
    FrameTooLarge,
    HistoryTrimmed,
    HoldfastError,
    HubError,
    ImportFailed,
    IncompatibleBundle,
    IncompatibleProtocol,
    InvalidDecision,
    InvalidKey,
    InvalidName,
    InvalidPlan,
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
    NoSuchCollection,
    NoSuchConflict,
    NoSuchMember,
    NoSuchRecord,
    NoSuchSnapshot,
    NoSuchSpace,
    NotADatabase,
    NotReached,
    NotTheAuthority,
    OlderFormat,
    ProgramFault,
    ProtocolError,
    ReadOnlyEngine,
    ReadOnlyToken,
    ResolverFault,
    SessionRefused,
    SimulationDeadlock,
    SimulationFault,
    SpaceMismatch,
    StorageError,
    SyncHeld,
    TapeMismatch,
    TransactionConflict,
    TransactionTooLarge,
    Unauthorized,
    Unreachable,
    UsageError,
    VersionMismatch,
    Violation,
)

if TYPE_CHECKING:
    from holdfast.clocks import Causality, Dot, VersionVector
    from holdfast.engine.backups import restore_backup
    from holdfast.engine.collection import BulkReport, Collection, Remove
    from holdfast.engine.conflicts import OpenConflict
    from holdfast.engine.disowning import DisownReport
    from holdfast.engine.entries import LedgerEntry, LogEntry
    from holdfast.engine.erasure import EraseReport
    from holdfast.engine.fleet import PeerStatus
    from holdfast.engine.going_back import RestoreReport
    from holdfast.engine.guard import Guard
    from holdfast.engine.history import Past, Revision, UndoReport
    from holdfast.engine.members import Member, Members, PurgeReport
    from holdfast.engine.purge import Purge
    from holdfast.engine.retention import Retention, TrimReport
    from holdfast.engine.salvage import SalvageReport, salvage_file
    from holdfast.engine.schema import Schema
    from holdfast.engine.seams import Seams
    from holdfast.engine.snapshots import Snapshot, Snapshots
    from holdfast.engine.status import HistoryStatus, Status
    from holdfast.engine.storage.reading import Change, Document
    from holdfast.engine.storage.write import Receipt
    from holdfast.engine.transaction import Transaction
    from holdfast.engine.unreadable import Unreadable
    from holdfast.engine.verify import VerifyReport
    from holdfast.engine.versions import NO_RECORD
    from holdfast.engine.witness import SideFile, Testimony, Witness
    from holdfast.facade import Engine
    from holdfast.resolvers import (
        AskOnDelete,
        Conflict,
        ConflictKind,
        Defer,
        Delete,
        DeleteWins,
        FirstWriterWins,
        LastWriterWins,
        Leave,
        Manual,
        MultiValue,
        Policy,
        Resolver,
        Take,
        UpdateWins,
        Value,
        Version,
    )
    from holdfast.transport.bundle import BundleReport
    from holdfast.transport.comparing import CompareReport
    from holdfast.transport.links.address import Hub
    from holdfast.transport.progress import SyncProgress, SyncReport

__version__ = "0.1.0.dev0"

__all__ = [
    "NO_RECORD",
    "AskOnDelete",
    "BulkReport",
    "BundleReport",
    "Causality",
    "Change",
    "Collection",
    "CompareReport",
    "Conflict",
    "ConflictKind",
    "DamagedFile",
    "Defer",
    "Delete",
    "DeleteWins",
    "DiskFull",
    "DisownReport",
    "Document",
    "Dot",
    "Engine",
    "EngineClosed",
    "EraseReport",
    "FileLocked",
    "FileUnreadable",
    "FirstWriterWins",
    "ForkedEngine",
    "FrameTooLarge",
    "Guard",
    "HistoryStatus",
    "HistoryTrimmed",
    "HoldfastError",
    "Hub",
    "HubError",
    "ImportFailed",
    "IncompatibleBundle",
    "IncompatibleProtocol",
    "InvalidDecision",
    "InvalidKey",
    "InvalidName",
    "InvalidPlan",
    "InvalidQuery",
    "InvalidSchema",
    "InvalidUrl",
    "InvalidValue",
    "LastWriterWins",
    "Leave",
    "LedgerEntry",
    "LinkCut",
    "LinkError",
    "LogEntry",
    "MalformedFrame",
    "MalformedMessage",
    "MalformedVector",
    "Manual",
    "Member",
    "Members",
    "MissingExtra",
    "MultiValue",
    "NewerFormat",
    "NoSuchCollection",
    "NoSuchConflict",
    "NoSuchMember",
    "NoSuchRecord",
    "NoSuchSnapshot",
    "NoSuchSpace",
    "NotADatabase",
    "NotReached",
    "NotTheAuthority",
    "OlderFormat",
    "OpenConflict",
    "Past",
    "PeerStatus",
    "Policy",
    "ProgramFault",
    "ProtocolError",
    "Purge",
    "PurgeReport",
    "ReadOnlyEngine",
    "ReadOnlyToken",
    "Receipt",
    "Remove",
    "Resolver",
    "ResolverFault",
    "RestoreReport",
    "Retention",
    "Revision",
    "SalvageReport",
    "Schema",
    "Seams",
    "SessionRefused",
    "SideFile",
    "SimulationDeadlock",
    "SimulationFault",
    "Snapshot",
    "Snapshots",
    "SpaceMismatch",
    "Status",
    "StorageError",
    "SyncHeld",
    "SyncProgress",
    "SyncReport",
    "Take",
    "TapeMismatch",
    "Testimony",
    "Transaction",
    "TransactionConflict",
    "TransactionTooLarge",
    "TrimReport",
    "Unauthorized",
    "UndoReport",
    "Unreachable",
    "Unreadable",
    "UpdateWins",
    "UsageError",
    "Value",
    "VerifyReport",
    "Version",
    "VersionMismatch",
    "VersionVector",
    "Violation",
    "Witness",
    "__version__",
    "restore_backup",
    "salvage_file",
]

# Public name -> the module that defines it. Each name also stands in `__all__` and, for type checkers, in an
# import under `if TYPE_CHECKING:`; tests/test_exports.py proves that the three agree.
_LAZY: dict[str, str] = {
    "AskOnDelete": "holdfast.resolvers",
    "BulkReport": "holdfast.engine.collection",
    "BundleReport": "holdfast.transport.bundle",
    "Causality": "holdfast.clocks",
    "Change": "holdfast.engine.storage.reading",
    "Collection": "holdfast.engine.collection",
    "CompareReport": "holdfast.transport.comparing",
    "Conflict": "holdfast.resolvers",
    "ConflictKind": "holdfast.resolvers",
    "Defer": "holdfast.resolvers",
    "Delete": "holdfast.resolvers",
    "DeleteWins": "holdfast.resolvers",
    "DisownReport": "holdfast.engine.disowning",
    "Document": "holdfast.engine.storage.reading",
    "Dot": "holdfast.clocks",
    "Engine": "holdfast.facade",
    "EraseReport": "holdfast.engine.erasure",
    "FirstWriterWins": "holdfast.resolvers",
    "Guard": "holdfast.engine.guard",
    "HistoryStatus": "holdfast.engine.status",
    "Purge": "holdfast.engine.purge",
    "PurgeReport": "holdfast.engine.members",
    "Members": "holdfast.engine.members",
    "Member": "holdfast.engine.members",
    "Hub": "holdfast.transport.links.address",
    "LastWriterWins": "holdfast.resolvers",
    "Leave": "holdfast.resolvers",
    "LedgerEntry": "holdfast.engine.entries",
    "Unreadable": "holdfast.engine.unreadable",
    "LogEntry": "holdfast.engine.entries",
    "Manual": "holdfast.resolvers",
    "MultiValue": "holdfast.resolvers",
    "NO_RECORD": "holdfast.engine.versions",
    "OpenConflict": "holdfast.engine.conflicts",
    "Past": "holdfast.engine.history",
    "PeerStatus": "holdfast.engine.fleet",
    "Policy": "holdfast.resolvers",
    "Receipt": "holdfast.engine.storage.write",
    "Remove": "holdfast.engine.collection",
    "RestoreReport": "holdfast.engine.going_back",
    "restore_backup": "holdfast.engine.backups",
    "Resolver": "holdfast.resolvers",
    "Retention": "holdfast.engine.retention",
    "SalvageReport": "holdfast.engine.salvage",
    "Schema": "holdfast.engine.schema",
    "salvage_file": "holdfast.engine.salvage",
    "Revision": "holdfast.engine.history",
    "Seams": "holdfast.engine.seams",
    "SideFile": "holdfast.engine.witness",
    "Snapshot": "holdfast.engine.snapshots",
    "Snapshots": "holdfast.engine.snapshots",
    "Status": "holdfast.engine.status",
    "SyncProgress": "holdfast.transport.progress",
    "SyncReport": "holdfast.transport.progress",
    "Take": "holdfast.resolvers",
    "Testimony": "holdfast.engine.witness",
    "Transaction": "holdfast.engine.transaction",
    "TrimReport": "holdfast.engine.retention",
    "UndoReport": "holdfast.engine.history",
    "UpdateWins": "holdfast.resolvers",
    "Value": "holdfast.resolvers",
    "VerifyReport": "holdfast.engine.verify",
    "Version": "holdfast.resolvers",
    "VersionVector": "holdfast.clocks",
    "Witness": "holdfast.engine.witness",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
