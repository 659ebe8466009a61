"""The command simulate: prove an engine, a plan or a schema on a network that misbehaves.

Loads the simulation only when it runs. Invariant: what failed is always written down as a file that `--replay` and
`--shrink` take.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from holdfast.errors import FileUnreadable

from .files import check_apart, refuse_unwritable
from .output import facts, note, print_json, printable, say, table
from .program import Command, found_problem, wants_json, was_given
from .progress import bar, counter

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.simulation import Artefact, Outcome, Progress, Replay, Report, Totals

FAILURES_SHOWN: Final = 10
BAR_PARTS: Final = 1_000
"""Of the bar, for each seed: one that runs for minutes shows how far it is."""
_SEEDS = re.compile(r"(\d+)(?:-(\d+))?")


class Seeds(click.ParamType[range]):
    """`100`: the seeds 0 to 99; `5-20`: the seeds 5 to 20."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> range:  # noqa: ANN401 - as click declares it
        """The seeds."""
        if isinstance(value, range):
            return value
        match = _SEEDS.fullmatch(value)
        first, last = (int(match[1]), int(match[2])) if match and match[2] else (0, int(match[1]) - 1 if match else -1)
        if not first <= last < 2**63:
            self.fail(f"{value!r} is neither a number of seeds, such as 100, nor a range, such as 5-20", param, ctx)
        return range(first, last + 1)


def _file(*words: str, text: str, readable: bool = False) -> Callable[..., Any]:
    kind = click.Path(path_type=Path, dir_okay=False, exists=readable)
    return click.option(*words, type=kind, metavar="FILE", help=text)


@click.command(cls=Command)
@click.option("--nodes", type=click.IntRange(2, 500), default=4, show_default=True, help="Nodes, hubs included.")
@click.option("--hours", type=float, metavar="HOURS", default=1.0, show_default=True, help="Virtual hours of chaos.")
@click.option(
    "--partitions",
    type=click.Choice(["none", "light", "medium", "heavy"]),
    default="medium",
    show_default=True,
    help="How bad the network is.",
)
@click.option(
    "--keys", type=click.IntRange(1), default=6, show_default=True, help="Keys that nodes write: few meet often."
)
@click.option(
    "--faults", metavar="NAMES", help="Exactly these faults, with commas between; all seeds draw some if not given."
)
@click.option(
    "--seed", type=click.IntRange(0), metavar="N", help="One seed; 0 if no seeds are named, or the plan's own."
)
@click.option("--seeds", type=Seeds(), metavar="N|A-B", help="Many seeds: the first N, or those from A to B.")
@click.option(
    "--processes", type=click.IntRange(1), metavar="N", help="How many run at once; by default one for each core."
)
@_file("--plan", text="Run this plan (docs/reference/plan.md) instead of drawn ones.", readable=True)
@_file("--replay", text="Run the failure in FILE again, exactly.", readable=True)
@_file("--shrink", text="Make the failure in FILE small, and write it beside it.", readable=True)
@click.option(
    "--seconds",
    type=click.FloatRange(1),
    metavar="S",
    default=300,
    show_default=True,
    help="How long --shrink may take.",
)
@_file("--results", text="Append a line for each seed; what stands there is not run again, and all adds up.")
@_file("--report", text="Write a report to look at in a browser; with --replay, of that run.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="FOLDER",
    help="Where files of failures go; here by default.",
)
def simulate(*, replay: Path | None, shrink: Path | None, seconds: float, out: Path, **options: Any) -> None:  # noqa: ANN401 - passed on
    """Run real engines in virtual time on a network that misbehaves.

    Nodes write offline, crash, lose their network, fill their disks; then all heals and they must agree. Everything
    follows from the seed, so each failure comes again. The last lines are a table of figures. Exit code 1 means that
    something failed, which is then a file in --out; 2 that the plan is not legal.

    \b
    Examples:
      holdfast simulate --nodes 20 --hours 48 --partitions heavy --seed 7
      holdfast simulate --seeds 1000 --results campaign.jsonl
      holdfast simulate --replay failure-7.json
      holdfast simulate --shrink failure-7.json
    """
    if (replay is not None) + (shrink is not None) + (options["plan"] is not None) > 1:
        raise click.UsageError("pass one of --plan, --replay and --shrink")
    _check_files([file for file in (options["plan"], replay, shrink) if file is not None], options)
    with ending_as_interrupted():
        if replay is not None:
            _refuse_others("--replay", "report")
            _replay(replay, options["report"])
        elif shrink is not None:
            _refuse_others("--shrink", "seconds", "out")
            _shrink(shrink, out if was_given("out") else shrink.parent, seconds)
        elif was_given("seconds"):
            raise click.UsageError("--seconds says how long --shrink may take: leave it out")
        else:
            _simulate(out, **options)


def _check_files(kept: list[Path], options: dict[str, Any]) -> None:
    """What is written can be, and writes over nothing that is read here, nor over the other."""
    for name in ("results", "report"):
        file = options[name]
        if file is not None:
            refuse_unwritable(file)
            check_apart(file, kept, f"--{name}")
            kept.append(file)


def _refuse_others(option: str, *allowed: str) -> None:
    """What the file of a failure says itself cannot be asked for."""
    context = click.get_current_context()
    drawn = ("nodes", "hours", "partitions", "keys", "faults", "seed", "seeds", "processes")
    for name in (*drawn, "results", "report", "seconds", "out"):
        if name not in allowed and was_given(name):
            raise click.UsageError(f"{option} takes everything from its file: leave out --{name}", context)


@contextmanager
def ending_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does: processes are ended and folders removed on the way out."""

    def interrupt(_number: int, _frame: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not end the cleaning up
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _simulate(
    out: Path,
    *,
    seed: int | None,
    seeds: range | None,
    report: Path | None,
    faults: str | None,
    **options: Any,  # noqa: ANN401 - passed on
) -> None:
    from holdfast import simulation

    if seed is not None and seeds is not None:
        raise click.UsageError("pass one of --seed and --seeds")
    drawn = [name for name in ("nodes", "hours", "partitions", "keys", "faults") if was_given(name)]
    if options["plan"] is not None and drawn:
        raise click.UsageError(f"a plan says this itself: leave out --{drawn[0]}")
    _check_folder(out)
    wanted = seeds if seeds is not None else None if seed is None else [seed]
    chosen = None if faults is None else [name.strip() for name in faults.split(",") if name.strip()]
    with bar("simulating", BAR_PARTS * len(seeds or "1")) as show, _told_where(options["results"]):

        def show_seen(seen: Progress) -> None:
            show(round(BAR_PARTS * (seen.done + seen.running)))

        found = simulation.simulate(seeds=wanted, faults=chosen, on_progress=show_seen, **options)
    files = [_write(outcome, found, out) for outcome in found.outcomes if not outcome.ok]
    if report is not None:
        _report(found, report, _command(found, files, options["plan"]))
    if wants_json():
        print_json({**found.as_json(), "artefacts": [str(file) for file in files]})
    else:
        _print(found, files)
    if not found.ok:
        found_problem()


@contextmanager
def _told_where(results: Path | None) -> Iterator[None]:
    """Say to who ends a campaign what stays of it."""
    try:
        yield
    except KeyboardInterrupt:
        if results is not None:
            note(printable(f"What was done stands in {results}: the same command goes on from there."))
        raise


def _check_folder(folder: Path) -> None:
    """Files of failures must find a place after hours of work."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        what = "no files can be made there"
        raise FileUnreadable(
            what, subject=str(folder), remedy="Name a folder that may be written.", typed="--out FOLDER"
        )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the folder cannot be made: {error.strerror or error}"
        raise FileUnreadable(
            what, subject=str(folder), remedy="Name a folder that may be written.", typed="--out FOLDER"
        ) from error


def _command(found: Report, files: list[Path], plan: Path | None) -> str:
    """What shows again what a report draws, as it can be typed here."""
    if files:
        return f"holdfast simulate --replay {shlex.quote(str(files[0]))}"
    if plan is not None and found.outcomes:
        from holdfast.simulation.report.words import shown_first

        shown = shown_first(found.outcomes)
        return f"holdfast simulate --plan {shlex.quote(str(plan))} --seed {shown.seed}" if shown is not None else ""
    return ""


def _report(found: Report, file: Path, command: str) -> None:
    import_module("holdfast.simulation.report.page").write_report(found, file, command=command)


def _write(outcome: Outcome, report: Report, folder: Path) -> Path:
    from holdfast.simulation.runs.artefact import artefact_of

    _make(folder)
    file = folder / f"failure-{outcome.seed}.json"
    artefact_of(outcome, report.scenario).write(file)
    return file


def _print(report: Report, files: list[Path]) -> None:
    failed = [result for result in report.results if not result.ok]
    if failed:
        rows = [(result.seed, result.invariant, result.error[:200]) for result in failed[:FAILURES_SHOWN]]
        say(table(("seed", "broken", "what"), rows))
        if len(failed) > FAILURES_SHOWN:
            say(f"and {len(failed) - FAILURES_SHOWN} more")
        for file in files[:FAILURES_SHOWN]:
            say(printable(f"again: holdfast simulate --replay {file}    smaller: --shrink {file}"))
        say("")
    say(facts(figures(report.totals, report.elapsed_s)))


def figures(totals: Totals, elapsed_s: float) -> list[tuple[str, object]]:
    """The table of figures."""
    return [
        ("seeds", totals.seeds),
        ("failed", totals.failed),
        *((f"  {name}", count) for name, count in totals.by_invariant.items()),
        *_answered(totals),
        ("acknowledged writes", totals.acknowledged),
        ("accounted for", _percent(totals.accuracy)),
        ("conflicts", totals.conflicts),
        ("resolved by a rule or a decision", _percent(totals.resolved)),
        ("virtual time to converge, p50", _seconds(totals.converged_ms_p50)),
        ("virtual time to converge, p99", _seconds(totals.converged_ms_p99)),
        ("longest wait of a read or write", _seconds(totals.stall_ms_max)),
        ("bytes over the network", totals.bytes),
        ("syncs", totals.syncs.get("completed", 0)),
        *((f"  not completed: {name}", count) for name, count in totals.syncs.items() if name != "completed"),
        *((f"refused: {name}", count) for name, count in totals.refused.items()),
        ("virtual seconds per CPU second", round(totals.virtual_s_per_cpu_s)),
        ("seeds per CPU second", f"{totals.seeds_per_cpu_s:.2f}"),
        ("took", f"{elapsed_s:.1f} s"),
    ]


def _answered(totals: Totals) -> list[tuple[str, object]]:
    """What local reads and writes met, each with what was refused, by cause."""
    from holdfast.simulation.runs.availability import availability_of

    rows: list[tuple[str, object]] = []
    for each in availability_of(totals.answers):
        refused = ", ".join(f"{count} {code}" for code, count in each.refused.items())
        said = f"{_percent(each.share)} of {each.asked}" + (f"; refused: {refused}" if refused else "")
        rows.append((f"{each.kind}s answered {each.under}", said))
    return rows


def _percent(share: float | None) -> str:
    # Cut, not rounded: 100 % means all.
    return "-" if share is None else f"{int(share * 10_000) / 100:g} %"


def _seconds(ms: int | None) -> str:
    return "-" if ms is None else f"{ms / 1000:g} s"


def _replay(file: Path, report: Path | None) -> None:
    from holdfast import simulation

    found = simulation.replay(file)
    if report is not None:
        command = f"holdfast simulate --replay {shlex.quote(str(file))}"
        _report(import_module("holdfast.simulation.runs.replay").report_of(found), report, command)
    if wants_json():
        print_json(_replayed(found))
    else:
        say(printable(found.outcome.trace.text()[-8_000:]).replace("\\n", "\n"))
        say("")
        for text in found.notes:
            note(printable(f"Note: {text}"))
        say(printable(_verdict(found)))
    if not found.outcome.ok:
        found_problem()


def _verdict(found: Replay) -> str:
    if found.outcome.ok:
        return f"the failure does not come again: all held (followed the {found.by})"
    exactly = ", step by step" if found.exact else ""
    word = f"the same failure{exactly}" if found.same else f"another failure than {found.artefact.invariant!r}"
    return f"{word} (followed the {found.by}): {found.outcome.fault}"


def _replayed(found: Replay) -> dict[str, Any]:
    return {
        "seed": found.artefact.seed,
        "by": found.by,
        "same": found.same,
        "exact": found.exact,
        "invariant": found.outcome.invariant,
        "error": str(found.outcome.fault or ""),
        "notes": list(found.notes),
    }


def _shrink(file: Path, folder: Path, seconds: float) -> None:
    from holdfast import simulation

    _check_folder(folder)
    with counter() as show:
        small: Artefact = simulation.shrink(
            file,
            seconds=seconds,
            on_progress=lambda seen: show(
                f"shrinking: try {seen.tries}, {seen.events} events, {seen.nodes} nodes, {seen.picks} odd steps"
            ),
        )
    _make(folder)
    target = folder / f"{file.stem}-small.json"
    small.write(target)
    if wants_json():
        print_json({"file": str(target), "invariant": small.invariant, "shrunk": dict(small.shrunk)})
    else:
        before, after = small.shrunk.get("from", {}), small.shrunk.get("to", {})
        rows = [(name, count, after[name]) for name, count in before.items()]
        say(table(("what", "before", "after"), rows) if rows else "it is as small as it gets")
        say(printable(f"wrote {target}"))
        say(printable(f"{small.fault['what']} ({small.fault['subject']})"))
    found_problem()
