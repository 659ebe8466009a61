"""Executable specification of giving up names (decisions 0017 and 0020): merge_model, in which nodes are told to renew.

A stranger's sign says that a node's names were used twice. It goes on under another identity, gives its operations that
stand in its file new names, and claims nothing any more that may have seen the old ones. It shares no code with the
engine: a change of these rules is made and tried here first. Run: python -m tests.model.renaming_model [RUNS] [FIRST]

An identity is the node's letter and the number of its life. Counters, sets and purging are left out, and so is the
copy of a file that has used the names for other writes: that its values survive is what tests/simulation shows. Here
one sees that nodes agree and lose nothing when names change, and that a record's frontier then does not tell its cells.
"""

from __future__ import annotations

import random
import sys

from .merge_model import EXISTS, STATS, Node, Truth, covers, vv_max


def up_to(vv, name, seq):
    """The vector, with this identity up to `seq`."""
    others = {other: number for other, number in vv.items() if other != name}
    return {**others, name: seq} if seq else others


class Renamer(Node):
    def __init__(self, name, truth):
        super().__init__(f"{name}1", truth)
        self.had_seen = {}  # own seq -> what the vv was before it
        self.taken_back = {}  # what the vv claimed before names were given up, until a peer's feed has been read anew

    def _begin(self, key):
        self.had_seen[self.seq + 1] = self.vv
        return super()._begin(key)

    def renew(self, known):
        """Every own operation above `known` gets a new name, wherever it stands; its old one says nothing any more."""
        old, seen = self.name, [self.had_seen[seq] for seq in sorted(self.had_seen) if seq > known]
        self._withdraw(old, known, seen)
        self.name, self.seq, self.had_seen = f"{old[0]}{int(old[1:]) + 1}", 0, {}
        self.checkpoint = {}  # peers' feeds are read anew; this one has another id with the identity
        for key, record in sorted(self.records.items()):
            dots = sorted({dot for cell in record.cells.values() for dot in cell if dot[0] == old and dot[1] > known})
            names = {dot: (self.name, self.seq + at) for at, dot in enumerate(dots, 1)}
            self._join_frontier(record, names)
            for name, cell in record.cells.items():
                self.truth.rename(key, name, {dot: names[dot] for dot in names if dot in cell or name == EXISTS})
                record.cells[name] = {names.get(dot, dot): value for dot, value in cell.items()}
            self.seq += len(dots)
            if dots:
                self._touch(key)
                STATS["renamed"] += len(dots)
        self.truth.give_up(old, known)
        self.shared_seq = self.seq
        if self.seq:
            self.vv = {**self.vv, self.name: self.seq}

    def _withdraw(self, old, known, seen):
        """No vector claims an operation without what its author had seen; what it said beyond, each record says."""
        claimed = up_to(vv_max(self.vv, self.taken_back), old, known)
        before = up_to(seen[0] if seen else self.vv, old, known)
        self.vv = before
        if before != claimed:
            self.taken_back = claimed
            for record in self.records.values():
                record.extra = vv_max(up_to(record.extra, old, known), claimed)

    def _join_frontier(self, record, names):
        """What others have written on stands in front again: nobody has seen it, but its own node's later writes."""
        if names:
            record.cells[EXISTS].setdefault(max(names), record.alive)

    def _is_known(self, record, peer_vv):
        """Nothing is passed over of which the peer lacks any operation: the frontier no longer tells the cells."""
        return all(covers(peer_vv, dot) for cell in record.cells.values() for dot in cell)

    def pull(self, source, rng, may_cut):
        completed = STATS["complete"]
        super().pull(source, rng, may_cut)
        if STATS["complete"] > completed and self.taken_back and not self._knows_better(source.vv):
            self.vv, self.taken_back = vv_max(self.vv, self.taken_back), {}
            for record in self.records.values():
                record.settle(self.vv)

    def _knows_better(self, vv):
        """Whether the peer is behind what was claimed; identities that it knows under a later name do not count."""
        behind = [name for name, seq in self.taken_back.items() if vv.get(name, 0) < seq]
        return any(not any(other != name and other[0] == name[0] for other in vv) for name in behind)


class RenamingTruth(Truth):
    """Registers keep the causally maximal writes under their last names; names that were given up may stand beside."""

    def __init__(self):
        super().__init__()
        self.given_up, self.seen = set(), {}

    def write(self, key, name, dot, seen):
        super().write(key, name, dot, seen)
        self.seen.setdefault((key, name), set()).update(seen)

    def rename(self, key, name, names):
        """What stands has another name; of its own operations on a record a node has seen all that came before."""
        for old, new in names.items():
            own = {names[dot] for dot in names if dot < old} if name == EXISTS else set()
            self.write(key, name, new, {names.get(dot, dot) for dot in self.writes[key, name][old]} | own)

    def give_up(self, actor, known):
        for writes in self.writes.values():
            gone = {dot for dot in writes if dot[0] == actor and dot[1] > known}
            self.given_up |= gone
            for dot in gone:
                del writes[dot]

    def check(self, nodes, seed):
        first = nodes[0]
        for node in nodes:
            for key in first.records.keys() | node.records.keys():
                a, b = first.records[key], node.records[key]
                assert a.cells == b.cells, (seed, key, first.name, node.name, "diverged", a.cells, b.cells)
        for (key, name), writes in self.writes.items():
            maximal = set(writes) - self.seen[key, name] - self.cleared.get((key, name), set())
            found = set(first.records[key].cells.get(name, {})) - self.given_up
            assert found == maximal, (seed, key, name, "not the maximal writes", found, maximal)


def run(seed, member=Renamer):
    rng, truth = random.Random(seed), RenamingTruth()
    nodes = [member(name, truth) for name in "HABCD"[: rng.randint(2, 4)]]
    for _ in range(rng.randint(10, 100)):
        node, key, dice = rng.choice(nodes), rng.choice("xyz"), rng.random()
        if dice < 0.12:
            node.put(key, rng.sample("fg", rng.randint(1, 2)))
        elif dice < 0.35:
            node.update(key, rng.sample("fg", rng.randint(1, 2)))
        elif dice < 0.42:
            node.delete(key)
        elif dice < 0.95:
            peer = rng.choice(nodes)
            if peer is not node:
                node.pull(peer, rng, may_cut=True)
        else:
            node.renew(rng.choice([0, rng.randint(0, node.seq)]))
    for _ in range(4):
        for node in nodes:
            for peer in nodes:
                if peer is not node:
                    node.pull(peer, rng, may_cut=False)
    truth.check(nodes, seed)


class FrontierTellsTheCells(Renamer):
    """The rule of sessions whose causality is whole: fields under names that were given up are forgotten."""

    def _is_known(self, record, peer_vv):
        return Node._is_known(self, record, peer_vv)


class AllJoinTheFrontier(Renamer):
    """A write stands in front though the next one of its node, which has seen it, stands there too."""

    def _join_frontier(self, record, names):
        for dot in names:
            record.cells[EXISTS].setdefault(dot, record.alive)


class NoneJoinsTheFrontier(Renamer):
    """What stands in a field alone is in front of nobody."""

    def _join_frontier(self, record, names):
        pass


class ForgetsWhatWasTakenIn(Renamer):
    """What the vector says no more, nothing says."""

    def _withdraw(self, old, known, seen):
        extras = {key: up_to(record.extra, old, known) for key, record in self.records.items()}
        super()._withdraw(old, known, seen)
        for key, record in self.records.items():
            record.extra = extras[key]


CAUGHT_AT = {
    FrontierTellsTheCells: 91,
    AllJoinTheFrontier: 49,
    NoneJoinsTheFrontier: 83,
    ForgetsWhatWasTakenIn: 14,
}
"""Mutants of these rules, and a seed that shows each."""


if __name__ == "__main__":
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    first_seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for number in range(first_seed, first_seed + runs):
        run(number)
    sys.stdout.write(f"{runs} runs hold {dict(STATS)}\n")
