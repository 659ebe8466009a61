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
        their_doc: The peer's document, canonical; values that we hold are missing.
        theirs: The peer's cells, actors by the same names as ours; flat, and their context covers our frontier.
        news: Of each of the peer's stamps, whether our state has not taken it in.
    """
    if isinstance(ours, Packed) and not ours.is_flat():
        return None
    sent = split(their_doc)
    outline = theirs.shape.outline
    changed = _changed(ours, theirs) if outline.fits(doc) else None
    if changed is None or len(changed) != len(sent):
        return _succeed_any(split(doc), ours, sent, theirs, news)
    old = {}
    for at in changed:
        name = outline.names[at]
        text = sent.get(name)
        if text is None or not news[theirs.shape.entries[at]]:
            return None
        start, end = outline.span(doc, at)
        if doc[start:end] != text:
            old[name] = doc[start:end]
            doc = doc[:start] + text + doc[end:]
    return Successor(doc, compose(old) if old else None)


def _changed(ours: Packed | tuple[Any, int], theirs: Packed) -> list[int] | None:
    """Numbers of the peer's fields that stand under another dot than ours; None where ours may have other fields."""
    dots, entries = theirs.dots(), theirs.shape.entries
    if not isinstance(ours, Packed):
        kept = [dot == ours for dot in dots]
        return [at for at, entry in enumerate(entries) if not kept[entry]]
    if ours.shape.outline is not theirs.shape.outline:
        return None
    our_dots = ours.dots()
    pairs = enumerate(zip(ours.shape.entries, entries, strict=True))
    return [at for at, (ours_at, theirs_at) in pairs if our_dots[ours_at] != dots[theirs_at]]


def _succeed_any(
    known: Mapping[str, str],
    ours: Packed | tuple[Any, int],
    sent: Mapping[str, str],
    theirs: Packed,
    news: Sequence[bool],
) -> Successor | None:
    """As `succeed`, where fields came or went, or came that we hold."""
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
