"""The door of a hub: connections that have not shown a good token are few and do not stay.

Knows nothing of HTTP: a connection is whatever has a transport. Invariant: at most `waiting_max` connections wait, none
longer than `authenticate_s`. (A TLS handshake comes before; the listener gives it the same time.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from .limits import Limits


class Connection(Protocol):
    """An asyncio protocol that knows its transport."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """The transport; None before the connection is made and after it is lost."""
        ...


class Door:
    """Watches new connections until `admit` lets them in."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[Connection, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def watch(self, connect: Callable[[], asyncio.BaseProtocol]) -> Callable[[], asyncio.BaseProtocol]:
        """Let every protocol that `connect` makes wait at the door; for `loop.create_server`."""

        def connected() -> asyncio.BaseProtocol:
            protocol = connect()
            self._wait(protocol)  # type: ignore[arg-type] # asyncio does not type what protocols have
            return protocol

        return connected

    def admit(self, connection: Connection | None) -> None:
        """Stop watching `connection`: it has shown a good token, or is closed."""
        if connection is not None and (timer := self._waiting.pop(connection, None)):
            timer.cancel()

    def _wait(self, connection: Connection) -> None:
        if len(self._waiting) >= self._limits.waiting_max:
            self._drop(next(iter(self._waiting)))
        loop = asyncio.get_running_loop()
        self._waiting[connection] = loop.call_later(self._limits.authenticate_s, self._drop, connection)

    def _drop(self, connection: Connection) -> None:
        self.admit(connection)
        if connection.transport is not None:
            connection.transport.abort()
