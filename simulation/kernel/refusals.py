"""What an event loop can do and a simulated one refuses: real I/O, processes and signals.

Invariant: each refusal names the call and the user's line, so that it never looks like a failure of the engine.
"""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

from .blame import program_fault

_REMEDY = "In a simulation a program reaches the world through its node only: write, read, sync and sleep."


def _refused(name: str) -> Any:  # noqa: ANN401 - stands for methods of every type
    def refuse(_self: object, *_args: object, **_kwargs: object) -> NoReturn:
        raise program_fault(f"the event loop was asked for {name}, which does not exist in a simulation", _REMEDY)

    refuse.__name__ = refuse.__qualname__ = name
    return refuse


class Refusals(asyncio.AbstractEventLoop):
    """The methods of an event loop that lead out of the simulation."""

    add_reader = _refused("add_reader")
    remove_reader = _refused("remove_reader")
    add_writer = _refused("add_writer")
    remove_writer = _refused("remove_writer")
    sock_recv = _refused("sock_recv")
    sock_recv_into = _refused("sock_recv_into")
    sock_recvfrom = _refused("sock_recvfrom")
    sock_recvfrom_into = _refused("sock_recvfrom_into")
    sock_sendall = _refused("sock_sendall")
    sock_sendto = _refused("sock_sendto")
    sock_connect = _refused("sock_connect")
    sock_accept = _refused("sock_accept")
    sock_sendfile = _refused("sock_sendfile")
    getaddrinfo = _refused("getaddrinfo")
    getnameinfo = _refused("getnameinfo")
    create_connection = _refused("create_connection")
    create_server = _refused("create_server")
    create_unix_connection = _refused("create_unix_connection")
    create_unix_server = _refused("create_unix_server")
    create_datagram_endpoint = _refused("create_datagram_endpoint")
    connect_accepted_socket = _refused("connect_accepted_socket")
    connect_read_pipe = _refused("connect_read_pipe")
    connect_write_pipe = _refused("connect_write_pipe")
    sendfile = _refused("sendfile")
    start_tls = _refused("start_tls")
    subprocess_shell = _refused("subprocess_shell")
    subprocess_exec = _refused("subprocess_exec")
    add_signal_handler = _refused("add_signal_handler")
    remove_signal_handler = _refused("remove_signal_handler")
