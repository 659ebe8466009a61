"""Cuts documents whose fields are known: by their labels, without reading the values.

Knows nothing of records. Works on canonical text only: what stands in a file, or looked safe when it came. Invariant:
what it gives is what `split` would give; where it cannot be sure it declines.
"""

from __future__ import annotations

from functools import lru_cache

from .documents import label, split


class Outline:
    """The fields of many documents, sorted.

    Attributes:
        names: The fields.
        labels: What stands before each value, without what separates it from the value before.
    """

    __slots__ = ("_first", "_marks", "_rest", "_sure", "labels", "names")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.labels = tuple(map(label, names))
        self._first = "{" + self.labels[0] if names else "{}"
        self._rest = tuple("," + each for each in self.labels[1:])
        self._marks = (self._first, *self._rest, "}")
        # After a closing quote no JSON goes on with a letter: a label found in the text is a label.
        self._sure = all(name[:1].isalnum() or name[:1] == "_" for name in names)

    def fits(self, doc: str) -> bool:
        """Whether the document has these fields and no others, and can be cut."""
        # With one brace there are no nested labels; with as many ends of labels as fields, none is overlooked.
        return (
            self._sure
            and doc.count('":') == len(self.names)
            and doc.count("{") == 1
            and doc.startswith(self._first)
            and all(map(doc.__contains__, self._rest))
        )

    def split(self, doc: str) -> dict[str, str]:
        """As `split`; faster if the document has the known fields."""
        if not self.fits(doc):
            return split(doc)
        texts: list[str] = []
        start = len(self._first)
        for mark in self._rest:
            end = doc.find(mark, start)
            texts.append(doc[start:end])
            start = end + len(mark)
        if self.names:
            texts.append(doc[start:-1])
        return dict(zip(self.names, texts, strict=True))

    def span(self, doc: str, at: int) -> tuple[int, int]:
        """Where the value of field number `at` stands in a document that fits."""
        mark = self._marks[at]
        start = doc.find(mark) + len(mark)
        return start, doc.find(self._rest[at], start) if at < len(self._rest) else len(doc) - 1


@lru_cache(maxsize=4_096)
def outline(names: tuple[str, ...]) -> Outline:
    """The outline of these fields, sorted."""
    return Outline(names)
