"""The zoo of mutants that simulated worlds catch."""

from __future__ import annotations

from . import clockwork, durability, identity, merging, purging, reading, sessions
from .mutants import ZOO

__all__ = ["ZOO", "clockwork", "durability", "identity", "merging", "purging", "reading", "sessions"]
