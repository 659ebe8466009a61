"""A fleet that does little else than purge: somebody is away, what is deleted meanwhile goes, and then they meet.

The fleets of tests/model spread over all that can happen; to show that a rule of purging is broken takes many of them.
Knows nothing of the engine. All randomness comes from the seed.
"""

from __future__ import annotations

from ..model.fleets import Fleet


class ReturningFleet(Fleet):
    """Chapters of one story: all write, one side deletes and purges while the other goes on, and links are cut."""

    def _draw_habits(self):
        super()._draw_habits()
        rng = self.rng
        self.keys = rng.choice(("x", "xy"))
        self.cuts, self.rebirth, self.restless = (
            rng.choice((0.1, 0.4)),
            rng.choice((0, 0.3, 0.6)),
            rng.choice((0, 0, 1)),
        )

    def run(self):
        for _ in range(self.rng.randint(1, 4)):
            for chapter in (self.race, self.mingle, self.leave, self.feud, self.purge, self.unite):
                chapter()
            self.noise(self.restless * self.rng.choice((0, 1, 2)))
        self.heal()
        self.truth.check(self.nodes)

    def write(self, node=None, key=None, write=None):
        super().write(node, key, write or self.rng.choices(("put", "update", "delete"), (3, 5, 3))[0])

    def mingle(self):
        """Most meet, not all, and not always to the end."""
        for node in self.rng.sample(self.nodes, len(self.nodes)):
            for peer in self.neighbours(node):
                if self.rng.random() < 0.5:
                    node.pull(peer, self.rng, may_cut=self.rng.random() < self.cuts)

    def leave(self):
        """One is away, or several."""
        away = self.rng.sample(self.nodes, self.rng.choice((1, 1, 2)))
        self.side = {node.name: 1 for node in away if not node.has_authority}

    def feud(self):
        """Both sides write the record again and again, and talk about it."""
        rng = self.rng
        for _ in range(rng.randint(2, 6)):
            node = self.any_node()
            near = self.neighbours(node)
            if near and rng.random() < 0.4:
                node.pull(rng.choice(near), rng, may_cut=rng.random() < self.cuts)
            self.write(node, None, "put" if rng.random() < self.rebirth else rng.choice(("delete", "update")))

    def purge(self):
        for hub in [node for node in self.nodes if node.has_authority][:1]:
            near = self.neighbours(hub)
            for name in list(hub.roster):
                if name not in {node.name for node in near}:
                    hub.expire(name)
            if self.rng.random() < 0.5:
                for node in near:
                    hub.pull(node, self.rng, may_cut=False)
            for key in self.keys:
                hub.delete(key)
            hub.purge()
            for node in self.rng.sample(near, len(near)):
                node.pull(hub, self.rng, may_cut=self.rng.random() < self.cuts / 2)
                hub.pull(node, self.rng, may_cut=False)
            hub.purge()
            for node in near:
                if self.rng.random() < 0.5:
                    node.pull(hub, self.rng, may_cut=self.rng.random() < self.cuts)

    def unite(self):
        self.side = {}
        for _ in range(self.rng.randint(0, 3)):
            if self.rng.random() < 0.3:
                self.write()
            node = self.any_node()
            node.pull(self.rng.choice(self.neighbours(node)), self.rng, may_cut=self.rng.random() < self.cuts)
