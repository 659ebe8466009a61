"""The common case of a merge: the peer has taken in all we hold of a record and wrote on.

Pure. Works on packed cells without building a `Record`. Invariant: whatever `succeed` gives is what `join` would give;
where it cannot be sure (concurrency, unknown types, two values under one dot, a value left out) it gives None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .documents import compose, replaced, split
from .packing import Packed, PackedStamp, Shape


class Successor(NamedTuple):
    """A record as the peer left it: the whole document, and JSON of the values it replaced or removed, if any."""

    doc: str
    old: str | None


def succeed(
    doc: str, ours: Packed | PackedStamp, their_doc: str, theirs: Packed, news: Sequence[bool]
) -> Successor | None:
    """What our record becomes when the peer's state succeeds it.

    Args:
        doc: Our document.
        ours: Our cells, or the only stamp of a plain record.
        their_doc: The peer's document, canonical; values that we hold are missing.
        theirs: The peer's cells, actors by the same names as ours; flat, and their context covers our frontier.
        news: Of each of the peer's stamps, whether our state has not taken it in.
    """
    if isinstance(ours, Packed) and not ours.is_flat():
        return None
    sent, stamps = split(their_doc), theirs.each()
    if len({*stamps}) < len(stamps):
        return None  # not the canonical order: the join brings it there
    outline = theirs.shape.outline
    changed = _changed(ours, theirs.shape, stamps) if outline.fits(doc) else None
    if changed is None or len(changed) != len(sent):
        return _succeed_any(split(doc), ours, sent, theirs.shape, stamps, news)
    old = {}
    for at in reversed(changed):  # what came may look like a label: it stands behind all that is still looked for
        name = outline.names[at]
        text = sent.get(name)
        if text is None or not news[theirs.shape.entries[at]]:
            return None
        start, end = outline.span(doc, at)
        if doc[start:end] != text:
            old[name] = doc[start:end]
            doc = doc[:start] + text + doc[end:]
    return Successor(doc, compose(old) if old else None)


def _changed(ours: Packed | PackedStamp, theirs: Shape, stamps: Sequence[PackedStamp]) -> list[int] | None:
    """Numbers of the peer's fields that stand under another stamp than ours; None where ours may have other fields."""
    if not isinstance(ours, Packed):
        kept = [stamp == ours for stamp in stamps]
        return [at for at, entry in enumerate(theirs.entries) if not kept[entry]]
    if ours.shape.outline is not theirs.outline:
        return None
    our_stamps = ours.each()
    pairs = enumerate(zip(ours.shape.entries, theirs.entries, strict=True))
    return [at for at, (ours_at, theirs_at) in pairs if our_stamps[ours_at] != stamps[theirs_at]]


def _succeed_any(
    known: Mapping[str, str],
    ours: Packed | PackedStamp,
    sent: Mapping[str, str],
    theirs: Shape,
    stamps: Sequence[PackedStamp],
    news: Sequence[bool],
) -> Successor | None:
    """As `succeed`, where fields came or went, or came that we hold."""
    our_stamps = ours.each() if isinstance(ours, Packed) else []
    texts: dict[str, str] = {}
    for name, entry in theirs.cells.items():
        text = sent.get(name)
        if name in known:
            our_stamp = our_stamps[ours.shape.cells[name]] if isinstance(ours, Packed) else ours
            if our_stamp == stamps[entry]:
                if text is not None and text != known[name]:
                    return None
                texts[name] = known[name]
                continue
        if text is None or not news[entry]:
            return None
        texts[name] = text
    return Successor(compose(texts), replaced(known, texts))
