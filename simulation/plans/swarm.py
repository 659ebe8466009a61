"""Swarm testing: each seed has only some of the faults and some of the kinds of work.

A run with everything on tends to drown in its commonest faults; a run without deletes, or without syncs that succeed,
gets where none with everything gets. Invariant: what is on follows from the choices and stands in the plan's note.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from .arguments import mistake
from .dice import Dice

NETWORK_FAULTS: Final = (
    "cut",
    "one_way",
    "flap",
    "isolate_hub",
    "loss",
    "replay",
    "slow_link",
    "breaks",
    "midway",
    "corruption",
)
NODE_FAULTS: Final = (
    "crash",
    "hub_restart",
    "all_at_once",
    "pause",
    "backup",
    "clone",
    "disk_full",
    "disk_errors",
    "slow_disk",
    "lock",
    "clock",
    "attack",
    "power_cut",
    "bad_start",
    "snapshot",
)
SPACE_FAULTS: Final = ("purge",)
"""What makes a space forget: what was deleted goes for good, while members are away, left out, and come back."""

FAULTS: Final = (*NETWORK_FAULTS, *NODE_FAULTS, *SPACE_FAULTS)
"""Every kind of fault that a generated plan can have."""

ON_REQUEST: Final = frozenset({"power_cut", "midway", "corruption", "snapshot"})
"""Not drawn unless asked for: power cuts need the extra `power`; the others came when what seeds draw was settled."""

WORK: Final = (
    "put",
    "update",
    "delete",
    "transact",
    "compare_and_set",
    "bulk_put",
    "decide",
    "reopen",
    "read",
    "query",
    "check_export",
    "watch",
)
_NEVER_DRAWN: Final = ON_REQUEST - {"power_cut"}
_DRAWN_LAST: Final = ("bad_start", "watch", "breaks", "purge")
"""What came later than the others: it does not shift what their seeds draw."""

_LAST_PER_MILLE: Final = 300
_ALWAYS: Final = ("put", "update")
"""Without these there is nothing to disagree about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swarm:
    """What is on: kinds of faults and kinds of work, in the order of their lists."""

    faults: tuple[str, ...]
    work: tuple[str, ...]

    def describe(self) -> str:
        """For the plan's note."""
        return f"faults: {', '.join(self.faults) or 'none'}; work: {', '.join(self.work)}"


def swarm_of(
    dice: Dice, faults: Collection[str] | None, *, network: bool, work: Collection[str] | None = None
) -> Swarm:
    """Draw what is on.

    Args:
        dice: Where from.
        faults: Exactly these; None: a random subset of all.
        network: Whether faults of the network are possible at all.
        work: Exactly these kinds, besides those that are always there; None: a random subset of all.

    Raises:
        InvalidPlan: There is no such fault, or no such kind of work.
    """
    _check_names("faults", faults, FAULTS)
    _check_names("work", work, WORK)
    # All draws are made, whatever is asked for: what is on does not shift what else the seed draws.
    drawn = set(dice.some([name for name in FAULTS if name not in _NEVER_DRAWN.union(_DRAWN_LAST)])) - ON_REQUEST
    share = dice.pick((300, 600, 900))
    kinds = {*dice.some([name for name in WORK if name not in _DRAWN_LAST], share)}
    later = {*dice.some(_DRAWN_LAST, _LAST_PER_MILLE)}
    drawn, kinds = drawn | later, kinds | later
    chosen = tuple(name for name in FAULTS if name in (drawn if faults is None else faults))
    possible = tuple(name for name in chosen if network or name not in NETWORK_FAULTS)
    doing = {*_ALWAYS, *(kinds if work is None else work)}
    return Swarm(faults=possible, work=tuple(name for name in WORK if name in doing))


def _check_names(argument: str, asked: Collection[str] | None, known: tuple[str, ...]) -> None:
    if isinstance(asked, str):
        raise mistake(f"{argument}: a list of names, not one text", argument, f"Pass {asked.split(',')!r}.")
    for name in sorted(asked or ()):
        if name not in known:
            what = f"there is no {argument.removesuffix('s')} {name!r}"
            raise mistake(what, argument, f"There are: {', '.join(known)}.")
