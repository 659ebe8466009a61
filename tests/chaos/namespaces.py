"""Network namespaces: one for the hub and one for each edge, joined by links that can be cut.

Needs root and iproute2. The links end in a bridge inside the hub's namespace, so nothing of it touches the machine's
own network. Knows nothing of nodes. Invariant: everything is deleted at the end, whatever happened inside.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Network:
    """A star of namespaces: the hub's in the middle.

    Attributes:
        hub: Name of the hub's namespace.
        edges: Name of each edge's namespace.
        address: Where the hub listens.
    """

    hub: str
    edges: Sequence[str]
    address: str

    def inside(self, name: str) -> list[str]:
        """The prefix of a command that is to run in a namespace."""
        return ["ip", "netns", "exec", name]

    def cut(self, number: int) -> None:
        """Take down an edge's link at the hub's end: no RST, no word to either side's TCP."""
        _ip("-n", self.hub, "link", "set", f"edge{number}", "down")

    def mend(self, number: int) -> None:
        """Bring it up again."""
        _ip("-n", self.hub, "link", "set", f"edge{number}", "up")


@contextmanager
def star(edges: int) -> Iterator[Network]:
    """A network of so many edges."""
    mark = f"hf{os.getpid()}"
    network = Network(f"{mark}-hub", [f"{mark}-e{number}" for number in range(edges)], "10.99.0.1")
    try:
        _ip("netns", "add", network.hub)
        _ip("-n", network.hub, "link", "set", "lo", "up")
        _ip("-n", network.hub, "link", "add", "bridge0", "type", "bridge")
        _ip("-n", network.hub, "addr", "add", f"{network.address}/24", "dev", "bridge0")
        _ip("-n", network.hub, "link", "set", "bridge0", "up")
        for number, name in enumerate(network.edges):
            _join(network, number, name)
        yield network
    finally:
        for name in (network.hub, *network.edges):
            _run("ip", "netns", "del", name, check=False)


def _join(network: Network, number: int, name: str) -> None:
    _ip("netns", "add", name)
    _ip("-n", name, "link", "set", "lo", "up")
    ends = ("type", "veth", "peer", "name", "uplink", "netns", name)
    _ip("-n", network.hub, "link", "add", f"edge{number}", *ends)
    _ip("-n", network.hub, "link", "set", f"edge{number}", "master", "bridge0", "up")
    _ip("-n", name, "addr", "add", f"10.99.0.{number + 2}/24", "dev", "uplink")
    _ip("-n", name, "link", "set", "uplink", "up")


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str, check: bool = True) -> None:
    done = subprocess.run(command, capture_output=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode().strip()}")
