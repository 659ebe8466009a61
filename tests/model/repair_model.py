"""Executable specification of repair (decision 0034): renaming_model, in which disks lose and mix up records.

Two things go wrong. A node's *file is damaged* and it finds out: rows are gone, or stand there as they were earlier. It
goes back: it begins another identity, its vector claims nothing any more, every row that is whole says itself what it
has taken in, and peers give back the rest. Or *two nodes diverged*: they have taken in the same and hold different
cells, and neither can tell why. Then who asks takes in what only the other holds, and gives new names to what only it
holds itself: nothing that stands anywhere is dropped. A *comparison* by ranges of keys stands in for reading a feed
from its start. It shares no code with the engine: a change of these rules is made and tried here first.
Run: python -m tests.model.repair_model [RUNS] [FIRST]
"""

from __future__ import annotations

import random
import sys

from .merge_model import EXISTS, STATS, Record, join, vv_max
from .renaming_model import Renamer, RenamingTruth, up_to

KEYS = "xyz"


def dots_of(record):
    return {dot for cell in record.cells.values() for dot in cell}


def vv_of(dots):
    """A context of these operations and nothing else."""
    vv = {}
    for name, seq in dots:
        vv[name] = max(vv.get(name, 0), seq)
    return vv


class Mender(Renamer):
    def __init__(self, name, truth):
        super().__init__(name, truth)
        self.states = {}  # key -> the cells that stood there, one after the other: what a page may fall back to
        self.comparing = {}  # peer -> (the end of its feed when the comparison began, keys still to be compared)

    def remember(self):
        """What stands after a transaction is what a page may fall back to."""
        for key, record in self.records.items():
            cells = {name: dict(cell) for name, cell in record.cells.items()}
            states = self.states.setdefault(key, [])
            if not states or states[-1] != cells:
                states.append(cells)

    # -- a damaged file --------------------------------------------------------------------------------------------

    def damage(self, rng):
        """Rows are gone, or are what they were earlier. Gives which; the log, and what each last was, still stands."""
        lost, stale = set(), set()
        for key in sorted(self.records):
            dice = rng.random()
            if dice < 0.4:
                del self.records[key], self.feed_at[key]
                lost.add(key)
            elif dice < 0.55 and len(self.states.get(key, [])) > 1:
                self.records[key].cells = {n: dict(c) for n, c in rng.choice(self.states[key][:-1]).items()}
                stale.add(key)
        return lost, stale

    def go_back(self, stale):
        """Another identity, which claims nothing; what never left has another name; each row says what it had seen."""
        self.renew(self.shared_seq)
        for key in stale:
            self.records[key].extra = self._untold(self.records[key])
        self.taken_back, self.comparing = {}, {}
        STATS["gone back"] += 1

    def _untold(self, record):
        """What a row has taken in that is not what it last was: what stands in it."""
        return vv_of(dots_of(record))

    def _withdraw(self, old, known, seen):
        claimed = up_to(self.vv, old, known)
        self.vv = {}
        for record in self.records.values():
            record.extra = vv_max(up_to(record.extra, old, known), claimed)

    # -- a comparison instead of a feed ------------------------------------------------------------------------------

    def compare(self, peer):
        """One step: a key's range is compared, and what differs is taken whole. At the end the feed is read so far."""
        head, keys = self.comparing.get(peer.name) or (peer.lsn, list(KEYS))
        key = keys.pop()
        theirs, mine = peer.records.get(key), self.records.get(key)
        peer.shared_seq = peer.seq
        if theirs is not None and (mine is None or mine.cells != theirs.cells):
            self._apply(key, {n: dict(c) for n, c in theirs.cells.items()}, peer)
        self.comparing[peer.name] = (head, keys)
        if not keys:
            self._compared(peer, head)

    def _compared(self, peer, head):
        del self.comparing[peer.name]
        self.checkpoint[peer.name] = max(self.checkpoint.get(peer.name, 0), head)
        STATS["compared"] += 1

    # -- two that diverged -------------------------------------------------------------------------------------------

    def mend(self, peer):
        """Both have taken in the same. Take in what only the peer holds, and name anew what it does not."""
        if self.vv != peer.vv or any(record.extra for node in (self, peer) for record in node.records.values()):
            return
        for key in sorted(self.records.keys() | peer.records.keys()):
            mine, theirs = self.records.get(key, Record()), peer.records.get(key, Record())
            if mine.cells != theirs.cells:
                self._mend(key, mine, theirs)
                STATS["mended"] += 1

    def _mend(self, key, mine, theirs):
        only = sorted(dots_of(mine) - dots_of(theirs) | self._misplaced(mine, theirs))
        cells = join(mine.cells, {}, theirs.cells, {})
        names = {dot: (self.name, self.seq + at) for at, dot in enumerate(only, 1)}
        record = Record(cells)
        for name, cell in record.cells.items():
            standing = {dot: names[dot] for dot in names if dot in cell}
            self.truth.copy(key, name, standing)
            record.cells[name] = {names.get(dot, dot): value for dot, value in cell.items()}
        if names:
            record.cells.setdefault(EXISTS, {}).setdefault(max(names.values()), record.alive)
        self.seq += len(names)
        self.vv = {**self.vv, self.name: self.seq} if self.seq else self.vv
        self.records[key] = record
        self._touch(key)

    def _misplaced(self, mine, theirs):
        """Operations that both know, of which the peer lacks a field."""
        return {dot for name, cell in mine.cells.items() for dot in cell if dot not in theirs.cells.get(name, {})}

    def diverge(self, rng):
        """Something is gone and nobody knows: a record, or a field of one."""
        for key in sorted(self.records):
            if rng.random() < 0.4:
                record = self.records[key]
                fields = sorted(name for name in record.cells if name != EXISTS)
                if fields and rng.random() < 0.6:
                    del record.cells[rng.choice(fields)]
                else:
                    del self.records[key], self.feed_at[key]


class RepairTruth(RenamingTruth):
    """What some node still holds and nothing superseded comes back; what something standing superseded does not."""

    def __init__(self):
        super().__init__()
        self.after, self.ended, self.last, self.mixed = {}, {}, {}, set()

    def write(self, key, name, dot, seen):
        super().write(key, name, dot, seen)
        self._end(key, name, seen, dot)
        if name == EXISTS:
            self.last[key] = dot

    def clear(self, key, name, dots):
        super().clear(key, name, dots)
        self._end(key, name, dots, self.last[key])

    def _end(self, key, name, dots, by):
        for older in dots:
            self.after.setdefault((key, older), set()).add(by)
            self.ended.setdefault((key, name, older), set()).add(by)

    def rename(self, key, name, names):
        """What the old name put an end to, the new one does."""
        super().rename(key, name, names)
        for (where, *_), ends in [*self.ended.items(), *self.after.items()]:
            if where == key:
                ends |= {new for old, new in names.items() if old in ends}

    def copy(self, key, name, names):
        """The same value under another name, which supersedes the old one."""
        for old, new in names.items():
            self.writes.setdefault((key, name), {})[new] = {old}
            self.seen.setdefault((key, name), set()).add(old)
            self._end(key, name, {old}, new)

    def superseders(self, key, dot):
        found, queue = set(), [dot]
        while queue:
            for later in self.after.get((key, queue.pop()), ()):
                if later not in found:
                    found.add(later)
                    queue.append(later)
        return found

    def check_repaired(self, nodes, standing, seed):
        """`standing`: for each key and field, what stood with anybody after the damage, or was written since."""
        first = nodes[0]
        for node in nodes:
            for key in first.records.keys() | node.records.keys():
                a, b = (n.records.get(key, Record()) for n in (first, node))
                assert a.cells == b.cells, (seed, key, first.name, node.name, "diverged", a.cells, b.cells)
        for key in KEYS:
            cells = first.records.get(key, Record()).cells
            alive = set().union(*(dots for (k, _), dots in standing.items() if k == key), set())
            for name in {n for k, n in standing if k == key} | set(cells):
                found, stood = set(cells.get(name, {})), standing.get((key, name), set()) - self.given_up
                for dot in stood - found:
                    renamed = self.ended.get((key, name, dot), set()) & found
                    assert renamed or self.superseded(key, name, dot, alive), (seed, key, name, dot, "lost", found)
                for dot in found - self.given_up if key not in self.mixed else ():
                    assert not self.superseded(key, name, dot, alive), (seed, key, name, dot, "came back", found)

    def superseded(self, key, name, dot, alive):
        """Whether something that stands has seen the end of this value in this field."""
        ends = self.ended.get((key, name, dot), ())
        return any(({end} | self.superseders(key, end)) & alive for end in ends)


def stand(nodes):
    found = {}
    for node in nodes:
        for key, record in node.records.items():
            for name, cell in record.cells.items():
                found.setdefault((key, name), set()).update(cell)
    return found


def work(nodes, rng, events, standing=None):
    """Writes, cut sessions and comparisons."""
    for _ in range(events):
        node, key, dice = rng.choice(nodes), rng.choice(KEYS), rng.random()
        if dice < 0.12:
            node.put(key, rng.sample("fg", rng.randint(1, 2)))
        elif dice < 0.35:
            node.update(key, rng.sample("fg", rng.randint(1, 2)))
        elif dice < 0.42:
            node.delete(key)
        else:
            peer = rng.choice(nodes)
            if peer is node:
                continue
            if dice < 0.8:
                node.pull(peer, rng, may_cut=True)
            else:
                node.compare(peer)
        node.remember()
        if standing is not None:
            for place, dots in stand([node]).items():
                standing.setdefault(place, set()).update(dots)


def heal(nodes, rng, rounds=4):
    for _ in range(rounds):
        for node in nodes:
            for peer in nodes:
                if peer is not node:
                    node.pull(peer, rng, may_cut=False)


def run(seed, member=Mender):
    """Damaged files, found at once, in the middle of work."""
    rng, truth = random.Random(seed), RepairTruth()
    nodes = [member(name, truth) for name in "HABCD"[: rng.randint(2, 4)]]
    standing = None
    for _ in range(rng.randint(1, 3)):
        work(nodes, rng, rng.randint(5, 40), standing)
        node = rng.choice(nodes)
        _, stale = node.damage(rng)
        truth.mixed |= stale
        standing = stand(nodes)
        node.go_back(stale)
        for place, dots in stand(nodes).items():
            standing.setdefault(place, set()).update(dots)
    work(nodes, rng, rng.randint(0, 30), standing)
    heal(nodes, rng)
    truth.check_repaired(nodes, standing, seed)


def run_diverged(seed, member=Mender):
    """Nodes that have taken in the same hold different cells, and nobody knows since when."""
    rng, truth = random.Random(seed), RepairTruth()
    nodes = [member(name, truth) for name in "HABCD"[: rng.randint(2, 4)]]
    work(nodes, rng, rng.randint(5, 60))
    heal(nodes, rng)
    rng.choice(nodes).diverge(rng)
    standing = stand(nodes)
    truth.mixed |= set(KEYS)
    for _ in range(3):
        pairs = [(a, b) for a in nodes for b in nodes if a is not b]
        rng.shuffle(pairs)
        for node, peer in pairs:
            node.pull(peer, rng, may_cut=False)
            peer.pull(node, rng, may_cut=False)
            if node is not nodes[0]:  # a hub never asks
                node.mend(peer)
            peer.pull(node, rng, may_cut=False)
    heal(nodes, rng, 2)
    truth.check_repaired(nodes, standing, seed)


class GoesOnClaiming(Mender):
    """The vector claims what the rows that are gone had taken in."""

    def _withdraw(self, old, known, seen):
        claimed = up_to(self.vv, old, known)
        super()._withdraw(old, known, seen)
        self.vv = claimed


class SaysNothing(Mender):
    """A row that is whole does not say what it had taken in."""

    def _withdraw(self, old, known, seen):
        extras = {key: record.extra for key, record in self.records.items()}
        super()._withdraw(old, known, seen)
        for key, record in self.records.items():
            record.extra = extras[key]


class KeepsItsName(Mender):
    """Peers go on passing over what this identity had taken in, and behind where they had read its feed."""

    def go_back(self, stale):
        self._withdraw(self.name, self.shared_seq, [])
        self.checkpoint = {}


class TrustsEveryRow(Mender):
    """A row that is not what it last was says that it has taken in all that the node had."""

    def _untold(self, record):
        return record.extra


class ClaimsWhatWasCompared(Mender):
    """The vector takes in the peer's with the last range: what has moved meanwhile is claimed and was not seen."""

    def _compared(self, peer, head):
        super()._compared(peer, head)
        self.vv = vv_max(self.vv, peer.vv)


class ReadsBehindTheEnd(Mender):
    """The feed counts as read up to where it ends when the last range has been compared."""

    def _compared(self, peer, head):
        super()._compared(peer, peer.lsn)


class MendsByVectors(Mender):
    """Who lacks something and claims to have taken it in has dropped it."""

    def _mend(self, key, mine, theirs):
        self.records[key] = Record(join(mine.cells, self.vv, theirs.cells, self.vv))
        self._touch(key)


class KeepsNames(Mender):
    """What only this node holds stays under its name, which the peer passes over."""

    def _mend(self, key, mine, theirs):
        self.records[key] = Record(join(mine.cells, {}, theirs.cells, {}))
        self._touch(key)


CAUGHT_AT = {
    GoesOnClaiming: (run, 3),
    SaysNothing: (run, 5),
    KeepsItsName: (run, 1),
    TrustsEveryRow: (run, 28),
    ClaimsWhatWasCompared: (run, 16),
    ReadsBehindTheEnd: (run, 102),
    MendsByVectors: (run_diverged, 0),
    KeepsNames: (run_diverged, 4),
}
"""Mutants of these rules, and a seed that shows each."""


if __name__ == "__main__":
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    first_seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for number in range(first_seed, first_seed + runs):
        run(number)
        run_diverged(number)
    sys.stdout.write(f"{runs} runs hold {dict(STATS)}\n")
