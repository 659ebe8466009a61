"""The common case of a merge: the peer has taken in all we hold of a record and wrote on.

Pure. Works on packed cells without building a `Record`. Invariant: whatever `succeed` gives is what `join` would give;
where it cannot be sure (concurrency, unknown types, two values under one dot, a value left out) it gives None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .documents import compose, replaced, split
from .packing import Packed


class Successor(NamedTuple):
    """A record as the peer left it: the whole document, and JSON of the values it replaced or removed, if any."""

    doc: str
    old: str | None


def succeed(
    doc: str, ours: Packed | tuple[Any, int], their_doc: str, theirs: Packed, news: Sequence[bool]
) -> Successor | None:
    """What our record becomes when the peer's state succeeds it.

    Args:
        doc: Our document.
        ours: Our cells, or the only dot of a plain record.
        their_doc: The peer's document; values that we hold are missing.
        theirs: The peer's cells, actors by the same names as ours; flat, and their context covers our frontier.
        news: Of each of the peer's stamps, whether our state has not taken it in.

    Raises:
        ValueError, RecursionError: A document is no JSON object.
    """
    if isinstance(ours, Packed) and not ours.is_flat():
        return None
    sent = split(their_doc)
    kept = _kept(ours, theirs)
    texts = theirs.shape.outline.cut(doc) if kept is not None else None
    if kept is None or texts is None:
        return _succeed_any(split(doc), ours, sent, theirs, news)
    names, old = theirs.shape.outline.names, {}
    for at, entry in enumerate(theirs.shape.cells.values()):
        text = sent.get(names[at])
        if kept[at]:
            if text is not None and text != texts[at]:
                return None
        elif text is None or not news[entry]:
            return None
        elif text != texts[at]:
            old[names[at]], texts[at] = texts[at], text
    return Successor(theirs.shape.outline.fill(texts), compose(old) if old else None)


def _kept(ours: Packed | tuple[Any, int], theirs: Packed) -> list[bool] | None:
    """Of each field of the peer, whether ours stands under the same dot; None where ours may have other fields."""
    dots = theirs.dots()
    if not isinstance(ours, Packed):
        return [dots[entry] == ours for entry in theirs.shape.cells.values()]
    if ours.shape.outline is not theirs.shape.outline:
        return None
    our_dots = ours.dots()
    entries = zip(ours.shape.cells.values(), theirs.shape.cells.values(), strict=True)
    return [our_dots[our_entry] == dots[entry] for our_entry, entry in entries]


def _succeed_any(
    known: Mapping[str, str],
    ours: Packed | tuple[Any, int],
    sent: Mapping[str, str],
    theirs: Packed,
    news: Sequence[bool],
) -> Successor | None:
    """As `succeed`, where fields came or went."""
    our_dots = ours.dots() if isinstance(ours, Packed) else []
    their_dots = theirs.dots()
    texts: dict[str, str] = {}
    for name, entry in theirs.shape.cells.items():
        text = sent.get(name)
        if name in known:
            our_dot = our_dots[ours.shape.cells[name]] if isinstance(ours, Packed) else ours
            if our_dot == their_dots[entry]:
                if text is not None and text != known[name]:
                    return None
                texts[name] = known[name]
                continue
        if text is None or not news[entry]:
            return None
        texts[name] = text
    return Successor(compose(texts), replaced(known, texts))
