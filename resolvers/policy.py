"""Which resolver settles what in one collection.

It chooses resolvers and runs none.

Invariant: two policies with equal fingerprints name the same rule for every field and for
existence, so nodes that compare fingerprints notice any skew between them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from holdfast.errors import ResolverFault

from .canonical import encode
from .existence import UpdateWins
from .last_writer import LastWriterWins
from .port import Resolver, rule_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The resolvers of one collection.

    Attributes:
        fields: resolver per field; copied, so later changes of the argument do nothing.
        default: for every field that `fields` does not name.
        existence: for records that one author deleted while another changed them.

    Raises:
        ResolverFault: one is no resolver, or has no usable name or version.
    """

    fields: Mapping[str, Resolver] = field(default_factory=dict, hash=False)
    default: Resolver = field(default_factory=LastWriterWins)
    existence: Resolver = field(default_factory=UpdateWins)

    def __post_init__(self) -> None:
        if not isinstance(self.fields, Mapping):
            raise ResolverFault(
                "there is no resolver per field", subject="fields", remedy="Pass a mapping from field to resolver."
            )
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))
        for resolver in (self.default, self.existence, *self.fields.values()):
            rule_of(resolver)

    def resolver_for(self, field: str | None) -> Resolver:
        """Return the resolver of a field, or of the record's existence if `field` is None."""
        if field is None:
            return self.existence
        return self.fields.get(field, self.default)

    def fingerprint(self) -> bytes:
        """Return 8 bytes that are equal where the same rules, in the same versions, apply.

        A field that names the default rule counts as not named: it is read the same way.
        """
        default = rule_of(self.default)
        rules = {name: rule_of(resolver) for name, resolver in self.fields.items()}
        special = {name: rule for name, rule in rules.items() if rule != default}
        text = encode([default, rule_of(self.existence), special])
        return hashlib.blake2b(text.encode(), digest_size=8).digest()
