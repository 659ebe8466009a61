"""What the hub answers over HTTP: sessions about its spaces, and whether it is well.

    POST /v1/spaces/{space}/sync    one exchange of frames
    GET  /v1/spaces/{space}/starter a copy of what the space holds, for nodes that hold nothing
    GET  /v1/health                 {status, data: {version, protocol, spaces}, message}

It must not know what a session says. Invariants: before a token is checked nothing of a body is read and no space is
looked up, so that whoever has no good token learns nothing; whoever has one learns of no space but the token's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Generic

from aiohttp import hdrs, web

from holdfast.errors import HoldfastError, NoSuchSpace, SessionRefused, Unauthorized

from ..links.address import FRAMES_TYPE
from ..messages import PROTOCOL_VERSION
from .answers import absent, failure, is_own, later, say_little, status_of, success
from .door import Door
from .engines import OpenEngine, OpenEngines, R
from .exchange import Respond, answer, too_long
from .limits import Limits
from .offering import give, wanted_etag
from .registry import Grant, HubRegistry
from .repeats import OURSELVES, REPEATS, Repeats
from .seats import Seats
from .starters import Shelf, Source

DOOR: Final = web.AppKey("door", Door)
LIMITS: Final = web.AppKey("limits", Limits)
VERSION: Final = web.AppKey("version", str)

_log = logging.getLogger(__name__)


def make_app(
    registry: HubRegistry,
    open_engine: OpenEngine[R],
    respond: Respond[R],
    *,
    offering: Callable[[R], Source] | None = None,
    version: str = "",
    limits: Limits | None = None,
) -> web.Application:
    """Build the application of a hub; its clean-up closes the engines.

    Args:
        registry: The spaces, and who may use them.
        open_engine: Opens the engine of a space (name, file), once, when the first client comes.
        respond: Answers one exchange for such an engine.
        offering: What such an engine offers to nodes that hold nothing; None for no starters.
        version: What the hub says of itself when it is asked whether it is well.
        limits: Bounds for clients.
    """
    limits = limits or Limits()
    app = web.Application(middlewares=[_answer_errors])
    app[DOOR], app[LIMITS], app[VERSION], app[REPEATS] = Door(limits), limits, version, Repeats()
    hub = _Hub(registry, OpenEngines(open_engine), respond, offering, app)
    app.router.add_post("/v1/spaces/{space}/sync", hub.sync)
    app.router.add_get("/v1/spaces/{space}/starter", hub.starter)
    app.router.add_get("/v1/health", hub.health)
    app.on_response_prepare.append(say_little)
    app.cleanup_ctx.append(hub.engines_closed)
    return app


class _Hub(Generic[R]):
    """The handlers, and what they share."""

    def __init__(
        self,
        registry: HubRegistry,
        engines: OpenEngines[R],
        respond: Respond[R],
        offering: Callable[[R], Source] | None,
        app: web.Application,
    ) -> None:
        self._registry = registry
        self._engines = engines
        self._respond = respond
        self._door = app[DOOR]
        self._limits = app[LIMITS]
        self._seats = Seats(self._limits.exchanges_max)
        self._offering = offering
        self._shelf = Shelf(registry.directory / "starters", self._limits, registry.seams.time)
        self._downloads = Seats(self._limits.downloads_max)

    async def sync(self, request: web.Request) -> web.StreamResponse:
        """Answer one exchange."""
        grant = await self._admit(request)
        self._check(request)
        with self._seats.taken(grant.token):
            replica = await self._engines.get(grant.space, grant.path)
            _log.debug("exchange in space %s with token %s from %s", grant.space, grant.token, request.remote)
            try:
                return await answer(request, replica, self._respond, grant.rights, self._limits)
            finally:
                if self._offering is not None:  # what came may be an erasure
                    await self._shelf.weed(grant.path, self._offering(replica))

    async def starter(self, request: web.Request) -> web.StreamResponse:
        """Give a copy of what the space holds, if it has one."""
        grant = await self._admit(request)
        if self._offering is None:
            return absent("this hub offers no starters")
        with self._downloads.taken(grant.token):
            source = self._offering(await self._engines.get(grant.space, grant.path))
            try:
                kept = await self._shelf.find(grant.path, source, wanted_etag(request))
            except TimeoutError:
                return later("the starter of this space is being drawn")
            if kept is None:
                return absent("this space has no starter")
            return await give(request, kept, self._limits, self._shelf.drop)

    async def health(self, request: web.Request) -> web.StreamResponse:
        """Tell that the hub works, to anyone; how many spaces it has, but not which."""
        spaces = await asyncio.to_thread(self._registry.spaces)
        return success({"version": request.app[VERSION], "protocol": PROTOCOL_VERSION, "spaces": len(spaces)})

    async def engines_closed(self, app: web.Application) -> AsyncIterator[None]:
        """Close the engines when the application ends."""
        yield
        await self._shelf.close()
        await self._engines.close()
        app[REPEATS].close()

    async def _admit(self, request: web.Request) -> Grant:
        """Check the token of a request, and then whether it is for the space it names.

        Raises:
            Unauthorized: there is no good token.
            NoSuchSpace: the token is good, but not for a space of that name; there may be one or not.
        """
        scheme, _, secret = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        grant = None
        if scheme.lower() == "bearer":
            grant = await asyncio.to_thread(self._registry.authenticate, secret.strip())
        if grant is None:
            remedy = "Pass a token of this space that is not revoked."
            raise Unauthorized("the hub does not know this token", subject="token", remedy=remedy)
        self._door.admit(request.protocol)
        if grant.space != request.match_info["space"]:
            remedy = "Use the name of the space that the token was made for."
            raise NoSuchSpace("the token is not for a space of this name", subject="space", remedy=remedy)
        return grant

    def _check(self, request: web.Request) -> None:
        """Refuse what is not worth being read."""
        if request.content_type != FRAMES_TYPE:
            raise SessionRefused("the body is of another type", subject="request", remedy=f"Send {FRAMES_TYPE}.")
        if (request.content_length or 0) > self._limits.request_bytes_max:
            raise too_long(self._limits)


@web.middleware
async def _answer_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except HoldfastError as error:
        text = f"request from {request.remote} failed with status {status_of(error)}: {error}"
        if is_own(error):
            request.app[REPEATS].log(_log, logging.ERROR, error.code, OURSELVES, text)
        else:
            request.app[REPEATS].log(_log, logging.INFO, error.code, request.remote, text)
        return failure(error)
