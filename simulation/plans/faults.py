"""What happens to nodes and links in a plan: crashes, bad disks, wrong clocks, cuts, and adversaries.

Values only: how a world does it is not said here. A fault with `for_ms` or `down_ms` ends by itself; null means: until
its opposite comes, or healing. Invariant: every fault can end, so that a plan can heal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from ..network.attacks import IN_WORLDS, Outcome
from .action import (
    CLOCK_MS_MAX,
    Action,
    ByteCount,
    DiskMs,
    DownMs,
    ForMs,
    Group,
    LinkAction,
    Peers,
    PeriodMs,
    PerMille,
    Way,
)
from .arguments import Flag, Integer, Maybe, Name, Node, Word

ATTACKS: Final = tuple(attack.name for attack in IN_WORLDS)
"""What an adversary does with the frames that it sends."""

WRITING: Final = frozenset(attack.name for attack in IN_WORLDS if Outcome.WRITTEN in (attack.called, attack.answered))
"""What a node that is attacked so takes in."""

UNJOINABLE: Final = frozenset(attack.name for attack in IN_WORLDS if attack.called is Outcome.REPORTED)
"""What is a record that nobody can join."""

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
    """Copy the node's file, under a name that the plan uses once.

    Attributes:
        whole: With all that stands beside it, as the snapshot of a machine has it: nothing there tells later that the
            file was put back.
    """

    backup: Annotated[str, Name("backup")]
    whole: Annotated[bool, Flag()] = False


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
        corrupt_per_mille: Of exchanges, those in which one bit arrives as the other, as memory on the way does it.
    """

    group: Group
    peers: Peers = ()
    latency_ms_min: DiskMs = 1
    latency_ms_max: DiskMs = 20
    loss_per_mille: PerMille = 0
    duplicate_per_mille: PerMille = 0
    replay_per_mille: PerMille = 0
    corrupt_per_mille: PerMille = 0
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
    """An adversary meets the node: it calls a hub, or answers an edge that calls, and sends bad frames.

    Attributes:
        stranger: Who it is: attacks that name the same one come from one node, which may come back, also elsewhere.
        life: Under which of its identities: another life of it has another, as after a file was restored.
    """

    attack: Annotated[str, Word(ATTACKS)]
    times: Annotated[int, Integer(1, 1_000, "attempts")] = 1
    stranger: Annotated[str | None, Maybe(Name("stranger"), "another one each time")] = None
    life: Annotated[int, Integer(1, 1_000)] = 1
