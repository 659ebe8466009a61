"""Results as people and programs read them: a table with the aim beside each number, or one JSON object.

It must not know how anything is measured.
Invariant: the JSON of a scenario has exactly the keys scenario, scale, figures, ratios and machine.
"""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from .scenario import Aim, Result, Scale

Machine = Mapping[str, str | int | float]


def machine() -> Machine:
    """What the numbers depend on: processor, system, interpreter, and how busy the machine is."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load": round(os.getloadavg()[0], 2),
    }


def as_object(scenario: str, scale: Scale, result: Result, where: Machine) -> dict[str, object]:
    """One scenario's result, ready for `json.dumps`."""
    return {
        "scenario": scenario,
        "scale": scale,
        "figures": {name: _rounded(number) for name, number in result.figures.items()},
        "ratios": {name: _rounded(number) for name, number in result.ratios.items()},
        "machine": dict(where),
    }


def as_table(scenario: str, title: str, result: Result, aims: Mapping[str, Aim]) -> str:
    """One scenario's result for reading: figures first, then ratios, each with its aim if it has one."""
    numbers = {**result.figures, **result.ratios}
    width = max(map(len, numbers))
    lines = [f"{scenario}  {title}"]
    for name, number in numbers.items():
        line = f"  {name:<{width}}  {_shown(number):>14}"
        lines.append(f"{line}  {_verdict(number, aims[name])}" if name in aims else line)
    return "\n".join(lines)


def _verdict(number: float, aim: Aim) -> str:
    return f"{'reaches' if aim.met(number) else 'MISSES '}  {aim}"


def _shown(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1_000 or number == int(number) else f"{number:,.3g}"


def _rounded(number: float) -> float:
    """Counts as they are; of everything else six significant digits, because more would only pretend."""
    return int(number) if number == int(number) else float(f"{number:.6g}")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
