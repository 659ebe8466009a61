"""What sessions do with a node's fence: meet one, ask what is absent, say it, hear it, and drop what may go.

Knows nothing of messages. Invariant: each step is one transaction of bounded size, and each stands for itself: a
session may be cut between any two (docs/decisions, 0025).
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from functools import partial
from itertools import islice

from holdfast.clocks import Actor, VersionVector

from .guard import Sentry
from .node import Node
from .storage.absence import Absences, KeySums, Place, Question, absent_here, apply_absences, question, read_absences
from .storage.purge import drop_dead, has_unjudged
from .storage.roster import Decision, Seat, Step, count_again, has_returned, is_due, step, take_decision
from .storage.store import Tx

_log = logging.getLogger(__name__)

PLACES_AT_ONCE = 1_000
"""Records that one transaction joins with a peer's absence."""


class Forgetting:
    """What a node forgets, and hears was forgotten."""

    def __init__(self, node: Node, sentry: Sentry | None = None) -> None:
        self._node, self._sentry = node, sentry

    async def heed(self, decision: Decision, seats: tuple[Seat, ...], *, heir: bool) -> None:
        """Take over the decision of a peer (see `roster.take_decision`)."""
        await self._node.go_on(lambda tx: take_decision(tx, decision, seats, heir=heir))

    async def meet_fence(self, fence: VersionVector) -> None:
        """Take over the fence of a peer, before it says what it does not hold."""
        await self._node.go_on(lambda tx: tx.raise_fence(fence))

    async def question(self) -> Question:
        """What to ask a peer behind whose fence this node is."""
        return await self._node.readers.run(question)

    async def answer(self, theirs: KeySums | None) -> Absences:
        """What this node does not hold, to one who said what it holds, or to anybody."""
        return await self._node.readers.run(read_absences, theirs)

    async def hear(self, theirs: Absences, peer: Actor) -> None:
        """Join what stands here with a peer's absence.

        Raises:
            SyncHeld: The sentry holds it, from some record on.
        """

        def apply(tx: Tx, some: list[Place]) -> None:
            with nullcontext() if self._sentry is None else self._sentry.over(tx, peer):
                apply_absences(tx, theirs, some)

        places = iter(await self._node.readers.run(absent_here, theirs))
        while some := [*islice(places, PLACES_AT_ONCE)]:
            await self._node.go_on(partial(apply, some=some))

    async def after_session(self) -> None:
        """What a session has made due: the authority's step, once in a while, and what may go here."""
        now_ms, plan = self._node.seams.time.now_ms(), self._node.purging
        if await self._node.readers.run(is_due, now_ms, plan):
            self.report(await self._node.go_on(partial(step, plan=plan)))
        elif await self._node.readers.run(has_returned):
            await self._node.go_on(count_again)
        await self.drop()

    def step_due(self, tx: Tx) -> Step:
        """The authority's step, if it is time for it; for `report`, once it is committed."""
        plan = self._node.purging
        if is_due(tx.connection, tx.now_ms, plan):
            return step(tx, plan)
        if has_returned(tx.connection):
            count_again(tx)
        return Step()

    def report(self, done: Step) -> None:
        """Say in the log who is not waited for any more, and who is given up."""
        for label in done.left_out:
            _log.warning(
                "%s was not heard of for long, or goes on under another identity: %s does not wait for it any more",
                label,
                self._node.space,
            )
        for label in done.sealed:
            _log.info("%s was left out for long: %s keeps nothing of it but what it wrote", label, self._node.space)

    async def drop(self) -> int:
        """Drop the deleted records that may go; gives how many went."""
        dropped = 0
        while await self._node.readers.run(has_unjudged):
            purged = await self._node.go_on(drop_dead)
            dropped += purged.dropped
            if not purged.more:
                break
        return dropped
