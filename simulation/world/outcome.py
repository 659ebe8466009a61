"""What came of a world: figures, the first violation if there was one, and what is needed to see it again.

Values only. Invariant: an outcome is a function of plan and choices, so two runs of one seed have equal outcomes but
for the real time that they took.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

from holdfast.errors import HoldfastError, ProgramFault, Violation

from ..kernel.blame import site_of
from ..kernel.choices import Tape
from ..kernel.trace import Trace
from ..plans.plan import Plan


@dataclass(slots=True)
class Figures:
    """What was counted.

    Attributes:
        done: Kinds of work that were answered; refused: (kind, code of the error) that were refused.
        answers: Local reads and writes, of plans and programs alike, by what they met: "offline: write: answered",
            "disk full: write: disk-full" (`answers.py`).
        syncs: Outcomes of syncs: "completed", "incomplete", or the code of the error.
        attacks: What came of each attack: its name, and the code of the error or "answered".
        skipped: Events that met a node that was down.
        acknowledged: Writes whose callers got a receipt; unaccounted: those of them that are nowhere.
        conflicts, conflicts_settled: Conflicts at the first node in the end, and those that nobody has to look at.
        records, operations: Records in the end, operations over all nodes.
        bytes: That arrived, over all ways.
        virtual_ms: Virtual time that passed; converged_ms: from healing to agreement, None if that never came.
        steps: Of the loop.
        stall_ms_max: The longest that a read or a write waited, in virtual milliseconds.
    """

    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    syncs: Counter[str] = field(default_factory=Counter)
    attacks: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    acknowledged: int = 0
    unaccounted: int = 0
    conflicts: int = 0
    conflicts_settled: int = 0
    records: int = 0
    operations: int = 0
    bytes: int = 0
    virtual_ms: int = 0
    converged_ms: int | None = None
    steps: int = 0
    stall_ms_max: int = 0

    def as_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        # asdict() would make a Counter of the pairs of a Counter.
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in values.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One world that was lived through.

    Attributes:
        seed: Of its choices.
        plan: What was to happen.
        fault: The first thing that went wrong; None if all held.
        figures: What was counted.
        trace: What happened; digest: of all of it, states of all nodes included.
        reached: Rare states of the engine that it was in, and how often.
        tape: The choices that were made, in order; empty unless they were recorded.
        cpu_s: Processor time that it took.
    """

    seed: int
    plan: Plan
    fault: HoldfastError | None
    figures: Figures
    trace: Trace
    digest: str
    reached: Counter[str]
    tape: Tape = ()
    cpu_s: float = field(default=0, compare=False)

    @property
    def ok(self) -> bool:
        """Whether all invariants held."""
        return self.fault is None

    @property
    def invariant(self) -> str:
        """Which invariant was broken, or the kind of the fault; "" if all held."""
        if isinstance(self.fault, Violation):
            return self.fault.invariant
        return self.fault.code if self.fault is not None else ""

    @property
    def kind(self) -> tuple[str, str]:
        """What tells one failure from another: the invariant, and what found it broken. Not kept between processes."""
        if self.fault is None or isinstance(self.fault, ProgramFault):
            return self.invariant, self.fault.subject if self.fault is not None else ""
        return self.invariant, site_of(self.fault.__cause__ or self.fault)
