"""`python -m benchmarks SCENARIO`: runs named scenarios and prints what they measured.

Only here are arguments read and results printed. Invariant: standard output holds nothing but results.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, cast

from .report import as_object, as_table, machine
from .scenario import Aim, Plan, Result

SCENARIOS = {
    "W1a": "single_writes",
    "W1b": "bulk_put",
    "W2": "catch_up",
    "BOOTSTRAP": "bootstrap",
    "W3": "reconnect",
    "W4": "rewrite",
    "W5": "noop",
    "W7": "cold_open",
    "DISK": "disk",
    "METADATA": "metadata",
    "COPIES": "copies",
    "RETENTION": "retention",
    "REPAIR": "repair",
    "IDLE": "idle",
    "CHURN": "churn",
    "GROWTH": "growth",
}


class Scenario(Protocol):
    """A module that measures one scenario."""

    TITLE: str
    AIMS: dict[str, Aim]

    async def run(self, plan: Plan) -> Result:
        """Measure."""
        ...


def scenario(name: str) -> Scenario:
    """The module of a scenario, imported when it is needed: some measure imports."""
    return cast("Scenario", import_module(f"benchmarks.{SCENARIOS[name]}"))


def main(arguments: list[str] | None = None) -> int:
    """Runs what the command line names; 0 when everything was measured, whatever the numbers say."""
    options = _parser().parse_args(arguments)
    names = list(SCENARIOS) if options.scenario == "ALL" else [options.scenario]
    results = [_run(name, options) for name in names]
    if options.json:
        print(json.dumps(results if options.scenario == "ALL" else results[0], indent=2))
    return 0


def _run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    print(f"{name} ({options.scale})", file=sys.stderr, flush=True)
    module = scenario(name)
    where = machine()
    with TemporaryDirectory(prefix="holdfast-benchmark-", dir=options.dir) as directory:
        plan = Plan(scale=options.scale, directory=Path(directory), data=options.data, seed=options.seed)
        result = asyncio.run(module.run(plan))
    if not options.json:
        print(as_table(name, module.TITLE, result, module.AIMS), flush=True)
    return as_object(name, options.scale, result, where)


def _parser() -> argparse.ArgumentParser:
    titles = "\n".join(f"  {name:<9} {module}" for name, module in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures Holdfast against plain sqlite3. docs/benchmarks.md says what the numbers mean.",
        epilog=f"scenarios:\n{titles}\n  ALL       all of them, as when none is named",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scenario", nargs="?", default="ALL", choices=[*SCENARIOS, "ALL"], metavar="SCENARIO", help="one of those below"
    )
    parser.add_argument("--scale", choices=["quick", "full"], default="quick", help="quick: 40 seconds per scenario")
    parser.add_argument("--json", action="store_true", help="print one object (ALL: a list) instead of tables")
    parser.add_argument("--data", type=Path, metavar="FILE", help="records from a .jsonl or .jsonl.gz with a `key`")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="where files are put: the disk that is measured")
    parser.add_argument("--seed", type=int, default=1, help="of the generator and of every choice")
    return parser


if __name__ == "__main__":
    sys.exit(main())
