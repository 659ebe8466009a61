"""The hub as a program: listens, and stops in good order when it is told to.

It must not know what is answered. Invariants: tokens pass over plain HTTP only inside this machine, unless its operator
said otherwise; what runs when the hub is told to stop gets the time to end.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from aiohttp.http import HttpProcessingError

from holdfast.engine.lock import WriterLock
from holdfast.errors import FileUnreadable, HubError, InvalidUrl

from ..links.address import is_loopback
from .app import DOOR, LIMITS, make_app
from .engines import OpenEngine, R
from .exchange import Respond
from .limits import Limits
from .registry import HubRegistry
from .repeats import REPEATS, Repeats
from .starters import Source

KEEPALIVE_S: Final = 15.0
"""How long a connection is kept for a client's next exchange: longer than clients do (links.http.KEEPALIVE_S)."""

LINGER_S: Final = 2.0
"""How long the rest of a refused body is taken in and dropped, so that the client gets to read why."""

TLS_CLOSE_S: Final = 5.0
"""How long a client has to confirm the end of a TLS connection."""

_log = logging.getLogger(__name__)
_http_log = logging.getLogger(f"{__name__}.http")


async def serve(  # noqa: PLR0913 - the configuration of a whole program
    directory: Path,
    host: str = "127.0.0.1",
    port: int = 8787,
    *,
    open_engine: OpenEngine[R],
    respond: Respond[R],
    offering: Callable[[R], Source] | None = None,
    version: str = "",
    tls: ssl.SSLContext | None = None,
    insecure: bool = False,
    ready: Callable[[str], None] | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve the hub in `directory` until SIGTERM or SIGINT; a second signal ends the process at once.

    Args:
        directory: What `HubRegistry.init` made.
        host: Address or name to listen on; "0.0.0.0" or "::" for all.
        port: Port to listen on; 0 for any free one.
        open_engine: Opens the engine of a space (name, file).
        respond: Answers one exchange for such an engine.
        offering: What such an engine offers to nodes that hold nothing; None for no starters.
        version: What the hub says of itself when it is asked whether it is well.
        tls: Certificate and key (see `tls_context`).
        insecure: Serve plain HTTP to other machines, for a hub behind a proxy that speaks TLS.
        ready: Called with the hub's address, real port included, once it listens.
        limits: Bounds for clients.

    Raises:
        StorageError: there is no hub in `directory`, it cannot be read, or another process serves it.
        InvalidUrl: plain HTTP to other machines, and not `insecure`.
        HubError: the hub cannot listen there.
    """
    registry = HubRegistry(directory)
    await asyncio.to_thread(registry.spaces)
    lock = WriterLock(Path(directory) / "hub.db")
    lock.acquire("hub")
    try:
        app = make_app(registry, open_engine, respond, offering=offering, version=version, limits=limits)
        await _serve(host, port, app, tls=tls, insecure=insecure, ready=ready)
    finally:
        lock.release()


async def _serve(
    host: str,
    port: int,
    app: web.Application,
    *,
    tls: ssl.SSLContext | None,
    insecure: bool,
    ready: Callable[[str], None] | None,
) -> None:
    stop = _stop_signal()
    async with listening(app, host, port, tls=tls, insecure=insecure) as url:
        if ready is None:
            _log.info("listening on %s", url)
        else:
            ready(url)  # who is told says so, once
        await stop.wait()
        _log.info("stopping: running exchanges get %s s to end", app[LIMITS].drain_s)
    _log.info("stopped")


@asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, *, tls: ssl.SSLContext | None = None, insecure: bool = False
) -> AsyncIterator[str]:
    """Serve an application of `make_app`; gives its address, and drains it at the end.

    Raises:
        InvalidUrl: plain HTTP to other machines, and not `insecure`.
        HubError: the hub cannot listen there.
    """
    scheme = "http" if tls is None else "https"
    name = f"[{host}]" if ":" in host else host
    if tls is None and not insecure and not is_loopback(host):
        raise InvalidUrl(
            "plain HTTP would show every token to the network",
            subject=f"{scheme}://{name}:{port}",
            remedy="Pass --tls-cert and --tls-key, or --insecure behind a proxy that speaks TLS.",
        )
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_HttpLog(app[REPEATS]),
        # Frames bound their own expansion; a compressed body would bypass that bound.
        auto_decompress=False,
        keepalive_timeout=KEEPALIVE_S,
        lingering_time=LINGER_S,
        shutdown_timeout=app[LIMITS].drain_s,
    )
    await runner.setup()
    try:
        server = await _listen(runner, host, port, tls)
        try:
            yield f"{scheme}://{name}:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
    finally:
        await runner.cleanup()


def tls_context(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """Read a certificate with its chain, and its key, both in PEM format.

    Raises:
        FileUnreadable: one of them cannot be read, or they do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert_file, key_file)
    except OSError as error:  # ssl.SSLError is one
        raise FileUnreadable(
            f"certificate and key cannot be used: {error}",
            subject=f"{cert_file}, {key_file}",
            remedy="Name a certificate chain and its key in PEM format.",
        ) from error
    return context


class _HttpLog(logging.LoggerAdapter[logging.Logger]):
    """The log of the HTTP server, without what a client sent that does not speak HTTP: it is no fault of the hub."""

    def __init__(self, repeats: Repeats) -> None:
        super().__init__(_http_log)
        self._repeats = repeats

    def log(self, level: int, msg: object, *args: object, exc_info: Any = None, **kwargs: Any) -> None:  # noqa: ANN401 - as logging declares it
        """Log as any logger; the errors of clients by their kind only."""
        if isinstance(exc_info, HttpProcessingError):
            address = str(args[0]) if args else None  # the server names the client first
            text = f"what {address} sent is no HTTP: {type(exc_info).__name__}"
            self._repeats.log(self.logger, min(level, logging.INFO), "not-http", address, text)
        else:
            super().log(level, msg, *args, exc_info=exc_info, **kwargs)


async def _listen(runner: web.AppRunner, host: str, port: int, tls: ssl.SSLContext | None) -> asyncio.Server:
    assert runner.server is not None, "the runner is set up"
    limits = runner.app[LIMITS]
    try:
        return await asyncio.get_running_loop().create_server(
            runner.app[DOOR].watch(runner.server),
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=limits.authenticate_s if tls else None,
            ssl_shutdown_timeout=TLS_CLOSE_S if tls else None,
        )
    except OSError as error:
        raise HubError(
            f"the hub cannot listen there: {error}", subject=f"{host}:{port}", remedy="Choose another host or port."
        ) from error


def _stop_signal() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)

    def stopped() -> None:
        stop.set()
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, stopped)
    return stop
