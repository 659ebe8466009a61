"""Every row of the table of exit codes, by real commands that end that way.

Interrupted (130) and a reader that went away (141) need processes with pipes: they stand in test_program.py.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from holdfast.service.program import EXIT_CODES
from holdfast.transport.links.address import FRAMES_TYPE
from holdfast.transport.messages import Refuse
from holdfast.transport.wire import encode

from ..disk import fill, small_disk
from .commands import Outcome, holdfast, hub_process, ok, writer_process

REFUSAL = Refuse(code="incompatible-protocol", message="this node speaks 1 to 1", remedy="Update the older of the two.")
BEYOND = f'{{"n": {2**70}}}'

Case = tuple[int, str, Callable[[Path], Outcome]]


def _put(file: Path, *words: object) -> Outcome:
    return holdfast("put", file, "tasks", "t9", "{}", *words, "--json")


def _import(file: Path, text: str, *words: object) -> Outcome:
    return holdfast("import", file, "tasks", "-", *words, "--json", stdin=text)


def _sync(file: Path, url: str, token: str = "hf_x") -> Outcome:
    return holdfast("sync", file, url, "--token", token, "--json")


def _answered(file: Path, status: int, kind: str, body: bytes) -> Outcome:
    with answering(status, kind, body) as url:
        return _sync(file, url)


def _locked(file: Path) -> Outcome:
    with writer_process(file):
        return _put(file)


def _damaged(file: Path) -> Outcome:
    with file.open("r+b") as raw:
        raw.seek(4096)
        raw.write(b"\xff" * (file.stat().st_size - 4096))
    return holdfast("list", file, "tasks", "--json")


def _foreign(file: Path) -> Outcome:
    file.write_text("Dear diary, " * 1_000)
    return _put(file)


def _newer(file: Path) -> Outcome:
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    return _put(file)


def _full(file: Path) -> Outcome:
    with small_disk(file.parent / "small") as disk:
        path = disk / "edge.db"
        ok("init", path, "--space", "plant")
        fill(disk, leave=150_000)
        return holdfast("put", path, "tasks", "t1", f'{{"v": "{"x" * 400_000}"}}', "--json")


def _at_hub(file: Path, space: str, rights: str, token: str = "") -> Outcome:
    """Sync a file of the space "plant" with a hub, with a token for `space`."""
    directory = file.parent / "hub"
    ok("hub", "init", directory)
    ok("hub", "space", "add", directory, space)
    secret = ok("hub", "token", "add", directory, space, "--rights", rights).out.strip()
    with hub_process(directory) as url:
        return _sync(file, url, token or secret)


CASES: dict[str, Case] = {
    "ok": (0, "", _put),
    "a sync that is not complete": (1, "", lambda file: _at_hub(file, "plant", "r")),
    "lines set aside": (1, "", lambda file: _import(file, "no\n", "--skip-broken", file.parent / "aside")),
    "an unknown option": (2, "usage-error", lambda file: _put(file, "--no")),
    "a missing record": (2, "no-such-record", lambda file: holdfast("get", file, "tasks", "no", "--json")),
    "a missing collection": (2, "no-such-collection", lambda file: holdfast("list", file, "no", "--json")),
    "an illegal value": (
        2,
        "invalid-value",
        lambda file: holdfast("put", file, "tasks", "t", BEYOND, "--json"),
    ),
    "an illegal query": (2, "invalid-query", lambda file: holdfast("query", file, "tasks", "no sql", "--json")),
    "an illegal address": (2, "invalid-url", lambda file: _sync(file, "hub:8787")),
    "a broken line": (2, "import-failed", lambda file: _import(file, '{"key": "a"}\n{\n')),
    "a missing file": (3, "file-unreadable", lambda file: _put(file.with_name("no.db"))),
    "a directory": (3, "file-unreadable", lambda file: _put(file.parent)),
    "a locked file": (3, "file-locked", _locked),
    "a damaged file": (3, "damaged-file", _damaged),
    "a file of another program": (3, "not-a-database", _foreign),
    "a newer format": (3, "newer-format", _newer),
    "a full disk": (3, "disk-full", _full),
    "a port where nobody listens": (4, "unreachable", lambda file: _sync(file, "http://127.0.0.1:1")),
    "no hub there": (4, "hub-error", lambda file: _answered(file, 404, "text/html", b"<html>")),
    "an answer that is cut": (4, "link-cut", lambda file: _answered(file, 200, FRAMES_TYPE, b"HF")),
    "a wrong token": (4, "unauthorized", lambda file: _at_hub(file, "plant", "rw", "hf_wrong")),
    "another space at the hub": (5, "no-such-space", lambda file: _at_hub(file, "site", "rw")),
    "another space in the file": (5, "space-mismatch", lambda file: _put(file, "--space", "site")),
    "another protocol": (
        5,
        "incompatible-protocol",
        lambda file: _answered(file, 400, FRAMES_TYPE, b"".join(encode(REFUSAL))),
    ),
    "what is no protocol": (5, "malformed-frame", lambda file: _answered(file, 200, FRAMES_TYPE, b"x" * 100)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_command_ends_with_the_code_of_what_happened(file: Path, case: str):
    code, word, act = CASES[case]
    done = act(file)
    assert (done.code, done.error["code"] if word else "") == (code, word)
    assert "Traceback" not in done.err


def test_every_row_of_the_table_is_tried():
    assert {code for code, _, _ in CASES.values()} | {130, 141} == {code for code, _ in EXIT_CODES}


def test_a_broken_line_is_named_by_its_number(file: Path):
    assert _import(file, '{"key": "a"}\n\n{\n').error["message"].startswith("line 3: it is not JSON")


@contextmanager
def answering(status: int, kind: str, body: bytes):
    """A server that reads every request and gives this answer, whatever was asked."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)
