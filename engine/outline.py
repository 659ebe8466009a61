"""Cuts documents whose fields are known, and puts them together: by one pattern, without reading the values.

Knows nothing of records. Works on canonical text only: what stands in a file, or looked safe when it came. Invariant:
what it gives is what `split` and `compose` would give; where it cannot be sure it declines.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from .documents import label, split

FIELDS_MAX: Final = 64
"""Fields of a document that is remembered and gets a pattern."""

LEARN_AFTER: Final = 64
"""Documents of an outline that are split before it gets a pattern: compiling one costs as much as splitting 100."""

_PATTERNS_KEPT: Final = 256

_TEXT: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_NEST: Final = rf'[\[{{](?:[^"\[\]{{}}]++|{_TEXT})*+[\]}}]'
_VALUE: Final = rf'({_TEXT}|[^"\[\]{{}},]++|{_NEST})'
"""A scalar, or a list or an object of scalars; deeper values are for `split`."""


class Outline:
    """The fields of many documents, sorted.

    Attributes:
        names: The fields.
    """

    __slots__ = ("_form", "_match", "_met", "names")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._form = "{" + ",".join([label(name).replace("%", "%%") + "%s" for name in names]) + "}"
        self._match: Callable[[str], re.Match[str] | None] | None = None
        self._met = 0

    def cut(self, doc: str) -> Sequence[str] | None:
        """The texts of the values, in the order of the names; None if the document has other fields."""
        if self._match is None:
            self._learn()
        elif (found := self._match(doc)) is not None:
            return found.groups()
        texts = split(doc)
        return [*texts.values()] if (*texts,) == self.names else None

    def split(self, doc: str) -> dict[str, str]:
        """As `split`; faster if the document has the known fields."""
        if self._match is None:
            self._learn()
        elif (found := self._match(doc)) is not None:
            return dict(zip(self.names, found.groups(), strict=True))
        return split(doc)

    def compose(self, texts: Sequence[str]) -> str:
        """The document of these values, in the order of the names."""
        return self._form % (*texts,)

    def composed(self, columns: Sequence[Sequence[str]], count: int) -> list[str]:
        """The documents of `count` records, from a column for each name."""
        return [*map(self._form.__mod__, zip(*columns, strict=True))] if self.names else ["{}"] * count

    def forget(self) -> None:
        """Drop the pattern; it is made again once so many documents have been met again."""
        self._match, self._met = None, 0

    def _learn(self) -> None:
        """Count a document that is split, and get a pattern for those that follow."""
        self._met += 1
        if self._met > LEARN_AFTER and len(self.names) <= FIELDS_MAX:
            values = ",".join([re.escape(label(name)) + _VALUE for name in self.names])
            self._match = re.compile(rf"\{{{values}\}}").fullmatch
            _learnt.append(self)
            if len(_learnt) > _PATTERNS_KEPT:
                _learnt.popleft().forget()


_learnt: Final[deque[Outline]] = deque()
"""Those that have a pattern, in the order in which they got it."""


def outline(names: tuple[str, ...]) -> Outline:
    """The outline of these fields, sorted."""
    return _known(names) if len(names) <= FIELDS_MAX else Outline(names)


_known: Final = lru_cache(4_096)(Outline)
