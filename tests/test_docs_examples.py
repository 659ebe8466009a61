"""Claims about the documents' examples: what stands there runs, and prints what it is said to print.

A Python block runs as it stands, in a directory of its own. What it prints must be what its comments of the form
``# -> text`` say, line by line. One that names HOLDFAST_HUB finds a hub with an empty space "plant" there.
The console blocks of a document are one dialogue with a shell: commands stand behind ``$``, all other lines are the
output, where ``...`` stands for anything. (Blocks that a machine without set-up cannot run are marked as `sh`.)
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sybil import Document, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from holdfast.transport.hub.registry import HubRegistry

from .sources import ROOT, documents

if TYPE_CHECKING:
    from sybil.example import Example

SHOWN = re.compile(r"# -> ?(.*)$", re.MULTILINE)
PORT = "8787"  # what the documents say; a free one takes its place
PROMPTS = ("$ ", "> ")  # a command, and what continues it


def _ignore(_: Example) -> None:
    """A console block is run with the others of its document."""


PYTHON = Sybil(parsers=[PythonCodeBlockParser()])
CONSOLE = Sybil(parsers=[CodeBlockParser("console", _ignore)])


@cache
def _examples(sybil: Sybil, file: Path) -> list[Example]:
    return list(sybil.parse(ROOT / file).examples())


def _programs() -> list[object]:
    return [
        pytest.param(file, at, id=f"{file}:{example.line}")
        for file in documents()
        for at, example in enumerate(_examples(PYTHON, file))
    ]


def _fresh(file: Path, at: int) -> Example:
    """The example with a namespace of its own: no program leans on the one before."""
    document: Document = PYTHON.parse(ROOT / file)
    return list(document.examples())[at]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _hub(directory: Path) -> Iterator[dict[str, str]]:
    """A hub in a process of its own; gives the environment that its clients need."""
    registry = HubRegistry.init(directory)
    registry.add_space("plant")
    _, secret = registry.add_token("plant", "rw")
    command = [sys.executable, "-m", "holdfast", "hub", "run", str(directory), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as hub:
        try:
            assert hub.stdout is not None
            yield {"HOLDFAST_HUB": hub.stdout.readline().split()[-1], "HOLDFAST_TOKEN": secret}
        finally:
            hub.terminate()


@pytest.mark.parametrize(("file", "at"), _programs())
def test_every_python_block_runs_and_prints_what_it_says(
    file: Path, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    example = _fresh(file, at)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    if "HOLDFAST_HUB" in example.parsed:
        with _hub(tmp_path / "hub") as environment:
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            example.evaluate()
    else:
        example.evaluate()
    assert capsys.readouterr().out.splitlines() == SHOWN.findall(example.parsed)


def _dialogues() -> list[Path]:
    return [file for file in documents() if _examples(CONSOLE, file)]


def _script(lines: list[str], port: int) -> str:
    """The dialogue as a script; a command in the background is waited for until it listens."""
    probe = f"(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null"
    listening = f"for _ in {{1..200}}; do {probe} && break; sleep 0.05; done"
    parts = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null && wait || true' EXIT"]
    for line in lines:
        if line.startswith(PROMPTS):
            parts.append(line[2:])
        if line.startswith(PROMPTS) and line.endswith(" &"):
            parts.append(listening)
    return "\n".join(parts).replace(PORT, str(port))


def _missing(shown: list[str], printed: str) -> list[str]:
    """The lines of `shown` that do not stand in `printed` in this order."""
    rest, missing = printed.splitlines(), []
    for line in shown:
        pattern = re.compile(re.escape(line.strip()).replace(r"\.\.\.", ".*"))
        found = next((at for at, candidate in enumerate(rest) if pattern.fullmatch(candidate.strip())), None)
        if found is None:
            missing.append(line)
        else:
            rest = rest[found + 1 :]
    return missing


@pytest.mark.parametrize("file", _dialogues(), ids=str)
def test_every_console_block_is_a_dialogue_that_a_shell_can_have(file: Path, tmp_path: Path):
    lines = [line for example in _examples(CONSOLE, file) for line in example.parsed.splitlines()]
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    run = subprocess.run(
        ["bash", "-c", _script(lines, port)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    printed = run.stdout.replace(str(port), PORT)
    assert run.returncode == 0, printed
    shown = [line for line in lines if line.strip() and not line.startswith(PROMPTS)]
    assert not _missing(shown, printed), printed


def test_the_readme_has_a_program_and_a_dialogue():
    assert _examples(PYTHON, Path("README.md"))
    assert Path("README.md") in _dialogues()
