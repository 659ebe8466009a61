"""Turns the errors of the HTTP client, and answers that are no frames, into errors of the tree.

It must not know sessions. Invariant: what leaves an HTTP link is an error that names the hub's address and never the
token, with the client's error as its cause.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp

from holdfast.errors import (
    HoldfastError,
    HubError,
    InvalidUrl,
    LinkCut,
    NoSuchSpace,
    ReadOnlyToken,
    SessionRefused,
    Unauthorized,
    Unreachable,
)

from .address import FRAMES_TYPE

ERROR_BYTES_MAX: Final = 16 * 1024
"""What is read of an answer that is no frames: enough for every envelope that a hub sends."""

MESSAGE_CHARS_MAX: Final = 300
"""What is shown of a peer's own words."""

_LATER: Final = "Local work goes on; sync again later."
_RESUME: Final = "Sync again: the session resumes."
_NOT_A_HUB: Final = "Check the address, and whether this network asks you to sign in first (a captive portal)."


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Raise the client's errors as errors of the tree about `url`."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _fault(error, url) from error


def _fault(error: Exception, url: str) -> HoldfastError:
    kind: type[HoldfastError]
    typed = ""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            kind, what = Unreachable, f"its certificate is not trusted: {error.certificate_error}"
            remedy = "Pass ca_file= if the hub has a private certificate."
            typed = "Pass --ca-file FILE if the hub has a private certificate."
        case aiohttp.ClientSSLError():
            kind, what, remedy = Unreachable, f"no TLS connection: {error}", "Check whether the hub speaks https."
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            kind, what, remedy = Unreachable, f"no connection: {_reason(error)}", _LATER
        case aiohttp.InvalidURL():
            kind, what, remedy = InvalidUrl, "this is not an address", "Write it like https://hub.example:8787."
        case aiohttp.ClientResponseError():
            kind, what, remedy = HubError, f"the answer is not HTTP: {_shown(error.message)}", _NOT_A_HUB
        case TimeoutError():
            kind, what, remedy = LinkCut, "nothing passed for too long", _RESUME
        case _:
            kind, what, remedy = LinkCut, f"the connection broke off: {error}", _RESUME
    return kind(what, subject=url, remedy=remedy, typed=typed)


async def check_answer(answer: aiohttp.ClientResponse, url: str) -> None:
    """Return if `answer` consists of frames; a refusal in frames (400) is for the session to read.

    Raises:
        LinkError: it does not, and this is why.
        SessionRefused: the hub does not take this request.
    """
    if answer.content_type == FRAMES_TYPE and answer.status in {200, 400}:
        return
    message = await _message(answer)
    if answer.status >= 500:  # noqa: PLR2004 - the class of the hub's own failures
        said = message if message is not None else _shown(answer.reason or "")
        raise HubError(f"the hub failed with status {answer.status}: {said}", subject=url, remedy=_LATER)
    if message is None or answer.status < 400:  # noqa: PLR2004 - no hub refuses with these
        raise HubError(
            f"no hub answers there: status {answer.status}, {_shown(answer.content_type)}",
            subject=url,
            remedy=_NOT_A_HUB,
        )
    raise _refusal(answer.status, message, url)


def _refusal(status: int, message: str, url: str) -> HoldfastError:
    match status:
        case 401:
            remedy = "Pass the token that `holdfast hub token add` printed for this space."
            return Unauthorized(message, subject=url, remedy=remedy)
        case 403:
            return ReadOnlyToken(message, subject=url, remedy="Ask for a token with the rights rw.")
        case 404:
            return NoSuchSpace(message, subject=url, remedy="Check the name of the space and the token's space.")
        case 408:
            return LinkCut(message, subject=url, remedy=_RESUME)
        case _:
            return SessionRefused(f"status {status}: {message}", subject=url, remedy="Update the older of the two.")


async def _message(answer: aiohttp.ClientResponse) -> str | None:
    """The message of a hub's envelope; None if the answer is none."""
    if answer.content_type != "application/json":
        return None
    text = b""
    while len(text) < ERROR_BYTES_MAX and (chunk := await answer.content.read(ERROR_BYTES_MAX - len(text))):
        text += chunk
    try:
        # Depth is bounded by the size; the parser raises before it gets deep.
        envelope = json.loads(text)
    except (ValueError, RecursionError):
        return None
    message = envelope.get("message") if isinstance(envelope, dict) else None
    if not isinstance(message, str):
        return None
    return _shown(message)


def _reason(error: aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) -> str:
    """Why no connection came about, in the system's words: the client's own speak of its TLS settings."""
    cause = getattr(error, "os_error", None)
    if not isinstance(cause, OSError):
        return str(error)
    if cause.errno is None or cause.errno <= 0:  # several addresses; or a name that nobody knows
        return cause.strerror or str(cause)
    return os.strerror(cause.errno)


def _shown(text: str) -> str:
    """A peer's own words, as they may stand in a message of ours."""
    return "".join(char if char.isprintable() else " " for char in text[:MESSAGE_CHARS_MAX])
