"""Where a hub is and how to be let in: a value that can be printed without giving away the token.

It must not import a network library, because applications name their hubs long before they meet one. Invariant: every
instance can be used as it stands, and its token never travels unencrypted unless its user said so.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from holdfast.engine.arguments import check_path
from holdfast.engine.documents import shown
from holdfast.errors import InvalidUrl, InvalidValue

FRAMES_TYPE: Final = "application/vnd.holdfast.frames"
"""Content type of requests and answers that are frames."""

_EXAMPLE: Final = "Write it like https://hub.example:8787."
_TOKEN: Final = re.compile(r"[!-~]*")


@dataclass(frozen=True, slots=True)
class Hub:
    """The address of a hub, with what it takes to be let in.

    Attributes:
        url: `https://host:port`, optionally with a path in front of the hub's own; `http://` on this machine.
        token: What `holdfast hub token add` printed; "" for none. Never printed.
        ca_file: Certificates (PEM) that are trusted instead of the system's, for a hub with a private one.
        insecure: Send the token over plain HTTP to another machine, where anyone on the way can read it.

    Raises:
        InvalidUrl: `url` is not such an address, or would send the token unencrypted.
        InvalidValue: `token` holds characters that no token has.
    """

    url: str
    token: str = field(default="", repr=False)
    ca_file: str | os.PathLike[str] | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        if type(self.url) is not str:
            raise InvalidUrl("the address of a hub is text", subject=shown(self.url), remedy=_EXAMPLE)
        parts = _split(self.url)
        if self.ca_file is not None:
            check_path(self.ca_file, "ca_file")
        if type(self.token) is not str or not _TOKEN.fullmatch(self.token):
            raise InvalidValue(
                "the token holds spaces, line ends or other characters that no token has",
                subject=self.url,
                remedy="Copy it as `holdfast hub token add` printed it.",
            )
        if self.token and parts.scheme == "http" and not (self.insecure or is_loopback(parts.hostname or "")):
            raise InvalidUrl(
                "plain HTTP would show the token to everyone on the way",
                subject=self.url,
                remedy="Use https, or pass insecure=True if the network itself is trusted.",
                typed="Use https, or pass --insecure if the network itself is trusted.",
            )
        object.__setattr__(self, "url", self.url.rstrip("/"))

    def sync_url(self, space: str) -> str:
        """Where sessions about the space of that name are posted."""
        return f"{self.url}/v1/spaces/{quote(space, safe='')}/sync"

    def starter_url(self, space: str) -> str:
        """Where the starter of the space of that name is."""
        return f"{self.url}/v1/spaces/{quote(space, safe='')}/starter"


def is_loopback(host: str) -> bool:
    """Whether what is sent to `host` (a name or an IP address without brackets) stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError as exc:
        # What may be a password stays out of the message: all that stands in front of an @.
        safe = re.sub(r"^.*@", "...@", url, flags=re.DOTALL)
        raise InvalidUrl("the address of the hub cannot be read", subject=shown(safe), remedy=_EXAMPLE) from exc
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InvalidUrl(
            "the address holds more than scheme, host, port and path",
            subject=f"{parts.scheme}://{host}",
            remedy="A token does not belong into an address, where logs keep it: pass token= instead.",
            typed="A token does not belong into an address, where logs keep it: put it into HOLDFAST_TOKEN.",
        )
    if parts.scheme not in {"http", "https"} or not host or not re.fullmatch(r"[!-~]+", url):
        raise InvalidUrl("this is not the address of a hub", subject=shown(url), remedy=_EXAMPLE)
    return parts
