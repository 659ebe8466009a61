"""Hostile fleets for the purging model: few keys, many races, and a purge whenever one might hurt.

A seed draws the weights of its events first ("swarm"): some fleets only race deletes, others lose a device every few
steps. All randomness comes from the seed.
"""

from __future__ import annotations

import random

from .observer import Observer, Violation

FINAL_ROUNDS = 12
WRITES = ("put", "update", "delete", "increment", "add", "discard")


class Fleet:
    """Nodes on up to three sides of a partition, and what can happen to them."""

    EVENTS = (
        ("write", 24), ("race", 4), ("meet", 24), ("purge", 8), ("partition", 3), ("unite", 2), ("fold", 2),
        ("expire", 1), ("restore", 1), ("hand_over", 0.7), ("seize", 0.7),
        ("join", 0.5), ("clone", 0.4), ("back_up", 0.4), ("put_back", 0.4), ("lose", 0.3),
    )  # fmt: skip

    def __init__(self, seed, member):
        self.rng, self.truth = random.Random(seed), Observer()
        names = "HABCD"[: self.rng.randint(3, 5)]
        self.nodes = [member(name, self.truth) for name in names]
        for node in self.nodes:
            node.found(names)
        self.side, self.backups, self.born = {}, [], 0
        self._draw_habits()

    def _draw_habits(self):
        self.keys = self.rng.choice(("x", "x", "xy"))
        self.weights = [weight * self.rng.choice((0, 0.5, 1, 1, 3)) for _, weight in self.EVENTS]
        for must in ("write", "meet", "purge"):
            at = [name for name, _ in self.EVENTS].index(must)
            self.weights[at] = self.weights[at] or self.EVENTS[at][1]

    def run(self):
        """Chapters: a race that only some hear of, a partition in which one side purges, a return; noise throughout."""
        for _ in range(self.rng.randint(1, 6)):
            story = (self.race, self.meet, self.meet, self.partition, self.feud, self.purge, self.unite)
            for chapter in story:
                chapter()
                self.noise(self.rng.choice((0, 0, 0, 1, 4)))
        self.heal()
        self.truth.check(self.nodes)

    def noise(self, events):
        names = [name for name, _ in self.EVENTS]
        for name in self.rng.choices(names, self.weights, k=events):
            getattr(self, name)()

    def feud(self):
        """Both sides go on with the same record, and talk about it."""
        rng, key = self.rng, self.rng.choice(self.keys)
        for _ in range(rng.randint(2, 7)):
            node, near = self.any_node(), None
            if rng.random() < 0.4 and (near := self.neighbours(node)):
                node.pull(rng.choice(near), rng, may_cut=False)
            else:
                self.write(node, key, rng.choice(("delete", "update")))

    def unite(self):
        self.side = {}
        for _ in range(self.rng.randint(0, 3)):
            self.meet()

    def heal(self):
        """All meet all, in any order, until nobody learns anything."""
        self.side = {}
        pairs = [(one, two) for one in self.nodes for two in self.nodes if one is not two]
        heard = {}
        for _ in range(FINAL_ROUNDS):
            self.rng.shuffle(pairs)
            for one, two in pairs:
                news = two.lsn, two.vv, two.fence
                if heard.get((one.name, two.name)) != news:
                    heard[one.name, two.name] = news
                    one.pull(two, self.rng, may_cut=False)
            if all(heard[one.name, two.name] == (two.lsn, two.vv, two.fence) for one, two in pairs):
                return
        raise Violation("the fleet does not come to rest")

    # -- who and where -----------------------------------------------------------------------------------------

    def any_node(self):
        return self.rng.choice(self.nodes)

    def neighbours(self, node):
        side = self.side.get(node.name, 0)
        return [n for n in self.nodes if n is not node and self.side.get(n.name, 0) == side]

    def new_name(self, stem):
        self.born += 1
        return f"{stem[0]}{self.born}"

    # -- events ------------------------------------------------------------------------------------------------

    def write(self, node=None, key=None, write=None):
        rng, node, key = self.rng, node or self.any_node(), key or self.rng.choice(self.keys)
        write = write or rng.choices(WRITES, (10, 12, 8, 8, 4, 3))[0]
        if write in ("put", "update"):
            getattr(node, write)(key, rng.sample("fg", rng.randint(1, 2)))
        elif write in ("add", "discard"):
            getattr(node, write)(key, rng.choice("pq"))
        else:
            getattr(node, write)(key)

    def race(self):
        """All write the same record, each without the others' writes."""
        key = self.rng.choice(self.keys)
        for node in self.nodes:
            if self.rng.random() < 0.9:
                self.write(node, key, self.rng.choice(("put", "put", "update", "update", None)))

    def meet(self):
        node = self.any_node()
        for peer in self.neighbours(node)[:]:
            if self.rng.random() < 0.6:
                node.pull(peer, self.rng, may_cut=True)

    def purge(self):
        """A hub's day: give up who can't be reached, mark, meet all others, purge. Now and then a step is left out."""
        for hub in [node for node in self.nodes if node.has_authority][:2]:
            near = self.neighbours(hub)
            self.expire(hub)
            if self.rng.random() < 0.5:
                hub.delete(self.rng.choice(self.keys))
            hub.purge()
            for node in self.rng.sample(near, len(near)):
                node.pull(hub, self.rng, may_cut=self.rng.random() < 0.2)
                hub.pull(node, self.rng, may_cut=self.rng.random() < 0.2)
            hub.purge()

    def partition(self):
        sides = self.rng.choice((2, 3))
        self.side = {n.name: self.rng.randrange(sides) for n in self.nodes}

    def fold(self):
        if not self.backups:  # folding waits for absent members too, and a backup is one
            self.any_node().fold(self.nodes)

    def expire(self, hub=None):
        """An authority gives up those it can't reach, and those that are lost."""
        for node in [hub] if hub else self.nodes:
            near = {n.name for n in self.neighbours(node)}
            for name in list(node.roster):
                if name not in near and self.rng.random() < 0.7:
                    node.expire(name)

    def restore(self):
        self.any_node().restore(self.any_node().name)

    def hand_over(self):
        node = self.any_node()
        near = self.neighbours(node)
        if near:
            node.hand_over(self.rng.choice(near))

    def seize(self):
        self.any_node().seize()

    def join(self):
        if len(self.nodes) < 7:
            sponsor = self.any_node()
            node = sponsor.sponsor(self.new_name("J"))
            self.side[node.name] = self.side.get(sponsor.name, 0)
            self.nodes.append(node)
            node.pull(sponsor, self.rng, may_cut=True)

    def clone(self):
        if len(self.nodes) < 7:
            self.nodes.append(self.any_node().reopened(self.new_name("C")))

    def back_up(self):
        node = self.any_node()
        self.backups.append((node.name, node.image()))

    def put_back(self):
        """The file of yesterday in place of today's: a new incarnation, and what only today's file had is gone."""
        if self.backups:
            name, image = self.rng.choice(self.backups)
            node = image.reopened(self.new_name("R"))
            self.nodes.append(node)
            self._bury([n for n in self.nodes if n.name == name])

    def lose(self):
        if len(self.nodes) > 3:
            self._bury([self.any_node()])

    def _bury(self, lost):
        for node in lost:
            self.nodes.remove(node)
            self.truth.bury(node, self.nodes)


class SealingFleet(Fleet):
    """A fleet that also seals whom it has left out, lost or not, and takes anybody for retired."""

    EVENTS = (*Fleet.EVENTS, ("seal", 6), ("retire", 12))

    def retire(self):
        for node in self.nodes:
            node.retire([name for name in sorted(node.vv) if self.rng.random() < 0.8])

    def feud(self):
        """What one side says of it is all that some hub hears before it marks, retires all, and looks who has it."""
        super().feud()
        for hub in [node for node in self.nodes if node.has_authority and self.rng.random() < 0.7]:
            for node in self.rng.sample(self.nodes, 2):
                if node is not hub:
                    hub.pull(node, self.rng, may_cut=False)
            for act in (hub.purge, self.retire, hub.purge):
                act()

    def seal(self):
        for node in self.nodes:
            if node.has_authority:
                for name in list(node.decision.left_out):
                    if self.rng.random() < 0.5:
                        node.seal(name)

    def purge(self):
        super().purge()
        if self.rng.random() < 0.3:
            self.seal()


class RestlessFleet(Fleet):
    """A fleet on bad links and bad disks: most sessions are cut, and files are copied and put back all the time."""

    EVENTS = (*Fleet.EVENTS, ("clone", 2), ("back_up", 4), ("put_back", 2))

    def meet(self):
        for node in self.nodes:
            for peer in self.neighbours(node):
                if self.rng.random() < 0.3:
                    node.pull(peer, self.rng, may_cut=True)

    def unite(self):
        self.side = {}
        for _ in range(self.rng.randint(0, 6)):
            self.meet()
            self.noise(self.rng.choice((0, 1)))


class FormerFleet(Fleet):
    """The fleets of returning_members.py, event by event: their authority leaves out whoever is on the other side."""

    CHANCES = (
        (0.10, "put"), (0.22, "update"), (0.30, "delete"), (0.38, "increment"), (0.42, "add"), (0.45, "discard"),
        (0.88, "sync"), (0.97, "purge"), (1.00, "fold"),
    )  # fmt: skip

    def _draw_habits(self):
        self.side = dict.fromkeys((node.name for node in self.nodes), 0)

    def run(self):
        for _ in range(self.rng.randint(40, 250)):
            if self.rng.random() < 0.04:
                self.partition()
            node, key, dice = self.any_node(), self.rng.choice("xy"), self.rng.random()
            event = next(event for chance, event in self.CHANCES if dice < chance)
            if event in WRITES:
                getattr(node, event)(key, *self._arguments(event))
            elif event == "sync":
                self.sync(node)
            else:
                getattr(self, event)()
        self.heal()
        self.truth.check(self.nodes)

    def _arguments(self, event):
        if event == "update":
            return [self.rng.sample("fg", self.rng.randint(1, 2))]
        if event in ("add", "discard"):
            return [self.rng.choice("pqr")]
        return ["fg"] if event == "put" else []

    def partition(self):
        self.side = {n.name: self.rng.randint(0, 1) if self.rng.random() < 0.7 else 0 for n in self.nodes}

    def sync(self, node):
        peer = self.any_node()
        if peer is not node and peer in self.neighbours(node):
            node.pull(peer, self.rng, may_cut=True)

    def purge(self):
        hub = self.nodes[0]
        hub.purge([hub.name, *(node.name for node in self.neighbours(hub))])


def run(seed, member, fleet=Fleet):
    fleet(seed, member).run()
