"""Answers of the hub that are no frames: the envelope `{status, data, message}`.

It must not know sessions or spaces. Invariant: every error of the tree has one HTTP status, and an answer to someone
who has not shown a good token does not depend on anything but that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, TypeGuard

from aiohttp import hdrs, web

from holdfast.errors import (
    FrameTooLarge,
    HoldfastError,
    HubError,
    LinkCut,
    NoSuchSpace,
    SessionRefused,
    StorageError,
    Unauthorized,
)

RETRY_AFTER_S: Final = 5
"""When a client may come again that found the hub busy."""

_STATUS: Final = (
    (Unauthorized, 401),
    (NoSuchSpace, 404),
    (LinkCut, 408),
    (FrameTooLarge, 413),
    (SessionRefused, 415),
    (HubError, 503),
    (StorageError, 503),
)
_HEADERS: Final[Mapping[int, Mapping[str, str]]] = {
    401: {hdrs.WWW_AUTHENTICATE: "Bearer"},
    503: {hdrs.RETRY_AFTER: str(RETRY_AFTER_S)},
}


def success(data: Mapping[str, object]) -> web.Response:
    """An answer that holds `data`."""
    return _envelope(200, "ok", data, "")


def absent(what: str) -> web.Response:
    """There is no such thing here, which is no failure."""
    return _envelope(404, "none", {}, what)


def later(what: str) -> web.Response:
    """It is being made: come again soon."""
    response = _envelope(202, "later", {}, what)
    response.headers[hdrs.RETRY_AFTER] = "1"
    return response


def status_of(error: HoldfastError) -> int:
    """The HTTP status that stands for `error`."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def is_own(error: BaseException) -> TypeGuard[HoldfastError]:
    """Whether `error` is a failure of the hub itself and no client's: a full disk, say, or too much to do."""
    return isinstance(error, HoldfastError) and status_of(error) >= 500  # noqa: PLR2004 - what HTTP says it means


def failure(error: HoldfastError) -> web.Response:
    """The answer that stands for `error`, without its subject: that may be a path of this machine."""
    return _envelope(status_of(error), "error", {"code": error.code, "remedy": error.remedy}, error.what)


async def say_little(_request: web.Request, response: web.StreamResponse) -> None:
    """Leave out what HTTP servers say about themselves: on a metered link it costs more than an idle sync."""
    response.headers.pop(hdrs.DATE, None)
    response.headers.pop(hdrs.SERVER, None)


def _envelope(status: int, word: str, data: Mapping[str, object], message: str) -> web.Response:
    text = json.dumps({"status": word, "data": data, "message": message}, separators=(",", ":"))
    response = web.Response(
        status=status, text=text, content_type="application/json", charset="utf-8", headers=_HEADERS.get(status)
    )
    # Only exchanges keep a connection: whatever else happened, the next request starts anew at the door.
    response.force_close()
    return response
