"""Ask a resolver, and survive its answer.

`settle` is the only way from a conflict to what readers see. It trusts nothing that a resolver
does: the resolver gets a private copy, and its answer is checked. It stores and logs nothing.

Invariant: the settlement is a function of the conflict and the resolver's answer, and there always
is one. A resolver that breaks its contract leaves the conflict open with an error, and the total
order decides what is shown, so replication never waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.errors import ResolverFault

from .canonical import JSON, check_legal, decode, encode
from .existence import newest
from .port import Resolver, rule_of
from .values import Conflict, Defer, Delete, Fields, Leave, Take, Value, Version

TOTAL_ORDER = "total-order/1"
"""The rule that stands where no resolver could be named."""

MESSAGE_CHARS_MAX = 500
"""Errors and reasons are stored with the conflict; a resolver must not fill the disk with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What readers see of a conflict, and why.

    Attributes:
        text: the canonical JSON text of `value`; for a sibling that was taken, exactly its text.
        deleted: the field is removed, or (existence) the record is dead.
        winner: the index of the sibling that is shown; None if the value is new.
        open: nobody has decided; what is shown is the choice of the total order.
        rule: name and version of the resolver that was asked, such as "last-writer-wins/1".
        error: how the resolver broke its contract; None if it did not.
        deferred: the reason of `Defer`; None otherwise.
    """

    text: str
    deleted: bool
    winner: int | None
    open: bool
    rule: str
    error: str | None = None
    deferred: str | None = None

    @property
    def value(self) -> JSON:
        """The visible value, decoded anew; None if it is deleted."""
        return decode(self.text) if self.text else None


def settle(resolver: Resolver | None, conflict: Conflict) -> Settlement:
    """Return how the conflict is to be read.

    Whatever the resolver raises (SystemExit too), answers or changes, there is a settlement; only an interrupt
    (KeyboardInterrupt, which a person sends) passes through, and whoever asked undoes what it was about.

    Args:
        resolver: the field's resolver; None if the name it was declared with is unknown here.
        conflict: the siblings in canonical order.

    Raises:
        ValueError: the conflict itself holds a text that is no JSON.
    """
    copy = _private(conflict)
    rule = TOTAL_ORDER
    try:
        if resolver is None:
            raise _fault("there is no resolver", conflict, "Register the resolver that the schema names.")
        rule = rule_of(resolver)
        return _accept(resolver.resolve(copy), conflict, rule)
    except (Exception, SystemExit) as exc:  # noqa: BLE001 - the resolver is foreign code; its failure becomes a value
        return _fallback(conflict, rule, error=_describe(exc))


def _accept(resolution: object, conflict: Conflict, rule: str) -> Settlement:
    """Turn a resolver's answer into a settlement; raise if it is no legal answer."""
    match resolution:
        case Take(index):
            return _take(_checked_index(index, conflict), conflict, rule)
        case Value(value):
            return _show(value, conflict, rule)
        case Delete():
            return Settlement(text="", deleted=True, winner=None, open=False, rule=rule)
        case Leave():
            return _fallback(conflict, rule)
        case Defer(reason):
            return _fallback(conflict, rule, deferred=_bounded(_checked_reason(reason, conflict)))
    answered = f"a resolver answered {type(resolution).__name__}, which is no resolution"
    raise _fault(answered, conflict, "Return Value, Take, Delete, Leave or Defer.")


def _take(index: int, conflict: Conflict, rule: str) -> Settlement:
    sibling = conflict.siblings[index]
    return Settlement(text=sibling.text, deleted=sibling.deleted, winner=index, open=False, rule=rule)


def _show(value: object, conflict: Conflict, rule: str) -> Settlement:
    if conflict.field is None:
        raise _fault("existence has no value", conflict, "Return Take, Delete, Leave or Defer.")
    check_legal(value)
    text = encode(value)
    return Settlement(text=text, deleted=False, winner=None, open=False, rule=rule)


def _fallback(conflict: Conflict, rule: str, *, error: str | None = None, deferred: str | None = None) -> Settlement:
    """Let the total order decide: the newest is shown, and an existence prefers to be alive."""
    siblings = conflict.siblings
    index = len(siblings) - 1 if conflict.field is not None else newest(siblings, deleted=False)
    return replace(_take(index, conflict, rule), open=True, error=error, deferred=deferred)


def _private(conflict: Conflict) -> Conflict:
    """Copy all that a resolver could change: its hands must not reach what others read."""
    kept = isinstance(conflict.record, Fields)
    if kept and conflict.base is None and not any(_can_change(sibling) for sibling in conflict.siblings):
        return conflict
    return replace(
        conflict,
        base=None if conflict.base is None else _private_version(conflict.base),
        siblings=tuple(_private_version(sibling) for sibling in conflict.siblings),
        record=conflict.record if kept else {name: decode(encode(value)) for name, value in conflict.record.items()},
    )


def _can_change(version: Version) -> bool:
    return isinstance(version.value, list | dict)


def _private_version(version: Version) -> Version:
    return replace(version, value=_value_of(version))


def _value_of(version: Version) -> JSON:
    """Decode the value anew; removals, and the existence of a record, have none."""
    return decode(version.text) if version.text else None


def _checked_index(index: object, conflict: Conflict) -> int:
    # An exact int: True would pass as 1, and a negative index would count from the end.
    if type(index) is int and 0 <= index < len(conflict.siblings):
        return index
    last = len(conflict.siblings) - 1
    raise _fault("a resolver took a sibling that is not there", conflict, f"Take an index from 0 to {last}.")


def _checked_reason(reason: object, conflict: Conflict) -> str:
    if type(reason) is str:
        return reason
    raise _fault("a resolver deferred without a reason", conflict, "Give the reason as text.")


def _fault(what: str, conflict: Conflict, remedy: str) -> ResolverFault:
    place = (conflict.collection, conflict.key, conflict.field)
    return ResolverFault(what, subject="/".join(part for part in place if part is not None), remedy=remedy)


def _describe(exc: BaseException) -> str:
    try:
        return _bounded(f"{type(exc).__name__}: {exc}")
    except Exception:  # noqa: BLE001 - even the text of a foreign exception is foreign code
        return _bounded(type(exc).__name__)


def _bounded(message: str) -> str:
    """Cut a foreign text to its limit and make sure that it has a UTF-8 form."""
    return message[:MESSAGE_CHARS_MAX].encode("utf-8", "replace").decode("utf-8")
