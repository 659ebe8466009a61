"""How a document is spelled: tells the one text that every node writes from all others, at the speed of C.

Knows nothing of records or peers. Invariant: `is_canonical(doc)` is `encode(decode(doc)) == doc`; what it remembers of
documents makes it faster and never changes what it says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from holdfast.resolvers import JSON
from holdfast.resolvers.canonical import DEPTH_MAX, decode, encode

from .documents import refuse_constant

_SCALAR: Final = (
    r'(?:"[^"\\\x00-\x1f]*+(?:\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))[^"\\\x00-\x1f]*+)*+"'
    # Floats that Python writes as they stand: at most 15 digits, no exponent, no zero behind them.
    r"|-?(?:0|[1-9][0-9]{0,7}+)\.(?:0|(?!0000)[0-9]{0,6}[1-9])|0|-?[1-9][0-9]{0,17}+|true|false|null)"
)
_LONG_FLOAT: Final = re.compile(r"-?[0-9]++\.[0-9]{8,}+")
_MEASURED: Final = rf"(?:-?(?:0|[1-9][0-9]*+)\.[0-9]{{8,}}+|{_SCALAR})"
"""A scalar, or a float of more digits, which is canonical if Python writes it back so."""

_LONG_INTEGER: Final = re.compile("[0-9]{19}")
_SHAPE_CHARS_MAX: Final = 8_000
_SHAPES_MAX: Final = 4
_LEARN_EVERY: Final = 16
"""Every so many documents of an unknown shape one is learnt from: compiling a pattern costs as much as 100 readings."""

_read: Any = json.JSONDecoder(parse_constant=refuse_constant).scan_once  # type: ignore[attr-defined]  # C, numbers too


class _Shapes:
    """What documents looked like lately: a memory that makes `is_canonical` faster and never changes what it says."""

    __slots__ = ("_known", "_misses", "_once")

    def __init__(self) -> None:
        self._known: list[tuple[Callable[[str], object], bool]] = []
        self._once: list[str] = []
        self._misses = 0

    def match(self, doc: str) -> bool:
        """Whether a known shape proves the document canonical, and nested no deeper than it may be."""
        for fullmatch, measured in self._known:
            if fullmatch(doc):
                return not measured or all(repr(float(text)) == text for text in _LONG_FLOAT.findall(doc))
        return False

    def learn(self, value: JSON) -> None:
        """Look at a canonical document that no known shape has matched."""
        self._misses += 1
        if self._misses % _LEARN_EVERY:
            return
        shape = _shape(value)
        if shape in self._once:
            known = (re.compile(shape).fullmatch, _MEASURED in shape)
            self._known = [known, *self._known[: _SHAPES_MAX - 1]]
        elif shape:
            self._once = [shape, *self._once[: _SHAPES_MAX - 1]]


def _shape(value: JSON, depth: int = 1) -> str:
    """A pattern of the canonical texts of values like this one; empty for values too deep or too various."""
    if not isinstance(value, dict | list):
        return _MEASURED if isinstance(value, float) and _LONG_FLOAT.fullmatch(repr(value)) else _SCALAR
    if depth > DEPTH_MAX:
        return ""
    items = [_shape(item, depth + 1) for item in (value.values() if isinstance(value, dict) else value)]
    if isinstance(value, dict):
        names = [re.escape(encode(name)) for name in value]
        shape = rf"\{{{','.join(f'{name}:{item}' for name, item in zip(names, items, strict=True))}\}}"
    else:
        item = items[0] if items else _SCALAR
        shape = rf"\[(?:{item}(?:,{item})*+)?+\]" if len({*items}) <= 1 else ""
    return shape if all(items) and len(shape) <= _SHAPE_CHARS_MAX else ""


_shapes: Final = _Shapes()


def is_canonical(doc: str) -> bool:
    """Whether text is the very one that every node writes for this document."""
    return _shapes.match(doc) or _reads_back(doc)


def looks_safe(doc: str) -> bool:
    """Whether text from a peer can be stored as it is: canonical, and surely not nested too deep."""
    return _shapes.match(doc) or (doc.count("[") + doc.count("{") <= DEPTH_MAX and _reads_back(doc))


def _reads_back(doc: str) -> bool:
    try:
        value, end = _read(doc, 0)
        if end != len(doc) or type(value) is not dict or encode(value) != doc:
            return False
        # C reads integers that no value can hold; `decode` does not.
        if _LONG_INTEGER.search(doc) and encode(decode(doc)) != doc:
            return False
    except (StopIteration, ValueError, RecursionError):
        return False
    _shapes.learn(value)
    return True
