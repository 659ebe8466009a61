"""Claims about the documents' tables: fields, columns, files and numbers are those of the code."""

from __future__ import annotations

import inspect
import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from holdfast import Engine
from holdfast.clocks import encoding, hybrid
from holdfast.engine import (
    arguments,
    collection,
    delta,
    documents,
    node,
    packing,
    ranges,
    readers,
    salvage,
    schema,
    writer,
)
from holdfast.engine.storage import connection, migrations, write
from holdfast.simulation.kernel.loop import BUSY_STEPS_MAX
from holdfast.simulation.kernel.patience import PATIENCE_S
from holdfast.simulation.runs.simulate import SEEDS_AT_ONCE_MAX
from holdfast.simulation.world.answers import CONDITIONS
from holdfast.simulation.world.programs import ENDING_S
from holdfast.transport import advance, answering, batch, comparing, frame, repair, session, sync, wire
from holdfast.transport.hub import limits as hub
from holdfast.transport.hub import repeats
from holdfast.transport.links import http
from holdfast.transport.messages import Ack, Batch, Hello, NeedWhole, Refuse

from .sources import ROOT
from .sources import documents as pages

CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?:\.ci|benchmarks|clocks|docs|engine|examples|resolvers|service|src|tests|transport)/[\w./-]*")
INTERNAL = {"start", "write", "go_on", "columns"}  # for the parts of Holdfast
KIB, MIB, GIB = 1024, 1024**2, 1024**3


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def _section(page: str, heading: str) -> str:
    """The text below a heading, up to the next one of any level."""
    return re.split(r"^#+ ", page.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def _column(section: str, at: int) -> list[str]:
    """The words in code style of one column of the section's tables, without the rows above them."""
    rows = [line.split(" | ") for line in section.splitlines() if re.match(r"\| \d", line)]
    return [word for row in rows for word in CODE.findall(row[at])]


def test_the_protocol_lists_every_field_of_the_hello_in_its_order():
    assert _column(_section(_page("protocol.md"), "Hello (type 1)"), 1) == [field.name for field in fields(Hello)]


def test_the_protocol_lists_every_field_of_a_batch_in_its_order():
    columns = [f"delta.{field.name}" for field in fields(delta.Delta)]
    expected = [name for field in fields(Batch) for name in (columns if field.name == "delta" else [field.name])]
    assert _column(_section(_page("protocol.md"), "Batch (type 2)"), 1) == expected


@pytest.mark.parametrize("message", [Ack, NeedWhole, Refuse])
def test_the_protocol_lists_every_field_of_the_small_messages(message: type):
    (row,) = re.findall(rf"^\| `{message.__name__}` \| (.*?) \|", _page("protocol.md"), re.MULTILINE)
    assert CODE.findall(row) == [field.name for field in fields(message)]


def test_the_file_format_names_every_table_and_column():
    database = sqlite3.connect(":memory:")
    try:
        for script in migrations.scripts().values():
            database.executescript(script)
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        columns = {table: [row[1] for row in database.execute(f"PRAGMA table_info({table})")] for table in tables}
    finally:
        database.close()
    page = _page("file-format.md")
    headings = re.findall(r"^### (.*)$", page, re.MULTILINE)
    for table, names in columns.items():
        sections = [_section(page, heading) for heading in headings if heading.startswith(f"`{table}`")]
        rows = [line for line in page.splitlines() if line.startswith(f"| `{table}` |")]
        assert not set(names) - set(CODE.findall("\n".join(sections + rows))), table


CALL = re.compile(r"(?:await |async for \w+ in )?(?:engine\.|`)?(\w+)\((.*)\)")


def _calls(section: str) -> dict[str, str]:
    """Method -> arguments, from the first column of a section's tables."""
    spans = [
        span for line in section.splitlines() if line.startswith("| `") for span in CODE.findall(line.split(" | ")[0])
    ]
    return {found[1]: found[2] for span in spans if (found := CALL.fullmatch(span))}


def _arguments(function: Callable[..., object]) -> str:
    """The arguments of a method as the reference writes them."""
    parts = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
        default = "" if parameter.default is parameter.empty else f"={json.dumps(parameter.default)}"
        parts.append(f"{star}{parameter.name}{default}")
    return ", ".join(parts).replace("null", "None").replace("false", "False").replace("true", "True")


@pytest.mark.parametrize(("kind", "heading"), [(Engine, "Engine"), (collection.Collection, "Collection")])
def test_the_reference_gives_every_method_with_its_arguments(kind: type, heading: str):
    calls = _calls(_section(_page("reference/api.md"), heading))
    methods = {name for name in dir(kind) if not name.startswith("_") and inspect.isfunction(getattr(kind, name))}
    assert methods - calls.keys() <= INTERNAL
    assert {name: _arguments(getattr(kind, name)) for name in calls} == calls


@pytest.mark.parametrize("file", pages(), ids=str)
def test_every_file_that_is_named_exists(file: Path):
    named = {code for code in CODE.findall((ROOT / file).read_text(encoding="utf-8")) if PATH.fullmatch(code)}
    assert not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize("folder", ["docs/decisions", "docs"])
def test_an_index_lists_every_page_of_its_folder(folder: str):
    index = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    found = {file.relative_to(ROOT / folder).as_posix() for file in (ROOT / folder).rglob("*.md")} - {"README.md"}
    if folder == "docs":
        found = {name for name in found if not name.startswith("decisions/")}
    assert not {name for name in found if f"({name})" not in index}


@pytest.mark.parametrize(
    ("page", "row", "shown", "actual"),
    [
        ("protocol.md", "payload of one frame", 4 * MIB, frame.FRAME_RAW_BYTES_MAX),
        ("protocol.md", "payload bytes per body byte", 1_000, frame.EXPANSION_MAX),
        ("protocol.md", "payload of one message", 32 * MIB, wire.MESSAGE_BYTES_MAX),
        ("protocol.md", "records in a batch", 10_000, delta.BATCH_RECORDS_MAX),
        ("protocol.md", "keys, documents and cells of a batch", 24 * MIB, delta.BATCH_BYTES_MAX),
        ("protocol.md", "one table of a batch", 4 * MIB, batch.TABLE_BYTES_MAX),
        ("protocol.md", "entries of a vector", 100_000, encoding.ENTRIES_MAX),
        ("protocol.md", "collection, label", 512, batch.NAME_BYTES_MAX),
        ("protocol.md", "packed cells of one record", 4 * MIB, packing.CELLS_BYTES_MAX),
        ("protocol.md", "nesting of a document", 64, documents.DEPTH_MAX),
        ("protocol.md", "features, priority classes", 256, wire.FEATURES_MAX),
        ("protocol.md", "ranges that are asked", 256, ranges.SPANS_MAX),
        ("protocol.md", "parts of ranges", 16_384, ranges.PARTS_MAX),
        ("protocol.md", "records of a range", 512, ranges.LISTED_MAX),
        ("protocol.md", "ticket", 256, wire.TICKET_BYTES_MAX),
        ("protocol.md", "each text of a refusal", 64 * KIB, wire.REASON_BYTES_MAX),
        ("protocol.md", "sent by an initiator", 8 * MIB, session.PUSH_BYTES_MAX),
        ("protocol.md", "answered by a responder", 64 * MIB, answering.ANSWER_BYTES_MAX),
        ("reference/limits.md", "record in a `put`", 512 * KIB, documents.RECORD_BYTES_MAX),
        ("reference/limits.md", "record with all its siblings", 2 * MIB, documents.RECORD_BYTES_MAX * 4),
        ("reference/limits.md", "declared fields of one", 1_000, schema.COLUMNS_MAX),
        ("reference/limits.md", "author of a write", 512, arguments.AUTHOR_BYTES_MAX),
        ("reference/limits.md", "note of a write", 16 * KIB, arguments.NOTE_BYTES_MAX),
        ("reference/limits.md", "operations of one transaction", 10_000, delta.BATCH_RECORDS_MAX),
        ("reference/limits.md", "keys and values of one transaction", 16 * MIB, write.TRANSACTION_BYTES_MAX),
        ("reference/limits.md", "reading connections", 3, readers.READERS_MAX),
        ("reference/limits.md", "writes that share one commit", 256, writer.GROUP_MAX),
        ("reference/limits.md", "write-ahead log", 4_000, connection.CHECKPOINT_PAGES),
        ("reference/limits.md", "how often a read-only", 0.2, node.FOREIGN_POLL_S),
        ("reference/limits.md", "how far ahead a peer", 5, hybrid.DRIFT_MS_MAX / 60_000),
        ("reference/limits.md", "making a connection", 10, http.CONNECT_S_MAX),
        ("reference/limits.md", "standstill in both", 60, http.IDLE_S_MAX),
        ("reference/limits.md", "exchanges in a row without", 3, sync.IDLE_EXCHANGES_MAX),
        ("reference/limits.md", "changes of feeds in one sync", 8, advance.CHANGES_MAX),
        ("reference/limits.md", "exchanges of one comparison", 64, comparing.EXCHANGES_MAX),
        ("reference/limits.md", "differing records that", 100_000, comparing.DIFFERING_MAX),
        ("reference/limits.md", "records that are asked for whole", 1_000, comparing.WHOLE_AT_ONCE),
        ("reference/limits.md", "what one repair", 32 * MIB, repair.MENDED_BYTES_MAX),
        ("reference/limits.md", "differing records of each kind", 1_000, comparing.NAMED_MAX),
        ("reference/limits.md", "lost records that", 1_000, salvage.NAMED_MAX),
        ("reference/limits.md", "from the first packet", 10, hub.Limits().authenticate_s),
        ("reference/limits.md", "connections in that phase", 512, hub.Limits().waiting_max),
        ("reference/limits.md", "exchanges at once", 256, hub.Limits().exchanges_max),
        ("reference/limits.md", "body of one request", GIB, hub.Limits().request_bytes_max),
        ("reference/limits.md", "standstill of a body", 60, hub.Limits().idle_s),
        ("reference/limits.md", "average of a body", 64, hub.Limits().body_bytes_per_s_min),
        ("reference/limits.md", "running exchanges when", 10, hub.Limits().drain_s),
        ("reference/limits.md", "kinds of failures", 500, repeats.KINDS_MAX),
        ("reference/limits.md", "how often a failure", 60, repeats.REPORT_S),
        ("reference/api.md", "`async for page in pages", 1_000, collection.PAGE_RECORDS),
    ],
)
def test_a_limit_is_the_number_of_the_code(page: str, row: str, shown: float, actual: float):
    (line,) = [line for line in _page(page).splitlines() if line.startswith(f"| {row}")]
    assert shown == actual
    assert _spelled(shown) & set(re.findall(r"[\d.,]+(?: [KMG]iB)?", line)), line


def _spelled(number: float) -> set[str]:
    units = {
        f"{number // size} {unit}" for unit, size in (("KiB", KIB), ("MiB", MIB), ("GiB", GIB)) if not number % size
    }
    return {f"{number:,}", str(number), *units}


def test_architecture_names_every_folder_of_the_source_and_every_package_of_the_simulation():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    folders = [link.name for link in (ROOT / "src" / "holdfast").iterdir() if link.is_symlink()]
    packages = [found.parent.name for found in (ROOT / "simulation").glob("*/__init__.py")]
    assert "simulation" in folders
    assert "checkers" in packages
    assert not [name for name in (*folders, *packages) if f"| `{name}/` |" not in text]


def test_the_limits_of_users_code_in_simulations_are_those_of_the_code():
    text = (ROOT / "docs" / "reference" / "simulation.md").read_text(encoding="utf-8")
    assert f"| a step of your code | {2 * PATIENCE_S:g} s of processor time |" in text
    assert f"| steps without time passing | {BUSY_STEPS_MAX:,} |" in text
    assert f"| a program after it was cancelled | {ENDING_S} virtual seconds |" in text
    assert f"| seeds at once | {SEEDS_AT_ONCE_MAX:,}; with" in text
    assert all(f"`{condition}`" in text for condition in CONDITIONS)
