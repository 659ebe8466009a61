"""Follow every node of a plan through its life: running, paused, down, restored, cloned.

Knows what the plan says, not what a world does. Invariant: a plan that passes never starts what runs, stops what is
down, restores what was not backed up or speaks to a clone before it exists, and disturbs no more nodes at one moment
than it allows itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Final

from .actions import (
    Backup,
    Clone,
    Crash,
    DiskFull,
    HoldLock,
    LinkAction,
    Pause,
    PowerCut,
    ReadErrors,
    Restart,
    RestoreBackup,
    Resume,
    SlowDisk,
    SpaceReturns,
    StallDisk,
    WriteErrors,
)
from .arguments import mistake
from .plan import NODES_MAX, Event, Plan

_TIMED: Final = (Pause, DiskFull, ReadErrors, WriteErrors, StallDisk, SlowDisk, HoldLock)


@dataclass(slots=True)
class _Life:
    """One node so far: until when (in ms; `inf`: until told) it is down, paused, or has a full or bad disk."""

    role: str
    down_until: float = 0
    paused_until: float = 0
    disk_until: dict[str, float] = field(default_factory=dict)

    def disturbed(self, at_ms: int) -> bool:
        return max(self.down_until, self.paused_until, *self.disk_until.values(), 0) > at_ms


def check_lives(plan: Plan) -> None:
    """Raise InvalidPlan for the first event that does not fit what its node is at that time."""
    lives = {node.name: _Life(node.role) for node in plan.nodes}
    backups: dict[str, str] = {}
    for at, event in enumerate(plan.events):
        path = f"events[{at}]"
        _check_existence(event, lives, path)
        if event.node is None:
            continue
        life = lives[event.node]
        match event.action:
            case Clone(as_node=name):
                _clone(life, name, lives, path)
            case Backup(backup=name):
                if name in backups:
                    raise mistake("the backup's name is taken", f"{path}.args.backup", "Choose another.")
                backups[name] = event.node
            case RestoreBackup(backup=name):
                _check_backup(event.node, name, backups, path)
                life.down_until = life.paused_until = 0
            case _:
                _live(life, event, path)
        _check_budget(plan, lives, event, path)


def _check_existence(event: Event, lives: dict[str, _Life], path: str) -> None:
    for place, name in _nodes_of(event):
        if name not in lives:
            what = f"{name!r} does not exist yet: it is cloned later"
            raise mistake(what, f"{path}.{place}", "Move the event behind the clone.")


def _nodes_of(event: Event) -> Iterator[tuple[str, str]]:
    if event.node is not None:
        yield "node", event.node
    if isinstance(event.action, LinkAction):
        for argument, _, value in event.action.arguments():
            if argument in ("group", "peers"):
                for at, name in enumerate(value):
                    yield f"args.{argument}[{at}]", name


def _clone(life: _Life, name: str, lives: dict[str, _Life], path: str) -> None:
    if name in lives:
        raise mistake("the name is taken", f"{path}.args.as_node", "Choose one that no node has.")
    if life.role == "hub":
        remedy = "Clone an edge; a hub can be restored from a backup."
        raise mistake("a hub is reached by its address, which two hubs cannot share", f"{path}.node", remedy)
    if len(lives) >= NODES_MAX:
        raise mistake(f"with its clones a plan may have {NODES_MAX:,} nodes", path, "Clone less.")
    lives[name] = _Life("edge")


def _check_backup(node: str, name: str, backups: dict[str, str], path: str) -> None:
    if name not in backups:
        raise mistake(
            f"there is no backup {name!r} before", f"{path}.args.backup", "Back the node up at an earlier time."
        )
    if backups[name] != node:
        what = f"the backup is one of {backups[name]!r}"
        raise mistake(what, f"{path}.args.backup", "Restore it there; a copy elsewhere is a clone.")


def _live(life: _Life, event: Event, path: str) -> None:
    at_ms, action = event.at_ms, event.action
    down, paused = life.down_until > at_ms, life.paused_until > at_ms
    match action:
        case Restart():
            if not down:
                raise mistake("the node runs", f"{path}.action", "Restart it only behind a crash or power cut.")
            life.down_until = 0
        case Resume():
            if not paused or down:
                raise mistake("the node is not paused", f"{path}.action", "Resume it only behind a pause.")
            life.paused_until = 0
        case Crash() | PowerCut() | Pause() if down:
            raise mistake("the node is down", f"{path}.action", "Restart it before, or leave this out.")
        case Crash() | PowerCut():
            life.down_until, life.paused_until = _end(at_ms, action.down_ms), 0
        case Pause() if paused:
            raise mistake("the node is paused", f"{path}.action", "Resume it before, or leave this out.")
        case Pause():
            life.paused_until = _end(at_ms, action.for_ms)
        case DiskFull() | ReadErrors() | WriteErrors() | StallDisk() | SlowDisk() | HoldLock():
            life.disk_until[action.name] = _end(at_ms, action.for_ms)
        case SpaceReturns():
            life.disk_until.pop(DiskFull.name, None)
        case _:
            pass


def _end(at_ms: int, for_ms: int | None) -> float:
    return inf if for_ms is None else at_ms + for_ms


def _check_budget(plan: Plan, lives: dict[str, _Life], event: Event, path: str) -> None:
    # Only an event that disturbs a node can bring the number up.
    if isinstance(event.action, (Crash, PowerCut, *_TIMED)):
        number = sum(life.disturbed(event.at_ms) for life in lives.values())
        if number > plan.faults_at_once_max:
            what = f"{number} nodes are disturbed at once, and the plan allows {plan.faults_at_once_max}"
            raise mistake(what, f"{path}.at_ms", "Move the event, or raise faults_at_once_max.")
