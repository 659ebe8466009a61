"""The common case of a merge: the peer has taken in all we hold of a record and wrote on.

Pure. Works on packed cells without building a `Record`. Invariant: whatever `succeed` gives is what `join` would give;
where it cannot be sure (concurrency, unknown types, two values under one dot, a value left out) it gives None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.clocks import Actor, Dot, VersionVector

from .documents import compose, split
from .packing import Packed


@dataclass(frozen=True, slots=True)
class Successor:
    """A record as the peer left it.

    Attributes:
        doc: The whole document.
        old: JSON of the values it replaced or removed; None if there are none.
    """

    doc: str
    old: str | None


def succeed(
    doc: str,
    ours: Packed | tuple[Actor, int],
    our_actors: Mapping[int, Actor],
    their_doc: str,
    theirs: Packed,
    ours_have: VersionVector,
) -> Successor | None:
    """What our record becomes when the peer's state succeeds it.

    Args:
        doc: Our document.
        ours: Our cells, or the only dot of a plain record.
        our_actors: Identities by the numbers in our cells.
        their_doc: The peer's document; values that we hold are missing.
        theirs: The peer's cells, actors by name; they must be flat and their context must cover our frontier.
        ours_have: What our state has taken in.
    """
    if isinstance(ours, Packed) and not ours.is_flat():
        return None
    known, sent = split(doc), split(their_doc)
    our_dots = [(our_actors[number], seq) for number, seq in ours.dots()] if isinstance(ours, Packed) else []
    their_dots = theirs.dots()
    texts: dict[str, str] = {}
    for name, entry in theirs.cells.items():
        text = sent.get(name)
        if name in known:
            our_dot = our_dots[ours.cells[name]] if isinstance(ours, Packed) else ours
            if our_dot == their_dots[entry]:
                if text is not None and text != known[name]:
                    return None
                texts[name] = known[name]
                continue
        if text is None or ours_have.covers(Dot(*their_dots[entry])):
            return None
        texts[name] = text
    old = {name: text for name, text in known.items() if texts.get(name) != text}
    return Successor(compose(texts), compose(old) if old else None)
