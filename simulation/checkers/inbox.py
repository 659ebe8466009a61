"""I10: the inbox is complete: what stands in it is exactly what the cells dispute, and the same at every node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import msgpack

from ..observed.image import Name, Place
from ..observed.projection import Dispute
from .view import Checker, NodeView, WorldView, changed, expected, judged, observed, stood_for

_STANDING = "SELECT id, field, kind, state, siblings FROM conflict WHERE record = ? AND standing = 1 ORDER BY id"
_STRAY = (
    "SELECT count(*) FROM conflict x LEFT JOIN record r ON r.id = x.record"
    " WHERE x.standing = 1 AND (r.id IS NULL OR r.conflicts = 0)"
)


class Inbox(Checker):
    """Every conflict is recorded once, and none that is not there."""

    name: ClassVar[str] = "I10 the inbox shows every conflict once"

    def step(self, world: WorldView, node: NodeView) -> None:
        """The records that changed."""
        self._compare(world, node, changed(world, node))

    def end(self, world: WorldView) -> None:
        """All records; rows of none; and the same rows everywhere."""
        for node in world.nodes:
            self._compare(world, node, sorted(observed(world, node).image.records))
            (stray,) = node.connection.execute(_STRAY).fetchone()
            if stray:
                raise self.fail(node, None, f"{stray} rows of the inbox stand for records that have no conflict")
        shown = {node.name: self._all_standing(world, node) for node in world.nodes}
        for name, rows in shown.items():
            other, first = next(iter(shown.items()))
            if rows != first:
                odd = sorted(rows ^ first)
                raise self.fail(name, None, f"its inbox differs from that of {other} by {odd[0]}", differ=odd)

    def _all_standing(self, world: WorldView, node: NodeView) -> set[tuple[str, str, str]]:
        """All that stand; but for those of what is dead, where some may have dropped it for good and others not yet."""
        records = observed(world, node).image.records.items()
        gone = {
            held.number for place, held in records if place in world.history.purged and not any(held.existence.values())
        }
        rows = node.connection.execute("SELECT id, coalesce(field, ''), kind, record FROM conflict WHERE standing = 1")
        return {(number, field, kind) for number, field, kind, record in rows if record not in gone}

    def _compare(self, world: WorldView, node: NodeView, places: Iterable[Place]) -> None:
        seen = observed(world, node)
        for place in places:
            held = seen.image.records[place]
            if not judged(world, place) or seen.strangers.get(place):
                continue
            wanted = expected(world, node, place, stood_for(world, node, place))
            disputes = {dispute.id: dispute for dispute in wanted.conflicts}
            if not disputes and not held.conflicts:
                continue
            rows = {row[0]: row[1:] for row in node.connection.execute(_STANDING, (held.number,))}
            self._rows(node, place, rows, disputes)
            if held.conflicts != len(disputes):
                raise self.fail(node, place, f"the record counts {held.conflicts} conflicts, it has {len(disputes)}")

    def _rows(
        self,
        node: NodeView,
        place: Place,
        rows: Mapping[str, tuple[str | None, str, str, bytes]],
        disputes: Mapping[str, Dispute],
    ) -> None:
        for number in sorted(disputes.keys() - rows.keys()):
            raise self.fail(node, place, f"the inbox lacks {_said(disputes[number])}", conflict=number)
        for number, (field, kind, state, siblings) in rows.items():
            dispute = disputes.get(number)
            if dispute is None:
                raise self.fail(node, place, f"the inbox shows a conflict of {field} that is none", conflict=number)
            if (field, kind) != (dispute.field, dispute.kind):
                what = f"the inbox calls {_said(dispute)} {kind} of {field or 'the existence'}"
                raise self.fail(node, place, what, conflict=number)
            kept = frozenset(Name(row[0], row[1], row[2], place) for row in msgpack.unpackb(siblings))
            if kept != dispute.names:
                what = f"the inbox keeps the siblings {_joined(kept)} of {_said(dispute)}"
                raise self.fail(node, place, what, conflict=number)
            if state not in ("open", "settled") or (dispute.open and state != "open"):
                what = f"the inbox says {state} of {_said(dispute)}"
                raise self.fail(node, place, what, conflict=number)


def _said(dispute: Dispute) -> str:
    return f"{dispute.kind} of {dispute.field or 'the existence'} between {_joined(dispute.names)}"


def _joined(names: Iterable[Name]) -> str:
    return ", ".join(map(str, sorted(names)))
