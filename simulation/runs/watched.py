"""The user's resolvers, watched: the engine swallows what they do wrong, and the user must hear of it.

A resolver that raises, or whose answer is none, harms no engine: the conflict stays open. One that answers the same
conflict in two ways makes nodes disagree, and that looks like an engine's failure. Knows no world. Invariant: a watched
resolver answers, raises and is named exactly as the one behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from holdfast.errors import ProgramFault
from holdfast.resolvers import Conflict, Resolution, Resolver, encode, settle

from ..kernel.blame import program_line
from ..world.programs import defined_at

FAULTS_KEPT_MAX = 20


@dataclass(slots=True)
class Watch:
    """What resolvers did wrong in one world, first things first."""

    faults: list[ProgramFault] = field(default_factory=list)
    _answers: dict[str, str] = field(default_factory=dict)

    def over(self, resolver: Resolver) -> Resolver:
        """The resolver, watched."""
        return _Watched(resolver, self)

    def blame(self, resolver: Resolver, what: str, remedy: str, line: str = "") -> None:
        """Note a fault."""
        if len(self.faults) < FAULTS_KEPT_MAX:
            place = line or defined_at(resolver)
            self.faults.append(ProgramFault(f"the resolver {resolver.name} {what}", subject=place, remedy=remedy))

    def answered(self, resolver: Resolver, conflict: Conflict, answer: object) -> None:
        """Look at an answer: is it one, and the same as the last time?"""
        error = settle(_Constant(resolver.name, resolver.version, answer), conflict).error
        if error is not None:
            self.blame(resolver, f"gave an answer that is none: {error}", "Answer as the port of resolvers says.")
        asked, said = _key(resolver, conflict), repr(answer)
        if self._answers.setdefault(asked, said) != said:
            what = f"is not deterministic: asked twice about one conflict it said {self._answers[asked]}, then {said}"
            self.blame(resolver, what, "Let the answer follow from the conflict alone, without any state.")


@dataclass(frozen=True, slots=True)
class _Watched:
    inner: Resolver
    watch: Watch = field(compare=False)

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def version(self) -> int:
        return self.inner.version

    def resolve(self, conflict: Conflict) -> Resolution:
        try:
            answer = self.inner.resolve(conflict)
        except ProgramFault:
            raise  # the fence has noted it
        except Exception as error:
            what = f"raised {type(error).__name__}: {error}"
            remedy = "The engine leaves the conflict open; mend the resolver if that is not meant."
            self.watch.blame(self.inner, what, remedy, program_line(error))
            raise
        self.watch.answered(self.inner, conflict, answer)
        return answer


@dataclass(frozen=True, slots=True)
class _Constant:
    """Answers what was answered, so that the answer can be checked as the engine checks it."""

    name: str
    version: int
    answer: Any

    def resolve(self, conflict: Conflict) -> Resolution:
        return self.answer  # type: ignore[no-any-return]


def _key(resolver: Resolver, conflict: Conflict) -> str:
    siblings = [
        [s.dot.actor, s.dot.seq, int(s.clock), s.text, s.deleted, s.birth, s.decision] for s in conflict.siblings
    ]
    base = conflict.base.text if conflict.base else None
    asked = [resolver.name, conflict.id, siblings, base, conflict.base_status, dict(conflict.record)]
    return encode(asked)
