"""What happens to the nodes of a generated plan: crashes, pauses, bad disks, wrong clocks, strangers, restores, clones.

Knows the agenda, so that no node is hit while it is down. Invariant: what is planned here is within the atlas, and
every fault ends by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from .actions import (
    ATTACKS,
    UNJOINABLE,
    AnyAction,
    Attack,
    Backup,
    ClockFreeze,
    ClockGranularity,
    ClockJump,
    ClockSkew,
    Clone,
    Crash,
    DiskFull,
    HoldLock,
    HoldReader,
    Pause,
    PowerCut,
    ReadErrors,
    RestoreBackup,
    SlowDisk,
    StallDisk,
    WriteErrors,
)
from .agenda import Agenda
from .dice import Dice

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
CLONES_MAX: Final = 3
_RETURN_PER_MILLE: Final = 800

_JUMPS_MS: Final = (-DAY_MS, -HOUR_MS, -1_000, 1_000, 4 * MINUTE_MS, HOUR_MS, DAY_MS)
_SKEWS_MS: Final = (-3_650 * DAY_MS, -HOUR_MS, -1_000, 0, 1_000, 10 * MINUTE_MS, 3_650 * DAY_MS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishaps:
    """Draws faults of nodes.

    Attributes:
        dice, returns: Where from; whether strangers come back is drawn apart, and shifts nothing else.
        hubs, edges: Names.
        kinds: Which faults of nodes are on.
    """

    dice: Dice
    returns: Dice
    hubs: tuple[str, ...]
    edges: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """All names."""
        return (*self.hubs, *self.edges)

    def fill(self, agenda: Agenda) -> tuple[tuple[int, str], ...]:
        """Plan the faults of every kind that is on; gives the clones that were made, with their times."""
        clones: list[tuple[int, str]] = []
        victim = self.dice.pick(self.nodes[:-1]) if "snapshot" in self.kinds else ""
        for kind in self.kinds:
            for _ in range(self.dice.between(1, 2 + len(self.nodes) // 4)):
                match kind:
                    case "all_at_once":
                        self._all_at_once(agenda)
                    case "backup":
                        self._backup(agenda)
                    case "snapshot":
                        self._snapshot(agenda, victim)
                    case "clone" if len(clones) < CLONES_MAX:
                        clones.append(self._clone(agenda, len(clones) + 1))
                    case "clone":
                        pass
                    case "bad_start":
                        self._bad_start(agenda)
                    case "clock":
                        agenda.add(self._moment(agenda), self.dice.pick(self.nodes), self._clock(agenda))
                    case _:
                        self._one(agenda, kind)
        return tuple(clones)

    def _one(self, agenda: Agenda, kind: str) -> None:
        """A fault of one node that takes its time; left out if the node has another one then."""
        node = self.dice.pick(self.hubs if kind == "hub_restart" else self.nodes)
        for_ms = self._duration(agenda)
        at_ms, fault = self._moment(agenda), self._fault(kind, for_ms)
        if isinstance(fault, Attack) and fault.attack in UNJOINABLE and self.returns.chance(_RETURN_PER_MILLE):
            fault = replace(fault, stranger=f"stranger-{agenda.count}")
            if agenda.disturb(at_ms, for_ms, [(node, fault)]):
                self._come_back(agenda, at_ms, node, fault)
        else:
            agenda.disturb(at_ms, for_ms, [(node, fault)])

    def _come_back(self, agenda: Agenda, at_ms: int, node: str, fault: Attack) -> None:
        """Who has sent what cannot be joined delivers it elsewhere, or has moved on to another identity."""
        later_ms = self.returns.between(at_ms, agenda.length_ms)
        again = replace(fault, attack="ordinary member", times=1)
        if self.returns.chance(500):
            agenda.add(later_ms, node, replace(again, life=2))
        else:
            agenda.add(later_ms, self.returns.pick([other for other in self.nodes if other != node]), again)

    def _fault(self, kind: str, for_ms: int) -> AnyAction:
        faults: dict[str, Callable[[], AnyAction]] = {
            "crash": lambda: Crash(down_ms=for_ms),
            "hub_restart": lambda: Crash(down_ms=for_ms),
            "power_cut": lambda: PowerCut(down_ms=for_ms),
            "pause": lambda: Pause(for_ms=for_ms),
            "disk_full": lambda: DiskFull(for_ms=for_ms),
            "disk_errors": lambda: self._disk_errors(for_ms),
            "slow_disk": lambda: self._slow_disk(for_ms),
            "lock": lambda: HoldLock(for_ms=for_ms) if self.dice.chance(500) else HoldReader(for_ms=for_ms),
            "attack": lambda: Attack(attack=self.dice.pick(ATTACKS), times=self.dice.between(1, 5)),
        }
        return faults[kind]()

    def _disk_errors(self, for_ms: int) -> ReadErrors | WriteErrors:
        share = self.dice.pick((10, 100, 1_000))
        if self.dice.chance(500):
            return ReadErrors(per_mille=share, for_ms=for_ms)
        return WriteErrors(per_mille=share, for_ms=for_ms)

    def _slow_disk(self, for_ms: int) -> SlowDisk | StallDisk:
        if self.dice.chance(300):
            return StallDisk(for_ms=min(for_ms, MINUTE_MS))
        least_ms = self.dice.span(1, 500)
        return SlowDisk(latency_ms_min=least_ms, latency_ms_max=least_ms * 4, for_ms=for_ms)

    def _all_at_once(self, agenda: Agenda) -> None:
        """Every node crashes at one moment, and each comes back in its time."""
        crashes = [(node, Crash(down_ms=self._duration(agenda))) for node in self.nodes]
        longest_ms = max(crash.down_ms or 0 for _, crash in crashes)
        agenda.disturb(self._moment(agenda), longest_ms, crashes)

    def _bad_start(self, agenda: Agenda) -> None:
        """A node crashes, and its disk fails or is full while it starts again."""
        node, down_ms, at_ms = self.dice.pick(self.nodes), self._duration(agenda), self._moment(agenda)
        for_ms = down_ms + self.dice.between(1_000, 30_000)
        share = self.dice.pick((300, 1_000))
        faults: tuple[AnyAction, ...] = (
            DiskFull(for_ms=for_ms),
            ReadErrors(per_mille=share, for_ms=for_ms),
            WriteErrors(per_mille=share, for_ms=for_ms),
        )
        bad = self.dice.pick(faults)
        if agenda.disturb(at_ms, for_ms, [(node, Crash(down_ms=down_ms))]):
            agenda.add(at_ms, node, bad)

    def _backup(self, agenda: Agenda) -> None:
        """A backup, and perhaps its return; the last node is never restored, as one disk must stay whole."""
        node = self.dice.pick(self.nodes)
        name = f"{node}-{agenda.count}"
        at_ms = self._moment(agenda)
        agenda.add(at_ms, node, Backup(backup=name))
        later_ms = self.dice.between(at_ms, agenda.length_ms)
        if node != self.nodes[-1] and self.dice.chance(700):
            agenda.disturb(later_ms, 0, [(node, RestoreBackup(backup=name))])

    def _snapshot(self, agenda: Agenda, node: str) -> None:
        """A machine is put back to a snapshot of itself, mostly soon; always the same one (see the atlas)."""
        at_ms = self._moment(agenda)
        name = f"{node}-{agenda.count}"
        agenda.add(at_ms, node, Backup(backup=name, whole=True))
        later_ms = at_ms + self.dice.span(500, agenda.length_ms)
        agenda.disturb(later_ms, 0, [(node, RestoreBackup(backup=name))])

    def _clone(self, agenda: Agenda, number: int) -> tuple[int, str]:
        name, at_ms = f"copy-{number}", self._moment(agenda)
        agenda.add(at_ms, self.dice.pick(self.edges), Clone(as_node=name))
        return at_ms, name

    def _clock(self, agenda: Agenda) -> AnyAction:
        match self.dice.between(0, 3):
            case 0:
                return ClockSkew(offset_ms=self.dice.pick(_SKEWS_MS))
            case 1:
                return ClockJump(by_ms=self.dice.pick(_JUMPS_MS))
            case 2:
                return ClockFreeze(for_ms=self._duration(agenda))
            case _:
                return ClockGranularity(step_ms=self.dice.pick((10, 100, 1_000, 15_625)))

    def _moment(self, agenda: Agenda) -> int:
        return self.dice.between(0, agenda.length_ms)

    def _duration(self, agenda: Agenda) -> int:
        return self.dice.span(100, max(100, agenda.length_ms // 5))
