"""What readers see of a record: its document, whether it is alive, and how its conflicts were settled.

Pure; writes nothing and knows no table. Invariant: a projection is a function of the record's cells and the policy
alone, so two nodes with the same cells and rules show the same, and no projection can answer another's for ever.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.resolvers import Policy, Settlement, settle
from holdfast.resolvers.values import Conflict

from .cells import Record
from .detector import conflicts_of, read
from .documents import compose, is_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A record as readers see it.

    Attributes:
        doc: JSON text of the visible fields; kept for a dead record too, whose cells may be revived.
        live: Whether the record exists for readers.
        settled: Every conflict with how it is to be read, existence first.
        unreadable: Names of fields whose type this version does not know; they are missing from `doc`.

    A record of a collection with a name that this version does not allow is not shown, and asks nobody to decide.
    """

    doc: str
    live: bool
    settled: tuple[tuple[Conflict, Settlement], ...]
    unreadable: tuple[str, ...]


def project(collection: str, key: str, record: Record, policy: Policy) -> Projection:
    """The record under this policy."""
    reading = read(record)
    if not is_name(collection):
        return Projection(
            doc=compose(dict(reading.agreed)), live=False, settled=(), unreadable=tuple(reading.unreadable)
        )
    settled = tuple(
        (conflict, settle(policy.resolver_for(conflict.field), conflict))
        for conflict in conflicts_of(collection, key, record, reading)
    )
    texts = dict(reading.agreed)
    live = record.alive
    for conflict, settlement in settled:
        if conflict.field is None:
            live = not settlement.deleted
        elif not settlement.deleted:
            texts[conflict.field] = settlement.text
    return Projection(doc=compose(texts), live=live, settled=settled, unreadable=tuple(reading.unreadable))
