"""A nursery of edges: a process that has loaded everything forks them, where thousands are started one after the other.

Run as a program: ``python nursery.py DESCRIPTOR`` serves a socket: it takes what an edge is to be told and its two
pipes, and answers with the number of the process; it takes the number of one that has ended, and answers with its exit
code. Invariant: the nursery has neither threads nor loop nor files of its own when it forks, and ends with its parent.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from asyncio import StreamReader, StreamReaderProtocol, WriteTransport
from collections.abc import Mapping, Sequence
from typing import Any, Self

MESSAGE_BYTES_MAX = 200_000


class Born:
    """A process that was forked; for its supervisor the same as one that was started."""

    def __init__(self, nursery: Nursery, pid: int, stdin: WriteTransport, stdout: StreamReader) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.returncode: int | None = None
        self._nursery = nursery
        self._ended = asyncio.Event()
        self._descriptor = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._descriptor, self._reap)

    async def wait(self) -> int:
        """Wait until it has ended; gives its exit code, or the signal as a negative number."""
        await self._ended.wait()
        assert self.returncode is not None, "it has ended"
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self.stdin.close()
        self.returncode = self._nursery.exit_code(self.pid)
        self._ended.set()


class Nursery:
    """The nursery as its parent sees it; a context manager."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(number)], pass_fds=[number], stdin=subprocess.DEVNULL
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.wait()

    async def bear(self, arguments: Sequence[str], env: Mapping[str, str], limit: int) -> Born:
        """Fork an edge with these arguments and this environment."""
        loop = asyncio.get_running_loop()
        (their_stdin, stdin), (stdout, their_stdout) = os.pipe(), os.pipe()
        pid = self._ask({"arguments": [*arguments], "env": dict(env)}, [their_stdin, their_stdout])
        os.close(their_stdin)
        os.close(their_stdout)
        reader = StreamReader(limit)
        await loop.connect_read_pipe(lambda: StreamReaderProtocol(reader), os.fdopen(stdout, "rb", 0))
        writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(stdin, "wb", 0))
        return Born(self, pid, writer, reader)

    def exit_code(self, pid: int) -> int:
        """The exit code of one that has ended."""
        return self._ask({"ended": pid}, [])

    def _ask(self, message: dict[str, Any], descriptors: list[int]) -> int:
        socket.send_fds(self._socket, [json.dumps(message).encode()], descriptors)
        return int(self._socket.recv(100))


def serve(sock: socket.socket) -> None:
    """Fork and reap until the parent has gone."""
    edge = importlib.import_module("edge")
    importlib.import_module("holdfast.transport.links.http")  # an edge loads it when it first syncs
    while True:
        text, descriptors, _, _ = socket.recv_fds(sock, MESSAGE_BYTES_MAX, 2)
        if not text:
            return
        message = json.loads(text)
        if "ended" in message:
            answer = os.waitstatus_to_exitcode(os.waitpid(message["ended"], 0)[1])
        else:
            answer = os.fork()
            if not answer:
                sock.close()
                become(edge, message, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
        sock.send(str(answer).encode())


def become(edge: Any, message: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Be that edge, and end as it does."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.environ.clear()
        os.environ.update(message["env"])
        code = edge.run(message["arguments"])
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as parent:
        serve(parent)
