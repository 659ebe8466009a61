"""Everything that can happen in a plan: the closed list of actions and faults, each with typed arguments.

Values only: what an action does is the world's business. Invariant: the list is closed, units stand in the names of
arguments, and `docs/reference/plan.md` lists exactly these actions and arguments.
"""

from __future__ import annotations

from typing import Final, TypeAlias, get_args

from .action import CLOCK_MS_MAX, Action, Direction, LinkAction
from .arguments import mistake, read_arguments, read_object, write_arguments
from .faults import (
    ATTACKS,
    UNJOINABLE,
    WRITING,
    Attack,
    Backup,
    ClockFreeze,
    ClockGranularity,
    ClockJump,
    ClockSkew,
    Clone,
    Crash,
    Cut,
    DiskFull,
    Flap,
    Heal,
    HoldLock,
    HoldReader,
    Pause,
    PowerCut,
    Quality,
    ReadErrors,
    Restart,
    RestoreBackup,
    Resume,
    SlowDisk,
    SpaceReturns,
    StallDisk,
    WriteErrors,
)
from .membership import Expire, HandOver, Purge, Restore, Seize
from .operations import (
    BulkPut,
    CheckExport,
    CompareAndSet,
    Decide,
    Delete,
    Put,
    Query,
    Read,
    Record,
    Reopen,
    RunProgram,
    Sync,
    SyncEvery,
    Transact,
    Update,
    Watch,
)

__all__ = [
    "ACTIONS",
    "ATTACKS",
    "CLOCK_MS_MAX",
    "UNJOINABLE",
    "WRITING",
    "Action",
    "AnyAction",
    "Attack",
    "Backup",
    "BulkPut",
    "CheckExport",
    "Clock",
    "ClockFreeze",
    "ClockGranularity",
    "ClockJump",
    "ClockSkew",
    "Clone",
    "CompareAndSet",
    "Crash",
    "Cut",
    "Decide",
    "Delete",
    "Direction",
    "DiskFull",
    "Expire",
    "Flap",
    "HandOver",
    "Heal",
    "HoldLock",
    "HoldReader",
    "Life",
    "LinkAction",
    "Network",
    "Pause",
    "PowerCut",
    "Purge",
    "Put",
    "Quality",
    "Query",
    "Read",
    "ReadErrors",
    "Record",
    "Reopen",
    "Restart",
    "Restore",
    "RestoreBackup",
    "Resume",
    "RunProgram",
    "Seize",
    "SlowDisk",
    "SpaceReturns",
    "StallDisk",
    "Storage",
    "Sync",
    "SyncEvery",
    "Transact",
    "Update",
    "Watch",
    "Work",
    "WriteErrors",
    "read_action",
    "write_action",
]

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
    | Watch
    | RunProgram
    | Seize
    | HandOver
    | Expire
    | Restore
    | Purge
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
