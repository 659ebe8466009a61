"""What readers see of a record: its document, whether it is alive, and how its conflicts were settled.

Pure; writes nothing and knows no table. Invariant: a projection is a function of the record's cells and the policy
alone, so two nodes with the same cells and rules show the same, and no projection can answer another's for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.resolvers import Fields, Policy, Settlement, settle
from holdfast.resolvers.values import Conflict

from .cells import Record
from .detector import conflict_between, conflicts_of, read
from .documents import compose, is_name
from .packing import PackedStamp


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
    return _projection(reading.agreed, settled, live=record.alive, unreadable=tuple(reading.unreadable))


def project_disputed(
    collection: str,
    key: str,
    agreed: dict[str, str],
    disputed: Mapping[str, Sequence[tuple[PackedStamp, str]]],
    policy: Policy,
) -> Projection:
    """A record that all siblings of its existence say is alive, of which the caller knows what its fields say.

    Args:
        collection: Its collection.
        key: Its key.
        agreed: Field -> the JSON text that all its siblings agree on.
        disputed: Field -> its siblings as stamps and texts, which differ; by field.
        policy: The rules.
    """
    rest = Fields(agreed)
    conflicts = [conflict_between(collection, key, name, siblings, rest) for name, siblings in disputed.items()]
    settled = tuple((conflict, settle(policy.resolver_for(conflict.field), conflict)) for conflict in conflicts)
    return _projection(agreed, settled, live=True, unreadable=())


def _projection(
    agreed: Mapping[str, str],
    settled: tuple[tuple[Conflict, Settlement], ...],
    *,
    live: bool,
    unreadable: tuple[str, ...],
) -> Projection:
    texts = dict(agreed)
    for conflict, settlement in settled:
        if conflict.field is None:
            live = not settlement.deleted
        elif not settlement.deleted:
            texts[conflict.field] = settlement.text
    return Projection(doc=compose(texts), live=live, settled=settled, unreadable=unreadable)
