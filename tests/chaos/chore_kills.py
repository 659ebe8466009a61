"""Ends chores by SIGKILL at one system call after the other, and judges what is left.

Run as a program (`python -m tests.chaos.chore_kills CHORE CALL EVERY FOLDER`): the folder holds `source/`, as the
chore prepared it. Each fork of this process works on a copy and waits until strace is attached; the call kills it
before it is carried out. Another fork then judges. Prints, as JSON, how often it was killed and what was wrong.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from pathlib import Path

from ..engine.upgrading import forked
from .chores import CHORES, FILE, Chore, opened
from .killing import CALLS, POINTS_MAX, tracer

SOURCE = "source"
SYSTEM_CALLS = (*CALLS, "chmod", "mkdir")
"""A chore that makes files beside the database calls more than a write does."""

FAULTY = 2


async def do(chore: Chore, place: Path) -> None:
    """The chore, in this process."""
    async with opened(place / FILE, **chore.options) as engine:
        await chore.act(engine, place)


async def judge(chore: Chore, place: Path) -> None:
    """What was left, by an assertion; a process that dies is no cause for a new identity."""
    async with opened(place / FILE, **chore.options) as engine:
        assert chore.renews or engine.renewed is None, engine.renewed
        await chore.check(engine, place)


def judged(chore: Chore, place: Path, report: Path) -> None:
    """As `judge`; what is wrong stands in the report."""
    try:
        asyncio.run(judge(chore, place))
    except Exception:  # noqa: BLE001 - whatever it is, it is a finding
        report.write_text(traceback.format_exc(limit=-3), encoding="utf-8")
        sys.exit(FAULTY)


def held(chore: Chore, place: Path, tracing: list[str]) -> int:
    """Do the chore in a fork that a tracer is attached to first; gives how it ended."""
    waiting, go = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(go)
            os.read(waiting, 1)
            asyncio.run(do(chore, place))
        except BaseException:  # noqa: BLE001 - the parent learns of it by the exit code
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(waiting)
    with subprocess.Popen([*tracing, "-p", str(child)], stderr=subprocess.PIPE) as strace:
        assert strace.stderr is not None
        strace.stderr.readline()  # it is attached
        os.write(go, b".")
        os.close(go)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        strace.stderr.read()
    return ended


def main(name: str, call: str, every: int, folder: Path) -> int:
    """Kill one process for every so many-th call."""
    chore, report, points, findings = CHORES[name], folder / "report.txt", 0, []
    for number in range(1, POINTS_MAX, every):
        place = folder / str(number)
        shutil.copytree(folder / SOURCE, place)
        ended = held(chore, place, tracer(call, number, folder / "strace.txt"))
        if ended not in (0, -signal.SIGKILL):
            findings.append(f"{call} {number}: it ended with {ended}")
        if forked(lambda place=place: judged(chore, place, report)):
            findings.append(f"{call} {number}: {report.read_text(encoding='utf-8')}")
        shutil.rmtree(place)
        if ended != -signal.SIGKILL:
            break
        points += 1
    else:
        findings.append(f"{name} at {call} does not end")
    sys.stdout.write(json.dumps({"points": points, "findings": findings}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))
