"""What users type as values: JSON where JSON is asked for, JSON or plain text as parameters of a query.

Knows nothing of commands. Invariant: a value is read as what it says, never as what it might have meant: 1 is a
number, "1" is text, NaN is no number.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from holdfast.engine.storage.query import Parameter


class JsonValue(click.ParamType[Any]):
    """A parameter that is JSON; `-` reads it from stdin."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as click declares it
        """The value as Python values, as if it came from `json.loads`."""
        from holdfast.resolvers import parse

        if not isinstance(value, str):
            return value
        text = value
        try:
            if value == "-":
                text = sys.stdin.buffer.read().decode("utf-8")
            return parse(text)
        except ValueError as error:
            # Only text that is not JSON at all may be text that was meant as a value.
            hint = "; text goes in double quotes inside single ones: '\"text\"'"
            misspelled = isinstance(error, json.JSONDecodeError)
            self.fail(f"{text[:60]!r} is not JSON: {error}{hint if misspelled else ''}", param, ctx)


def parameter(text: str) -> Parameter:
    """A value for a ``?`` of a query: JSON if it is JSON, else the text itself.

    true and false become 1 and 0, objects and arrays their canonical text: that is what ``->>`` gives for them.
    """
    from holdfast.resolvers import encode, parse

    try:
        value = parse(text)
    except ValueError:
        return text
    if isinstance(value, dict | list):
        return encode(value)
    return int(value) if isinstance(value, bool) else value


class Moment(click.ParamType[int | datetime]):
    """A moment: an lsn, or a time as ISO 8601 with its zone."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | datetime:
        """The moment, or a complaint about the option."""
        text = str(value)
        if text.isascii() and text.isdecimal():
            return int(text)
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            self.fail("it must be an lsn, or a time with its zone, as 2026-11-21T08:00:00Z", param, ctx)
        return found


as_of_option = click.option(
    "--as-of", "then", type=Moment(), metavar="MOMENT", help="As it read here then: an lsn, or a time with its zone."
)
