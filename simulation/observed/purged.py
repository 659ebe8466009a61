"""What is gone for good: which records a node may drop as purging allows, and which vanished though nothing allows it.

Knows files through images, no rule of the engine's. Invariant: an operation counts as purged from the step on in which
a node dropped its record, dead and with every operation behind the fence in that file; it stays purged for ever.
"""

from __future__ import annotations

from collections.abc import Iterator

from .image import Held, Image, Place
from .model import Model
from .operation import Known


def vanished(before: Image, after: Image) -> Iterator[tuple[Place, Held]]:
    """Records that stood before and stand no more, also where another has taken the place."""
    for place, held in before.records.items():
        now = after.records.get(place)
        if now is None or now.number != held.number:
            yield place, held


def is_purge(held: Held, image: Image) -> bool:
    """Whether a record may be dropped for good: dead, behind the fence of the file, and waiting for no session."""
    behind = all(image.fence.get(name.actor, 0) >= name.seq for name in held.names)
    return behind and not any(held.existence.values()) and held.extra not in image.extras


def note_purged(before: Image, after: Image, model: Model, purged: Known) -> None:
    """Enter what a node has dropped, and all that stood behind it.

    What an absence has emptied is not entered: whether that was right is told by what was purged elsewhere before.
    """
    if not after.fence:
        return
    for place, held in vanished(before, after):
        if is_purge(held, after):
            known = model.known(name for name in held.names if name in model)
            purged[place] = purged.get(place, 0) | known
