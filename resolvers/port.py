"""The port that applications fill: what a resolver is.

A resolver is any object with a name, a version and a method `resolve`; nothing is inherited. It
is a projection: it reads a conflict, answers how the conflict is to be *read*, and writes nothing.

Invariant: name and version together name the rule. Nodes compare them to notice that they would
read one conflict differently, so a change of behaviour needs a new version.
"""

from __future__ import annotations

from typing import Protocol

from holdfast.errors import ResolverFault

from .values import Conflict, Resolution

RULE_NAME_CHARS_MAX = 64
"""Names travel in every handshake and stand in the ledger."""


class Resolver(Protocol):
    """A pure rule that settles conflicts of one field, or of a record's existence."""

    @property
    def name(self) -> str:
        """The rule's name: 1 to 64 printable characters, such as "last-writer-wins"."""
        ...

    @property
    def version(self) -> int:
        """1 or more; raise it whenever the rule answers differently than before."""
        ...

    def resolve(self, conflict: Conflict) -> Resolution:
        """Return how the conflict is to be read.

        The answer depends on the conflict alone: no clock, no randomness, no I/O, no state. An
        exception is no harm to others: the conflict stays open and shows the error.

        Args:
            conflict: a private copy; its siblings stand in canonical order.
        """
        ...


def rule_of(resolver: Resolver) -> str:
    """Return the name and version of a resolver as one text, such as "last-writer-wins/1".

    Raises:
        ResolverFault: it is no resolver, or its name or version breaks the contract.
    """
    if isinstance(resolver, type) or not callable(getattr(resolver, "resolve", None)):
        what = "a class, not an object of it" if isinstance(resolver, type) else "no resolver"
        raise ResolverFault(
            f"this is {what}",
            subject=(resolver if isinstance(resolver, type) else type(resolver)).__qualname__,
            remedy="Pass an object with name, version and resolve, such as LastWriterWins().",
        )
    name: object = getattr(resolver, "name", None)
    version: object = getattr(resolver, "version", None)
    if type(name) is not str or not name.isprintable() or not 1 <= len(name) <= RULE_NAME_CHARS_MAX:
        raise ResolverFault(
            "a resolver has no usable name",
            subject=type(resolver).__qualname__,
            remedy=f"Give it a name of 1 to {RULE_NAME_CHARS_MAX} printable characters.",
        )
    if type(version) is not int or version < 1:
        raise ResolverFault(
            "a resolver has no usable version", subject=name, remedy="Give it an integer version of 1 or more."
        )
    return f"{name}/{version}"
