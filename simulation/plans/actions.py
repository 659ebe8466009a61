"""Everything that can happen in a plan: the closed list of actions and faults, each with typed arguments.

Values only: what an action does is the world's business. Invariant: every argument is a JSON value of one declared
kind, units stand in the names, and `docs/reference/plan.md` lists exactly these actions and arguments.

A fault with `for_ms` ends by itself; null means: until its opposite comes, or healing. What happens to a node that is
down (a write, a fault of its disk) is left out by the world: a device that is off is not asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, get_args

from .arguments import (
    SPAN_MS_MAX,
    Fields,
    Flag,
    Integer,
    Key,
    Kind,
    ListOf,
    Maybe,
    Name,
    Node,
    Part,
    Text,
    Value,
    Word,
    below,
    kinds_of,
    mistake,
    read_arguments,
    read_object,
    write_arguments,
)

GROUP_NODES_MAX: Final = 1_000
BULK_RECORDS_MAX: Final = 100_000
STEPS_MAX: Final = 1_000
ATTACKS: Final = ("mutated", "truncated", "reordered", "forged", "replayed")
"""What an adversary does with the frames that it sends."""

CLOCK_MS_MAX: Final = 10**14
"""Three thousand years: more than a hybrid clock believes, so that the atlas can say so."""

CollectionName = Annotated[str, Name("collection")]
RecordKey = Annotated[str, Key()]
Document = Annotated[dict[str, Any], Fields()]
ThinkMs = Annotated[int, Integer(0, SPAN_MS_MAX, "ms")]
PeriodMs = Annotated[int, Integer(1, SPAN_MS_MAX, "ms")]
PerMille = Annotated[int, Integer(0, 1_000, "per mille")]
ByteCount = Annotated[int, Integer(0, 10**12, "bytes")]
DiskMs = Annotated[int, Integer(0, 600_000, "ms")]
ForMs = Annotated[int | None, Maybe(Integer(1, SPAN_MS_MAX, "ms"), "until its opposite, or healing")]
DownMs = Annotated[int | None, Maybe(Integer(1, SPAN_MS_MAX, "ms"), "until `restart`, or healing")]
HubName = Annotated[str, Node("hub")]
Group = Annotated[tuple[str, ...], ListOf(Node(), 1, GROUP_NODES_MAX)]
Peers = Annotated[tuple[str, ...], ListOf(Node(), 0, GROUP_NODES_MAX, "empty: all nodes that are not in `group`")]
Direction = Literal["both", "to", "from"]
Way = Annotated[Direction, Word(("both", "to", "from"))]


class Action:
    """What all actions share: a name, made of the class's, and arguments that can be listed."""

    __slots__ = ()
    name: ClassVar[str]
    place: ClassVar[Literal["node", "links"]] = "node"
    """Whether an event names a node, or the action's `group` and `peers` say which links it is about."""

    def __init_subclass__(cls) -> None:
        cls.name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def arguments(self) -> Iterator[tuple[str, Kind, Any]]:
        """Each argument as (name, kind, value), in order."""
        for name, kind in kinds_of(type(self)).items():
            yield name, kind, getattr(self, name)


class LinkAction(Action):
    """An action on the links between each node of `group` and each of `peers`."""

    __slots__ = ()
    place = "links"


# ---------------------------------------------------------------------------------------------------------- work


@dataclass(frozen=True, slots=True, kw_only=True)
class Put(Action):
    """Write a whole record."""

    collection: CollectionName
    key: RecordKey
    fields: Document = field(hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update(Action):
    """Write some fields and remove some; without `upsert` a record that does not exist is left alone."""

    collection: CollectionName
    key: RecordKey
    fields: Document = field(default_factory=dict, hash=False)
    remove: Annotated[tuple[str, ...], ListOf(Name("field"), 0, 100)] = ()
    upsert: Annotated[bool, Flag()] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(Action):
    """Delete a record, if it exists."""

    collection: CollectionName
    key: RecordKey


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareAndSet(Action):
    """Read a record's version, think, and put the record if it still has that version."""

    collection: CollectionName
    key: RecordKey
    fields: Document = field(hash=False)
    think_ms: ThinkMs = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkPut(Action):
    """Put the same fields under `records` keys: `key_prefix` followed by 0, 1, 2, ..."""

    collection: CollectionName
    key_prefix: RecordKey
    records: Annotated[int, Integer(1, BULK_RECORDS_MAX, "records")]
    fields: Document = field(hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record, by collection and key."""

    collection: CollectionName
    key: RecordKey


class _Writes:
    """The kind of a write inside a transaction."""

    def read(self, value: object, path: str) -> Put | Update | Delete:
        for name in read_object(value, path):
            if name not in ("action", "args"):
                raise mistake("a write has no such member", below(path, f"{name:.40}"), "It has action and args.")
        action = read_action(value, path)
        if not isinstance(action, Put | Update | Delete):
            raise mistake(f"a transaction has no {action.name!r}", f"{path}.action", 'Use "put", "update" or "delete".')
        return action

    def write(self, value: Action) -> object:
        return write_action(value)

    def describe(self) -> str:
        return "object with `action` (`put`, `update` or `delete`) and `args`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transact(Action):
    """Read some records, think, and write some, all in one transaction; begun anew if it conflicts."""

    reads: Annotated[tuple[Record, ...], ListOf(Part(Record, "Record"), 0, STEPS_MAX)] = ()
    writes: Annotated[tuple[Put | Update | Delete, ...], ListOf(_Writes(), 1, STEPS_MAX)]
    think_ms: ThinkMs = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decide(Action):
    """Decide the oldest conflict of `state`: take its first or last sibling, delete, or write `value`."""

    decision: Annotated[Literal["first", "last", "delete", "value"], Word(("first", "last", "delete", "value"))]
    value: Annotated[Any, Value()] = field(default=None, hash=False)
    state: Annotated[Literal["open", "settled"], Word(("open", "settled"))] = "open"
    think_ms: ThinkMs = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopen(Action):
    """Put the newest decided conflict back into the inbox."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read(Action):
    """Read one record; it must be answered, offline as well."""

    collection: CollectionName
    key: RecordKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Action):
    """Read the records that match a SQL condition over the collection."""

    collection: CollectionName
    condition: Annotated[str, Text(4_000)] = ""
    limit: Annotated[int | None, Maybe(Integer(1, 100_000, "records"), "all")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckExport(Action):
    """Export the node's records, import them elsewhere, and compare."""


# ---------------------------------------------------------------------------------------------- sync and programs


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync(Action):
    """Sync with a hub once."""

    peer: HubName


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncEvery(Action):
    """Sync with a hub every `every_ms`, plus 0 to `jitter_ms` drawn anew each time."""

    peer: HubName
    every_ms: PeriodMs
    jitter_ms: ThinkMs = 0
    for_ms: Annotated[int | None, Maybe(Integer(1, SPAN_MS_MAX, "ms"), "until healing")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgram(Action):
    """Run an asynchronous function of the user, registered under this name, on the node."""

    program: Annotated[str, Name("program")]


# ------------------------------------------------------------------------------------------------- a node's life


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(Action):
    """Stop the process as SIGSTOP or a closed laptop does; its clock goes on."""

    for_ms: ForMs = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(Action):
    """Let a paused process go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash(Action):
    """Kill the process: nothing is cleaned up, what was written to files stays."""

    down_ms: DownMs = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCut(Action):
    """Cut the power: writes that were not synced to the disk are lost, torn or kept."""

    down_ms: DownMs = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart(Action):
    """Start a node that is down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup(Action):
    """Copy the node's file, under a name that the plan uses once."""

    backup: Annotated[str, Name("backup")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreBackup(Action):
    """Stop the node, put a backup of it in the place of its file, and start it."""

    backup: Annotated[str, Name("backup")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clone(Action):
    """Start a second node on a copy of this one's file; both live on. Later events may name it."""

    as_node: Annotated[str, Node("new")]


# -------------------------------------------------------------------------------------------------------- storage


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFull(Action):
    """Every write that needs space fails."""

    for_ms: ForMs = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceReturns(Action):
    """The disk has space again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadErrors(Action):
    """Reading from the disk fails, now and then."""

    per_mille: Annotated[int, Integer(1, 1_000, "per mille of reads")]
    for_ms: PeriodMs


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteErrors(Action):
    """Writing to the disk fails, now and then; nothing that failed is acknowledged."""

    per_mille: Annotated[int, Integer(1, 1_000, "per mille of writes")]
    for_ms: PeriodMs


@dataclass(frozen=True, slots=True, kw_only=True)
class StallDisk(Action):
    """Whatever is asked of the disk waits until the stall is over."""

    for_ms: PeriodMs


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowDisk(Action):
    """Each step on the disk takes a time drawn between the two latencies."""

    latency_ms_min: DiskMs
    latency_ms_max: DiskMs
    for_ms: PeriodMs


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldLock(Action):
    """Another tool holds SQLite's write lock on the file."""

    for_ms: PeriodMs


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReader(Action):
    """Another tool reads in one long transaction, so that the write-ahead log cannot be reset."""

    for_ms: PeriodMs


# --------------------------------------------------------------------------------------------------------- clocks


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSkew(Action):
    """From now on the node's clock is off by this much from true time."""

    offset_ms: Annotated[int, Integer(-CLOCK_MS_MAX, CLOCK_MS_MAX, "ms")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockJump(Action):
    """The node's clock jumps, forward or back."""

    by_ms: Annotated[int, Integer(-CLOCK_MS_MAX, CLOCK_MS_MAX, "ms")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFreeze(Action):
    """The node's clock stands still, and then shows the right time again."""

    for_ms: PeriodMs


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockGranularity(Action):
    """From now on the node's clock advances in steps of this size."""

    step_ms: Annotated[int, Integer(1, 3_600_000, "ms")]


# -------------------------------------------------------------------------------------------------------- network


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut(LinkAction):
    """Nothing passes: in both directions, only not `to` the peers, or only not `from` them."""

    group: Group
    peers: Peers = ()
    direction: Way = "both"
    for_ms: ForMs = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heal(LinkAction):
    """Everything passes again, well and fast; ends cuts, bad quality and flapping."""

    group: Group
    peers: Peers = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality(LinkAction):
    """How well the links work, in both directions.

    Attributes:
        loss_per_mille: Of exchanges, those that break off between the two `reset_after_bytes`.
        silent_per_mille: Of those, the ones that nobody is told of: both ends wait for their deadlines.
        duplicate_per_mille: Of requests, those that are delivered twice.
        replay_per_mille: Of exchanges, those beside which an old request is delivered once more.
    """

    group: Group
    peers: Peers = ()
    latency_ms_min: DiskMs = 1
    latency_ms_max: DiskMs = 20
    loss_per_mille: PerMille = 0
    duplicate_per_mille: PerMille = 0
    replay_per_mille: PerMille = 0
    silent_per_mille: PerMille = 300
    bytes_per_s: Annotated[int, Integer(0, 10**12, "bytes/s; 0: no bound")] = 0
    reset_after_bytes_min: ByteCount = 0
    reset_after_bytes_max: ByteCount = 100_000
    for_ms: ForMs = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flap(LinkAction):
    """The links are down for `down_ms` and up for `up_ms`, in turns."""

    group: Group
    peers: Peers = ()
    down_ms: PeriodMs
    up_ms: PeriodMs
    for_ms: ForMs = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack(Action):
    """An adversary meets the node: it calls a hub, or answers an edge that calls, and sends bad frames."""

    attack: Annotated[str, Word(ATTACKS)]
    times: Annotated[int, Integer(1, 1_000, "attempts")] = 1


Work: TypeAlias = (
    Put
    | Update
    | Delete
    | CompareAndSet
    | BulkPut
    | Transact
    | Decide
    | Reopen
    | Read
    | Query
    | CheckExport
    | Sync
    | SyncEvery
    | RunProgram
)
Life: TypeAlias = Pause | Resume | Crash | PowerCut | Restart | Backup | RestoreBackup | Clone
Storage: TypeAlias = DiskFull | SpaceReturns | ReadErrors | WriteErrors | StallDisk | SlowDisk | HoldLock | HoldReader
Clock: TypeAlias = ClockSkew | ClockJump | ClockFreeze | ClockGranularity
Network: TypeAlias = Cut | Heal | Quality | Flap
AnyAction: TypeAlias = Work | Life | Storage | Clock | Network | Attack
"""The closed union: match over it and end with `assert_never`."""

ACTIONS: Final[dict[str, type[AnyAction]]] = {kind.name: kind for kind in get_args(AnyAction)}
"""Every action by its name in JSON, in the order of the reference."""


def read_action(value: object, path: str) -> AnyAction:
    """An action from its JSON object with `action` and `args`."""
    given = read_object(value, path)
    name = given.get("action")
    kind = ACTIONS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise mistake(f"there is no action {name!r:.60}", f"{path}.action", f"There are: {', '.join(ACTIONS)}.")
    return read_arguments(kind, given.get("args", {}), f"{path}.args")


def write_action(action: Action) -> dict[str, object]:
    """The JSON object of an action."""
    args = write_arguments(action)
    return {"action": action.name, "args": args} if args else {"action": action.name}
