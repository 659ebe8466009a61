"""Documents: JSON objects as canonical text, checked, split into fields and put together again.

Knows nothing of causality or storage. Invariant: equal documents have equal text (sorted keys, no spaces, 1 is not
1.0), and what cannot make the round trip through JSON, UTF-8 and 64-bit integers is refused before anything is stored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from math import isfinite
from typing import Any, Final

from holdfast.errors import InvalidKey, InvalidName, InvalidValue
from holdfast.resolvers import JSON
from holdfast.resolvers.canonical import DEPTH_MAX, INTEGER_MAX, INTEGER_MIN, decode, encode

KEY_BYTES_MAX: Final = 512
NAME_CHARS_MAX: Final = 128
RECORD_BYTES_MAX: Final = 512 * 1024

_FLAT: Final = frozenset({str, int, float, bool, type(None)})


def refuse_constant(name: str) -> None:
    """What a JSON reader does with NaN and Infinity."""
    raise ValueError(f"{name} is not JSON")


_scan: Any = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=refuse_constant).scan_once  # type: ignore[attr-defined]  # C: tells where a value ends
_scan_text: Any = json.decoder.scanstring  # type: ignore[attr-defined]


def shown(value: object) -> str:
    """A foreign value for a message: a short text of it where that is sure to exist, else its type."""
    try:
        return f"{value!r:.60}" if isinstance(value, str | int | float | bytes | os.PathLike | None) else kind(value)
    except ValueError:  # an integer of more digits than Python writes
        return kind(value)


def kind(value: object) -> str:
    """What a value is that is not what it must be."""
    return "text with a lone surrogate" if type(value) is str else f"of type {type(value).__name__}"


def check_key(key: object, collection: str) -> str:
    """The key, if it is text of 1 to 512 bytes of UTF-8 without NUL.

    Raises:
        InvalidKey: It is not.
    """
    if type(key) is str and 0 < len(key) <= KEY_BYTES_MAX and key.isascii() and "\0" not in key:
        return key
    if type(key) is not str or not key:
        raise InvalidKey(
            "a key must be non-empty text", subject=f"{collection}/{shown(key)}", remedy="Give it some text."
        )
    size = len(_utf8(key, f"{collection}/{key!a}", InvalidKey))
    if "\0" in key:
        raise InvalidKey("a key may hold no NUL", subject=f"{collection}/{key[:40]!a}", remedy="Take the NUL out.")
    if size > KEY_BYTES_MAX:
        raise InvalidKey(
            f"a key may have 1 to {KEY_BYTES_MAX} bytes of UTF-8; this one has {size} bytes",
            subject=f"{collection}/{key[:40]!a}...",
            remedy="Shorten it, or hash the long part.",
        )
    return key


def is_name(text: str) -> bool:
    """Whether a local node could give a collection this name."""
    return 1 <= len(text) <= NAME_CHARS_MAX and text.isprintable()


def check_name(name: object, what: str) -> str:
    """The name of a collection, field, space or node, if it is 1 to 128 printable characters.

    Raises:
        InvalidName: It is not.
    """
    if type(name) is not str or not is_name(name):
        raise InvalidName(
            f"the name of a {what} must have 1 to {NAME_CHARS_MAX} printable characters",
            subject=shown(name),
            remedy="Choose a shorter, plain name.",
        )
    return name


def encode_document(fields: object, subject: str) -> str:
    """Canonical JSON text of a record's fields.

    Args:
        fields: A dict of JSON values with text keys.
        subject: Names the record in errors, "collection/key".

    Raises:
        InvalidValue: Not a dict, NaN or infinity, an integer beyond 64 bits, a lone surrogate, too deep or too large.
    """
    if type(fields) is not dict:
        raise InvalidValue(
            f"a record must be a dict (a JSON object), not {type(fields).__name__}",
            subject=subject,
            remedy="Give every value a field name.",
        )
    if not _flat(fields):
        _check(fields, subject, 1)
    text = encode(fields)
    if not text.isascii() or len(text) > RECORD_BYTES_MAX:
        _check_size(text, subject)
    return text


def encode_value(value: object, subject: str) -> str:
    """Canonical JSON text of one field's value; raises InvalidValue like `encode_document`."""
    _check(value, subject, 2)
    text = encode(value)
    _check_size(text, subject)
    return text


def split(doc: str) -> dict[str, str]:
    """Field name -> JSON text of its value, in the document's order.

    Raises:
        ValueError: It is no JSON object.
    """
    if doc == "{}":
        return {}
    try:
        return _split_canonical(doc)
    except (StopIteration, ValueError, IndexError):  # spaces, say: legal JSON that we did not write
        return {name: encode(value) for name, value in decode_object(doc).items()}


def _split_canonical(doc: str) -> dict[str, str]:
    texts, at, end = {}, 1, len(doc) - 1
    while True:
        name, colon = _scan_text(doc, at + 1)
        _, comma = _scan(doc, colon + 1)
        if doc[colon] != ":" or doc[at] != '"':
            raise ValueError
        texts[name] = doc[colon + 1 : comma]
        if comma == end:
            if doc[0] != "{" or doc[end] != "}":
                raise ValueError
            return texts
        if doc[comma] != ",":
            raise ValueError
        at = comma + 1


def compose(texts: Mapping[str, str]) -> str:
    """The document of these fields (name -> JSON text of its value)."""
    return "{" + ",".join([label(name) + texts[name] for name in sorted(texts)]) + "}"


def replaced(before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    """The document of the values that were replaced or removed; None if there are none."""
    old = {name: text for name, text in before.items() if after.get(name) != text}
    return compose(old) if old else None


@lru_cache(maxsize=4_096)
def label(name: str) -> str:
    """What stands before a field's value; a file has few names and many records."""
    return encode(name) + ":"


def decode_object(doc: str) -> dict[str, JSON]:
    """The document as a dict."""
    value = decode(doc)
    if not isinstance(value, dict):
        raise ValueError("a document must be a JSON object")  # noqa: TRY004 - a value of the wrong shape, not a type
    return value


def check_document(doc: str) -> dict[str, str]:
    """Field -> canonical JSON text of a document from a peer that did not look safe at first sight.

    How a peer spells a value (order, spaces, escapes, 1e2 for 100.0, a name twice, a number that no value can hold)
    says nothing: every node that takes it in keeps the same text.

    Raises:
        InvalidValue: It is no JSON object that a local write could have made.
    """
    if nesting(doc) > DEPTH_MAX:
        raise InvalidValue("a document is nested too deep", subject=doc[:40], remedy="Mend it at its author.")
    try:
        value = decode_object(doc)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(
            f"a document is not a JSON object: {error}", subject=doc[:40], remedy="Mend it at its author."
        ) from error
    _check(value, doc[:40], 1)
    _utf8(encode(value), doc[:40], InvalidValue)
    return {name: encode(item) for name, item in value.items()}


def canonical_text(text: str) -> str:
    """The canonical JSON text of one field's value from a peer.

    Raises:
        ValueError: It is no JSON, too deep for a document that holds it, or holds a lone surrogate.
    """
    if nesting(text) >= DEPTH_MAX:
        raise ValueError("nested too deep")
    canonical = encode(decode(text))
    canonical.encode()
    return canonical


def nesting(text: str) -> int:
    """The deepest nesting of brackets outside strings, found without parsing."""
    depth = deepest = 0
    for at, part in enumerate(text.replace("\\\\", "").replace('\\"', "").split('"')):
        if at % 2 == 0:
            for char in part:
                if char in "[{":
                    depth += 1
                    deepest = max(deepest, depth)
                elif char in "]}":
                    depth -= 1
    return deepest


def _fits(number: int) -> bool:
    return INTEGER_MIN <= number <= INTEGER_MAX


def _flat(fields: dict[str, object]) -> bool:
    """Whether a record is surely legal: text keys, no nesting, numbers in range. Most are text: asked first."""
    for name, value in fields.items():
        if type(name) is not str:
            return False
        kind = type(value)
        if kind is str or kind is bool or value is None:
            continue
        if kind is int:
            if not INTEGER_MIN <= value <= INTEGER_MAX:  # type: ignore[operator]  # the branch says so
                return False
        elif kind is not float or not isfinite(value):  # type: ignore[arg-type]  # the branch says so
            return False
    return True


def _check(value: object, subject: str, depth: int) -> None:
    kind = type(value)
    if kind is dict or kind is list:
        _check_container(value, subject, depth)  # type: ignore[arg-type]  # the branch says so
    elif kind is int:
        if not _fits(value):  # type: ignore[arg-type]  # the branch says so
            raise InvalidValue("an integer is beyond 64 bits", subject=subject, remedy="Store it as text.")
    elif kind is float:
        if not isfinite(value):  # type: ignore[arg-type]  # the branch says so
            raise InvalidValue("NaN and infinity are not JSON", subject=subject, remedy="Store null or text.")
    elif kind not in _FLAT:
        raise InvalidValue(f"{kind.__name__} is not a JSON type", subject=subject, remedy="Convert it first.")


def _check_container(value: dict[object, object] | list[object], subject: str, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise InvalidValue(f"values are nested deeper than {DEPTH_MAX}", subject=subject, remedy="Flatten them.")
    if isinstance(value, dict):
        for name in value:
            if type(name) is not str:
                raise InvalidValue("object keys must be text", subject=f"{subject} {shown(name)}", remedy="Use text.")
    for item in value.values() if isinstance(value, dict) else value:
        _check(item, subject, depth + 1)


def _check_size(text: str, subject: str) -> None:
    size = len(_utf8(text, subject, InvalidValue))
    if size > RECORD_BYTES_MAX:
        raise InvalidValue(
            f"a record may have {RECORD_BYTES_MAX} bytes of JSON; this one has {size}",
            subject=subject,
            remedy="Split it, or keep large values outside.",
        )


def _utf8(text: str, subject: str, error: type[InvalidKey | InvalidValue]) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as fault:
        raise error("text holds a lone surrogate", subject=subject, remedy="Decode its source properly.") from fault
