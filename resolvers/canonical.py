"""Canonical JSON: the one text that every node writes for a value.

`encode` and `decode` are hot and trust their caller; `check_legal` is the full check for values
that come from outside. This module knows nothing of records, fields or errors of the engine.

Invariant: two values are the same value exactly when their canonical texts are equal. So 1 and
1.0 differ, the order of keys does not matter, and ``encode(decode(text)) == text`` for every
canonical text.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable
from typing import TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
"""A value that every node can store: integers of 64 signed bits, finite floats, text in UTF-8."""

DEPTH_MAX = 64
"""Containers inside each other: ``[]`` has depth 1, a scalar has depth 0."""

INTEGER_MIN = -(2**63)
INTEGER_MAX = 2**63 - 1
"""SQLite and most languages keep 64 signed bits; beyond them a number would change on its way."""

_FLOAT_MAX = sys.float_info.max
_SURELY_SMALL = 19
"""Digits from which an integer may be beyond 64 bits."""

VALUE_SIZE_MAX = 16 * 1024 * 1024
"""Bytes of text plus one per node. It stops a small graph of shared lists whose text is huge."""

_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_encoded: Callable[[object, int], Iterable[str]] = json.encoder.c_make_encoder(  # type: ignore[attr-defined]  # C
    None,  # no table against cycles: a legal value has none, and threads would share it
    _encoder.default,
    json.encoder.encode_basestring,
    None,
    _encoder.key_separator,
    _encoder.item_separator,
    _encoder.sort_keys,
    _encoder.skipkeys,
    _encoder.allow_nan,
)
"""What ``_encoder.encode`` builds anew at each call, which takes as long as encoding a small document."""


def encode(value: object) -> str:
    """Return the canonical text of a legal value: sorted keys, no spaces, no escapes beyond need.

    Raises ValueError for NaN and infinity, TypeError for what JSON does not know, RecursionError for a cycle. It
    checks nothing else: see `check_legal`.
    """
    return "".join(_encoded(value, 0))


def decode(text: str) -> JSON:
    """Return a new value for a JSON text, never shared with an earlier call.

    A number that no value can hold (a peer may send any) reads as the nearest that one can.

    Raises:
        ValueError: the text is no JSON, nests too deep to be read, or holds NaN or Infinity.
    """
    try:
        value, end = _value_at_start(text)
        if end != len(text):
            value = _decode(text)  # spaces, or what is no JSON
    except RecursionError as exc:
        raise ValueError("the text nests too deep") from exc
    return value


def _value_at_start(text: str) -> tuple[JSON, int]:
    """Return the value that the text begins with, and where it ends; -1 if it begins with none."""
    try:
        return _scan(text, 0)
    except StopIteration:
        return None, -1


def parse(text: str) -> JSON:
    """Return the value of a JSON text that somebody wrote, and that no node has stored yet.

    Unlike `decode` it takes nothing for something else: integers keep all their digits, so that `check_legal` can
    refuse them.

    Raises:
        ValueError: the text is no JSON, nests too deep to be read, names a field twice in one object, or holds
            NaN, an infinity or a number too large for a float.
    """
    try:
        value: JSON = _parse(text)
    except RecursionError as exc:
        raise ValueError("the text nests too deep") from exc
    return value


def check_legal(value: object) -> None:
    """Make sure that a value can be stored and sent, and reads the same everywhere.

    Only the exact types None, bool, int, float, str, list and dict are legal: a subclass could
    answer differently each time it is asked.

    Raises:
        ValueError: says what is wrong, without quoting the value.
    """
    size = 0
    pending: list[tuple[object, int]] = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        children, item_size = _open(item)
        size += item_size
        if size > VALUE_SIZE_MAX:
            raise ValueError(f"the value is larger than {VALUE_SIZE_MAX:,} bytes")
        if children is None:
            continue
        if depth >= DEPTH_MAX:
            raise ValueError(f"the value nests deeper than {DEPTH_MAX} levels")
        pending.extend((child, depth + 1) for child in children)


def _open(item: object) -> tuple[list[object] | None, int]:
    """Return the children of a container (None for a scalar) and the size of the node itself."""
    if type(item) is list:
        return item, 1
    if type(item) is dict:
        return list(item.values()), 1 + sum(_key_size(key) for key in item)
    return None, _scalar_size(item)


def _key_size(key: object) -> int:
    if type(key) is not str:
        raise ValueError(f"a key is of type {type(key).__name__}, not str")
    return _text_size(key)


def _scalar_size(item: object) -> int:
    if type(item) is str:
        return _text_size(item)
    if type(item) is int and not INTEGER_MIN <= item <= INTEGER_MAX:
        raise ValueError("an integer needs more than 64 bits")
    if type(item) is float and not math.isfinite(item):
        raise ValueError("a number is NaN or infinite")
    if item is None or type(item) in (bool, int, float):
        return 1
    raise ValueError(f"{type(item).__name__} is no JSON type")


def _text_size(text: str) -> int:
    if text.isascii():
        return 1 + len(text)
    try:
        return 1 + len(text.encode("utf-8"))
    except UnicodeEncodeError as exc:
        raise ValueError("a text holds a lone surrogate, which has no UTF-8 form") from exc


def _near_float(literal: str) -> float:
    return min(max(float(literal), -_FLOAT_MAX), _FLOAT_MAX)


def _near_integer(literal: str) -> int:
    if len(literal) < _SURELY_SMALL:
        return int(literal)
    negative = literal.startswith("-")
    if len(literal) - negative > _SURELY_SMALL:
        return INTEGER_MIN if negative else INTEGER_MAX
    return min(max(int(literal), INTEGER_MIN), INTEGER_MAX)


def _reject_constant(literal: str) -> JSON:
    raise ValueError(f"{literal} is no JSON")


def _finite(literal: str) -> float:
    number = float(literal)
    if math.isinf(number):
        raise ValueError("a number is too large for a float")
    return number


def _unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


_parse = json.JSONDecoder(parse_float=_finite, parse_constant=_reject_constant, object_pairs_hook=_unique).decode
_decoder = json.JSONDecoder(parse_float=_near_float, parse_int=_near_integer, parse_constant=_reject_constant)
_decode: Callable[[str], JSON] = _decoder.decode
_scan: Callable[[str, int], tuple[JSON, int]] = _decoder.scan_once  # type: ignore[attr-defined]  # C
"""What `_decode` calls between looking for spaces, which canonical text has not."""
