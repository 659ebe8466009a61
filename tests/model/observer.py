"""The oracle of the purging model: it sees every write, and says what a fleet must show after the last heal.

Sharper than `Truth` of merge_model.py where records were purged and came back. Four things must hold at every node:
  1. A record is alive exactly if one of its causally maximal writes says so.
  2. A live record is whole: every put writes both registers, so both have a value.
  3. No write is lost, nothing superseded comes back, and no increment counts twice. One exception: what every counted
     member had taken in when a fence was raised over it is *forgiven* once a node has dropped its record: it may be
     gone for good, and so may its effects.
  4. Nodes show the same.
"""

from __future__ import annotations

from collections import defaultdict

from .merge_model import EXISTS, Record, covers


class Violation(AssertionError):
    """What an observer of every write would not have expected."""


class Observer:
    def __init__(self):
        self.writes = defaultdict(dict)  # (key, cell) -> {dot: value or item}
        self.losers = defaultdict(lambda: defaultdict(set))  # (key, cell) -> {dot: operations that superseded it}
        self.deaths = set()
        self.fenced = defaultdict(set)  # key -> operations that a fence was raised over, and all had
        self.forgiven = defaultdict(set)  # key -> those whose record was then dropped
        self.operation = None
        self.nodes = {}
        self.joined = {}  # name -> the operation by which its sponsor announced it

    # -- what the nodes tell -----------------------------------------------------------------------------------

    def write(self, key, name, dot, seen):
        self.operation = dot if name == EXISTS else self.operation
        self.writes[key, name][dot] = dot
        for loser in seen:
            self.losers[key, name][loser].add(dot)

    def clear(self, key, name, dots):
        for loser in dots:
            self.losers[key, name][loser].add(self.operation)

    def add(self, key, name, item):
        self.writes[key, name][item if name == "count" else item[0]] = item

    def remove(self, key, name, values):
        for value in values:
            self.clear(key, name, value if name == "count" else [value[0]])

    def delete(self, dot):
        self.deaths.add(dot)

    def reborn(self, key, dot, seen):
        """A put on a dead record supersedes all that its author had taken in of it, also what was purged there."""
        for name in "fg", "count", "set":
            for cell in name if name == "fg" else [name]:
                for loser in self.writes[key, cell]:
                    if covers(seen, loser):
                        self.losers[key, cell][loser].add(dot)

    def raise_fence(self, node, members):
        """What all counted members of an authority really have, whatever it believes, may go with its record."""
        counted = [self.nodes[name] for name in self._counted(node, members)]
        for (key, name), writes in self.writes.items():
            if name == EXISTS and node.is_appointed():
                judges = [node.fence, *(member.context(key) for member in counted)]
                self.fenced[key] |= {dot for dot in writes if all(covers(vector, dot) for vector in judges)}

    def drop(self, node, key):
        """Dead there, and behind the fence."""
        self.forgiven[key] |= {dot for dot in self.fenced[key] if covers(node.context(key), dot)}

    def _counted(self, node, members):
        """Who joined by an operation that the purging node has taken in counts, whether or not the node has noticed."""
        joined = {name for name, dot in self.joined.items() if covers(node.vv, dot)}
        return (set(members) | joined - node.left_out()) & self.nodes.keys()

    def bury(self, node, mourners):
        """A device is lost, and with it what it alone had."""
        del self.nodes[node.name]
        for (key, name), writes in list(self.writes.items()):
            if name == EXISTS:
                self._lose(key, {dot for dot in writes if not any(covers(m.context(key), dot) for m in mourners)})

    def _lose(self, key, dots):
        for name in EXISTS, "f", "g", "count", "set":
            for dot in dots & self.writes[key, name].keys():
                del self.writes[key, name][dot]
            for by in self.losers[key, name].values():
                by.difference_update(dots)

    # -- what must hold ----------------------------------------------------------------------------------------

    def check(self, nodes):
        for key in {key for key, _ in self.writes}:
            alive = self._alive(key)
            for node in nodes:
                record = node.records.get(key, Record())
                if record.alive != alive:
                    raise Violation(f"{key} at {node.name}: {'a live record is gone' if alive else 'resurrected'}")
                if record.visible() != nodes[0].records.get(key, Record()).visible():
                    raise Violation(f"{key} at {node.name}: diverged")
            if alive:
                self._check_cells(key, nodes[0].records[key].cells)

    def _alive(self, key):
        writes, losers = self.writes[key, EXISTS], self.losers[key, EXISTS]
        return any(not losers[dot] and dot not in self.deaths for dot in writes)

    def _check_cells(self, key, cells):
        if not (cells.get("f") and cells.get("g")):
            raise Violation(f"{key}: a fragment")
        counts = list(cells.get("count", {}).values())
        if sum(map(len, counts)) != len(frozenset().union(*counts)):
            raise Violation(f"{key}: counted twice")
        found = {name: set(cells.get(name, {})) for name in ("f", "g", "set")} | {"count": frozenset().union(*counts)}
        for name, dots in found.items():
            self._check_cell(key, name, dots)

    def _check_cell(self, key, name, found):
        writes, losers, forgiven = self.writes[key, name], self.losers[key, name], self.forgiven[key]
        for dot in writes:
            if dot not in found and not losers[dot] and dot not in forgiven:
                raise Violation(f"{key}.{name}: {dot} is lost")
        for dot in found:
            if losers[dot] - forgiven:
                raise Violation(f"{key}.{name}: {dot} came back, superseded by {losers[dot]}")
