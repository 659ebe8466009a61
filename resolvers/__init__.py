"""Resolvers: pure projections that say how concurrent versions are read.

Siblings stay until an operation supersedes them; a resolver writes nothing, so two nodes can never
answer each other's resolutions for ever, and a new version of a rule applies to old conflicts.
This package imports `clocks` and `errors` only: no storage, no network, no time, no randomness.

Reading order: `values` (what a conflict is), `port` (what a resolver is), the rules, `settle` (how a
rule is asked safely), `policy` (which rule applies where).
"""

from __future__ import annotations

from .canonical import JSON, check_legal, decode, encode, parse
from .existence import AskOnDelete, DeleteWins, UpdateWins
from .first_writer import FirstWriterWins
from .last_writer import LastWriterWins
from .manual import Manual
from .multi_value import MultiValue
from .policy import Policy
from .port import Resolver, rule_of
from .settle import TOTAL_ORDER, Settlement, settle
from .values import (
    BaseStatus,
    Conflict,
    ConflictId,
    ConflictKind,
    Defer,
    Delete,
    Fields,
    Leave,
    Resolution,
    Take,
    Value,
    Version,
    canonical,
    conflict_id,
)

__all__ = [
    "JSON",
    "TOTAL_ORDER",
    "AskOnDelete",
    "BaseStatus",
    "Conflict",
    "ConflictId",
    "ConflictKind",
    "Defer",
    "Delete",
    "DeleteWins",
    "Fields",
    "FirstWriterWins",
    "LastWriterWins",
    "Leave",
    "Manual",
    "MultiValue",
    "Policy",
    "Resolution",
    "Resolver",
    "Settlement",
    "Take",
    "UpdateWins",
    "Value",
    "Version",
    "canonical",
    "check_legal",
    "conflict_id",
    "decode",
    "encode",
    "parse",
    "rule_of",
    "settle",
]
