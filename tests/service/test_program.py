"""How commands end: exit codes, errors, pipes, interrupts, and what is imported for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from holdfast import errors
from holdfast.errors import HoldfastError, LinkError, ProtocolError, SimulationFault, StorageError, SyncHeld, UsageError
from holdfast.service.cli import main
from holdfast.service.program import EXIT_CODES, Program, exit_code

from .commands import command, holdfast, ok, started, writer_process

ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HoldfastError)]
FAMILIES = {SyncHeld: 1, UsageError: 2, StorageError: 3, LinkError: 4, ProtocolError: 5, SimulationFault: 1}


def _raising(error: BaseException) -> Program:
    def fail() -> None:
        raise error

    return Program("holdfast", commands={"fail": click.Command("fail", callback=fail)})


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if kind is not HoldfastError])
def test_every_error_of_the_tree_ends_with_the_code_of_its_family_and_no_traceback(kind: type[HoldfastError]):
    expected = next(code for family, code in FAMILIES.items() if issubclass(kind, family))
    error = kind("it went wrong", subject="edge.db", remedy="Mend it.")
    done = CliRunner().invoke(_raising(error), ["fail"], catch_exceptions=False)
    assert (done.exit_code, exit_code(error)) == (expected, expected)
    assert done.stdout == ""
    assert done.stderr == "Error: it went wrong (edge.db)\n       Mend it.\n"


def test_with_json_an_error_is_one_object_on_stderr():
    error = errors.DiskFull("no space\x1b[31m", subject="edge.db", remedy="Free some.")
    done = CliRunner().invoke(_raising(error), ["--json", "fail"], catch_exceptions=False)
    assert done.exit_code == 3
    assert done.stdout == ""
    assert json.loads(done.stderr) == {
        "error": {"code": "disk-full", "message": "no space\x1b[31m", "subject": "edge.db", "remedy": "Free some."}
    }


def test_an_error_cannot_steer_the_terminal():
    error = errors.DiskFull("no \x1b[31mspace\u202e", subject="a\nb", remedy="Free some.")
    done = CliRunner().invoke(_raising(error), ["fail"], catch_exceptions=False)
    assert done.stderr == "Error: no \\x1b[31mspace\\u202e (a\\nb)\n       Free some.\n"


@pytest.mark.parametrize("words", [("nonsense",), ("get",), ("get", "a", "b", "c", "--nonsense"), ("hub", "run")])
def test_a_call_that_no_command_understands_is_a_usage_error(words):
    assert holdfast(*words).code == 2
    failed = holdfast(*words, "--json")
    assert failed.code == 2
    assert failed.error["code"] == "usage-error"
    assert set(failed.error) == {"code", "message", "subject", "remedy"}


@pytest.mark.parametrize("words", [("conflicts",), ("hub",), ("hub", "token")])
def test_a_family_without_words_explains_itself_in_lines(words):
    shown = holdfast(*words)
    assert shown.code == 2
    assert len(shown.err.splitlines()) > 5
    assert "\\n" not in shown.err
    assert set(holdfast(*words, "--json").error) == {"code", "message", "subject", "remedy"}


def test_an_interrupt_ends_with_130():
    done = CliRunner().invoke(_raising(KeyboardInterrupt()), ["fail"], catch_exceptions=False)
    assert done.exit_code == 130
    assert "Traceback" not in done.stderr


def test_help_lists_every_exit_code():
    text = ok("--help").out
    assert not [code for code, _ in EXIT_CODES if f"  {code}  " not in text]


def _commands(group: click.Group, *words: str):
    for name, sub in group.commands.items():
        yield (*words, name)
        if isinstance(sub, click.Group):
            yield from _commands(sub, *words, name, *(["x.db"] if sub.params[:-1] else []))


@pytest.mark.parametrize("words", list(_commands(main)), ids=" ".join)
def test_every_command_explains_itself_and_knows_json(words):
    assert "--json" in ok(*words, "--help").out


def test_what_a_command_does_not_need_is_not_imported(file: Path):
    script = "import sys; from holdfast.service.cli import main\ntry: main(sys.argv[1:])\nfinally: print(*sys.modules)"
    # Coverage of subprocesses would import modules of its own.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}

    def imported(*words: object) -> set[str]:
        line = [sys.executable, "-c", script, *map(str, words)]
        run = subprocess.run(line, check=True, capture_output=True, text=True, timeout=30, env=env)
        return set(run.stdout.splitlines()[-1].split())

    assert not {"asyncio", "sqlite3", "aiohttp", "holdfast.engine"} & imported("--help")
    assert not {"aiohttp", "zstandard", "pycrdt"} & imported("get", file, "tasks", "t1")


def test_a_reader_that_goes_away_ends_the_command_quietly(file: Path):
    lines = "".join(json.dumps({"key": f"k{at:05}", "text": "x" * 200}) + "\n" for at in range(3_000))
    ok("import", file, "many", "-", stdin=lines)
    with started("export", file, "many") as process:
        assert process.stdout.readline().startswith(b'{"key":"k00000"')
        process.stdout.close()
        assert process.wait(20) == 141
        assert process.stderr.read() == b""


def test_an_output_that_takes_no_more_is_a_storage_error(file: Path):
    for words in (("list", file), ("export", file, "tasks"), ("get", file, "tasks", "t1", "--json")):
        with Path("/dev/full").open("wb") as full, started(*words, stdout=full) as process:
            assert process.wait(20) == 3
            text = process.stderr.read()
            assert b"No space left on device" in text
            assert b"Traceback" not in text


def test_ctrl_c_while_it_waits_for_input_ends_the_command_cleanly(tmp_path: Path):
    path = tmp_path / "edge.db"
    with started("import", path, "tasks", "-", "--space", "plant") as process:
        process.stdin.write(b'{"key": "a"}\n')
        process.stdin.flush()
        deadline = time.monotonic() + 20
        while not (path.exists() and path.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        text = process.stderr.read()
        assert b"Interrupted" in text
        assert b"Traceback" not in text
    assert ok("verify", path, "--json").value["ok"]


def test_beside_a_writer_one_can_read_and_not_write(file: Path):
    with writer_process(file) as writer:
        assert ok("get", file, "tasks", "held", "--json").value["fields"] == {"n": 1}
        for words in (("list", "tasks"), ("status",), ("verify",), ("log",), ("conflicts",), ("export", "tasks")):
            ok(words[0], file, *words[1:])
        refused = holdfast("put", file, "tasks", "t1", "{}", "--json")
        assert refused.code == 3
        assert refused.error["code"] == "file-locked"
        assert f"process {writer.pid} (pump)" in refused.error["message"]
    ok("put", file, "tasks", "t1", "{}")


def test_the_program_runs_as_a_module(file: Path):
    done = subprocess.run(command("get", file, "tasks", "t2"), check=True, capture_output=True, timeout=30)
    assert json.loads(done.stdout) == {"title": "日本 \U0001f600", "n": 2.0}


def test_a_terminal_without_unicode_gets_escapes(file: Path):
    options = {"capture_output": True, "env": {"PYTHONIOENCODING": "ascii"}, "timeout": 30}
    done = subprocess.run(command("get", file, "tasks", "t2", "--json"), check=True, **options)
    assert json.loads(done.stdout)["fields"]["title"] == "日本 \U0001f600"
    done = subprocess.run(command("query", file, "tasks"), check=True, **options)
    assert b"\\u65e5" in done.stdout
