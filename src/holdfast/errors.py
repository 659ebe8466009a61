"""The whole error tree: what can go wrong, split by who must act.

Every error names what happened, to which object, and what to do about it. `code` is a stable word for programs:
the command line and the REST interface print it, and it does not change when a message is reworded.

    HoldfastError
    ├── UsageError        The caller must change the call.
    │   └── InvalidName, InvalidKey, InvalidValue, InvalidQuery, InvalidSchema, InvalidUrl, NoSuchCollection,
    │       NoSuchRecord, VersionMismatch, TransactionConflict, TransactionTooLarge, EngineClosed, ReadOnlyEngine,
    │       MissingExtra, NoSuchConflict, NoSuchMember, NotTheAuthority, NoSuchSnapshot, InvalidDecision, ImportFailed,
    │       InvalidPlan, ResolverFault
    ├── StorageError      The disk or the file is at fault.
    │   └── FileLocked, NotADatabase, NewerFormat, OlderFormat, DamagedFile, DiskFull, FileUnreadable, ForkedEngine
    ├── ProtocolError     The two nodes do not speak of the same thing.
    │   └── MalformedFrame, FrameTooLarge, MalformedVector, MalformedMessage, IncompatibleProtocol, SpaceMismatch,
    │       NoSuchSpace, SessionRefused, SyncHeld, IncompatibleBundle
    ├── LinkError         The way between the nodes is at fault.
    │   └── Unreachable, LinkCut, Unauthorized, ReadOnlyToken, NotReached, HubError
    └── SimulationFault   A simulation found what it looks for, or could not go on.
        └── Violation, ProgramFault, SimulationDeadlock, TapeMismatch

This module imports nothing of Holdfast and knows nothing of files, sockets or frames; every other module may import it.
Invariant: an error that leaves Holdfast is one of these, and a foreign error that caused it is its `__cause__`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar


class HoldfastError(Exception):
    """The root of the tree: catch it to catch everything that Holdfast raises on purpose.

    Args:
        what: What happened, as the start of a sentence without a final full stop.
        subject: The object it happened to, as its user names it: `tasks/t1`, `edge.db`, a URL.
        remedy: What to do about it, as a whole sentence.
        typed: The remedy as a command or option to type, where the other one speaks of Python.
    """

    code: ClassVar[str] = "holdfast-error"

    def __init__(self, what: str, *, subject: str, remedy: str, typed: str = "") -> None:
        super().__init__(what)
        self.what, self.subject = _encodable(what), _encodable(subject)
        self.remedy = _encodable(remedy)
        self.typed = _encodable(typed or remedy)

    def __str__(self) -> str:
        return f"{self.what} ({self.subject}). {self.remedy}"

    def __reduce__(self) -> tuple[Any, ...]:
        # The default passes positional arguments only, and an error could then not return from a worker process.
        rebuild = partial(type(self), subject=self.subject, remedy=self.remedy)
        return rebuild, (self.what,), self.__dict__


def _encodable(text: str) -> str:  # what an error quotes may be long or hold lone surrogates; it must print anywhere
    return text[:2_000].encode("utf-8", "backslashreplace").decode()


class UsageError(HoldfastError):
    """The caller must change the call: its arguments, their order, or the moment."""

    code = "usage-error"


class InvalidName(UsageError):
    """Raised when a collection, space, node or actor name is not spelled as names must be."""

    code = "invalid-name"


class InvalidKey(UsageError):
    """Raised when a record key is empty, too long or not legal text."""

    code = "invalid-key"


class InvalidValue(UsageError):
    """Raised when a value is not JSON, is too large or too deep, or does not fit the type of its field."""

    code = "invalid-value"


class InvalidQuery(UsageError):
    """Raised when a query is not a legal expression over one collection, or its parameters do not fit."""

    code = "invalid-query"


class InvalidSchema(UsageError):
    """Raised when a schema contradicts itself or the schema that the file already holds."""

    code = "invalid-schema"


class InvalidUrl(UsageError):
    """Raised when the address of a hub cannot be understood, or would send a token unencrypted."""

    code = "invalid-url"


class NoSuchCollection(UsageError):
    """Raised when the command line is asked to read a collection that the file does not have."""

    code = "no-such-collection"


class NoSuchRecord(UsageError):
    """Raised when an operation needs a living record and there is none under that key."""

    code = "no-such-record"


class VersionMismatch(UsageError):
    """Raised when `if_version` names another version than the one the record has."""

    code = "version-mismatch"


class TransactionConflict(UsageError):
    """Raised when a record that a transaction has read was changed before it could commit; run it again."""

    code = "transaction-conflict"


class TransactionTooLarge(UsageError):
    """Raised when one transaction holds more operations or bytes than may be committed at once."""

    code = "transaction-too-large"


class EngineClosed(UsageError):
    """Raised when an engine, or anything that belongs to it, is used before it opens or after it closes."""

    code = "engine-closed"


class ReadOnlyEngine(UsageError):
    """Raised when a write reaches an engine that was opened for reading only."""

    code = "read-only-engine"


class MissingExtra(UsageError):
    """Raised when a feature needs an optional dependency that is not installed."""

    code = "missing-extra"


class NoSuchConflict(UsageError):
    """Raised when a conflict is named that is unknown here or no longer open."""

    code = "no-such-conflict"


class NoSuchMember(UsageError):
    """Raised when a member of the space is named that there is not, or by a name that several have."""

    code = "no-such-member"


class NotTheAuthority(UsageError):
    """Raised when a node decides what only the authority of the space may: who takes part, and what is purged."""

    code = "not-the-authority"


class NoSuchSnapshot(UsageError):
    """Raised when a snapshot is named that this file does not have."""

    code = "no-such-snapshot"


class InvalidDecision(UsageError):
    """Raised when a decision does not fit its conflict: an index out of range or a value of the wrong type."""

    code = "invalid-decision"


class ImportFailed(UsageError):
    """Raised when a line or a file that should be imported cannot be read as records."""

    code = "import-failed"


class InvalidPlan(UsageError):
    """Raised when a simulation's plan does not parse, names what there is not, or asks for more than can survive."""

    code = "invalid-plan"


class ResolverFault(UsageError):
    """Raised when a resolver broke its contract: it raised, or returned what is not a legal resolution."""

    code = "resolver-fault"


class StorageError(HoldfastError):
    """The disk or the file is at fault; the operator must act."""

    code = "storage-error"


class FileLocked(StorageError):
    """Raised when another process holds the file for writing."""

    code = "file-locked"


class NotADatabase(StorageError):
    """Raised when the file exists and is not a Holdfast database."""

    code = "not-a-database"


class NewerFormat(StorageError):
    """Raised when the file was written by a newer version, in a format that this one cannot read."""

    code = "newer-format"


class OlderFormat(StorageError):
    """Raised when the file was written by a version so old that this one cannot bring it up to date."""

    code = "older-format"


class DamagedFile(StorageError):
    """Raised when the file contradicts itself: a failed integrity check or a broken page."""

    code = "damaged-file"


class DiskFull(StorageError):
    """Raised when a write was undone because there is no space left on the device."""

    code = "disk-full"


class FileUnreadable(StorageError):
    """Raised when the file cannot be opened, read or written: a missing folder, a missing right, a failing device."""

    code = "file-unreadable"


class ForkedEngine(StorageError):
    """Raised when an engine is used in a forked child, or when two copies of one file write under one identity."""

    code = "forked-engine"


class ProtocolError(HoldfastError):
    """The two nodes do not speak of the same thing: trying again does not help until one of them changes."""

    code = "protocol-error"


class MalformedFrame(ProtocolError):
    """Raised when the bytes of a frame cannot be decoded."""

    code = "malformed-frame"


class FrameTooLarge(ProtocolError):
    """Raised when a frame announces or reaches more bytes than the limit, compressed or not."""

    code = "frame-too-large"


class MalformedVector(ProtocolError):
    """Raised when the bytes of a version vector cannot be decoded, or hold more entries than the limit."""

    code = "malformed-vector"


class MalformedMessage(ProtocolError):
    """Raised when a frame can be decoded, but its fields are missing, of a wrong type or out of range."""

    code = "malformed-message"


class IncompatibleProtocol(ProtocolError):
    """Raised when the two nodes share no version of the protocol."""

    code = "incompatible-protocol"


class SpaceMismatch(ProtocolError):
    """Raised when the two nodes hold different spaces, which never mix."""

    code = "space-mismatch"


class NoSuchSpace(ProtocolError):
    """Raised when the hub serves no space of that name to the owner of the token."""

    code = "no-such-space"


class SessionRefused(ProtocolError):
    """Raised when the peer ends the session and names a reason."""

    code = "session-refused"


class SyncHeld(ProtocolError):
    """Raised when a sync would delete or rewrite more of a collection than its guard lets through."""

    code = "sync-held"


class IncompatibleBundle(ProtocolError):
    """Raised when a bundle is not for this node: it leaves out what is not held here, or was made by it."""

    code = "incompatible-bundle"


class LinkError(HoldfastError):
    """The way between the nodes is at fault; local work goes on, and a later attempt may succeed."""

    code = "link-error"


class Unreachable(LinkError):
    """Raised when no connection to the peer can be made: no network, no such host, refused, or too slow."""

    code = "unreachable"


class LinkCut(LinkError):
    """Raised when a connection breaks off before the session is done; what was committed stays committed."""

    code = "link-cut"


class Unauthorized(LinkError):
    """Raised when the hub does not accept the token, or asks for one that is missing."""

    code = "unauthorized"


class ReadOnlyToken(LinkError):
    """Raised when local changes would be sent with a token that may only read."""

    code = "read-only-token"


class NotReached(LinkError):
    """Raised when a write has not arrived at the peer within the time that was given."""

    code = "not-reached"


class HubError(LinkError):
    """Raised when the hub answers that it failed itself."""

    code = "hub-error"


class SimulationFault(HoldfastError):
    """A simulation found what it looks for, or could not go on; who wrote what it names must act."""

    code = "simulation-fault"


class Violation(SimulationFault):
    """Raised when a simulated engine broke an invariant."""

    code = "violation"
    invariant: str = ""  # and what stood there, as JSON values:
    evidence: Mapping[str, Any] = MappingProxyType({})


class ProgramFault(SimulationFault):
    """Raised when the user's part of a simulation failed: a program or resolver raised, slept or read a clock."""

    code = "program-fault"


class SimulationDeadlock(SimulationFault):
    """Raised when nothing is left to happen while something is still waited for."""

    code = "simulation-deadlock"


class TapeMismatch(SimulationFault):
    """Raised when a replayed schedule does not fit what the engine does now."""

    code = "tape-mismatch"
