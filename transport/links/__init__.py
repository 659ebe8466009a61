"""The ways between nodes: each carries frames one way and back, and none knows what they say.

It must not import a network library: `links.http` does, and is imported by who needs it. Invariant: a link fails with
an error of the tree, and what the peer committed before stays committed.
"""

from .address import Hub
from .link import Link
from .memory import MemoryLink

__all__ = ["Hub", "Link", "MemoryLink"]
