"""What a node's file holds, as the harness reads it: cells, vectors, counters, parsed by code of its own.

The only place of the simulation that knows the packed form of cells and the tables (docs/file-format.md); it uses
nothing of the engine's packing, so that a fault there does not hide itself. Invariant: it reports what stands in the
file, also what contradicts itself; judging is left to checkers.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgpack

from holdfast.clocks import Actor, Dot

Place = tuple[str, str]
"""Collection and key."""

REGISTER: Final = 0
EQUIVOCAL: Final = 255
BIRTH, DECISION = 1, 2

_RECORDS: Final = (
    "SELECT r.id, c.name, r.key, r.lsn, r.live, r.node, r.seq, r.clock, r.flags, r.digest, r.conflicts, r.extra,"
    " r.cells, r.doc, r.returned FROM record r JOIN collection c ON c.id = r.collection WHERE r.lsn > ? ORDER BY r.id"
)
_BURIED: Final = "SELECT b.id, c.name, b.key FROM buried b JOIN collection c ON c.id = b.collection"
_STUBS: Final = "SELECT c.name, s.key, s.context FROM stub s JOIN collection c ON c.id = s.collection"
_BORN: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'node'"
_NODE: Final = (
    "SELECT a.actor, n.label, n.seq, n.shared, n.lsn, n.clock, n.digest, n.feed"
    " FROM node n JOIN actor a ON a.id = n.actor"
)


class Name(NamedTuple):
    """An operation by its stamp. Copies of one identity may use one dot twice; their clocks tell them apart.

    Not where both clocks are behind what the file has seen and only count on: their first writes have equal stamps. So
    the record that it was written to belongs to its name.
    """

    actor: Actor
    seq: int
    clock: int
    place: Place = ("", "")

    @property
    def dot(self) -> Dot:
        """The dot."""
        return Dot(self.actor, self.seq)

    def __str__(self) -> str:
        return f"{self.actor[:8]}/{self.actor[16:20]}#{self.seq}"


class Value(NamedTuple):
    """A value as it stands in a cell: its type tag and its JSON text, or the bytes of another type."""

    tag: int
    body: str | bytes

    def __str__(self) -> str:
        return self.body if isinstance(self.body, str) else f"type {self.tag}: {self.body.hex()}"


class UnreadableImageError(Exception):
    """A row that says what no engine could have written; the text says which and why. Internal to the simulation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A record as it stands in a file.

    Attributes:
        existence, cells: The siblings, by the operations that wrote them.
        flags: The flags of each operation that stands here.
        row: Local columns: id, lsn, extra, digest, conflicts.
        doc, live: What readers see.
        frontier: The columns that repeat the frontier: node, seq, clock and flags.
        returned: Whether it came back after it was forgotten: then its frontier does not tell what stands in it.
    """

    number: int
    lsn: int
    extra: int | None
    digest: int
    conflicts: int
    doc: str
    live: bool
    existence: Mapping[Name, bool]
    cells: Mapping[str, Mapping[Name, Value]]
    flags: Mapping[Name, int]
    frontier: tuple[Actor | None, int | None, int, int]
    returned: bool = False

    @property
    def names(self) -> frozenset[Name]:
        """Every operation that is visible here."""
        return frozenset(self.flags)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One row of the operation log."""

    number: int
    lsn: int
    record: int
    kind: int
    dot: Dot
    clock: int


@dataclass(slots=True, kw_only=True)
class Image:
    """A node's file as it was last looked at.

    Attributes:
        actor, label, seq, shared, lsn, clock, digest, feed: The node's row.
        records: Every record.
        places: Which record each number stands for, or stood for when the log told of it.
        vector: The version vector, the own entry included.
        extras: Extra contexts that are not settled, by number.
        fence: What was dead up to here may be gone for good.
        stubs: Places of records that were emptied before their context was settled, and its number.
        log: The number of the last log row that was seen.
        changed: Records that the last look found changed, or gone.
    """

    actor: Actor = Actor("")
    label: str = ""
    seq: int = 0
    shared: int = 0
    lsn: int = -1
    clock: int = 0
    digest: int = 0
    feed: str = ""
    records: dict[Place, Held] = field(default_factory=dict)
    places: dict[int, Place] = field(default_factory=dict)
    vector: dict[Actor, int] = field(default_factory=dict)
    extras: dict[int, dict[Actor, int]] = field(default_factory=dict)
    fence: dict[Actor, int] = field(default_factory=dict)
    stubs: dict[Place, int] = field(default_factory=dict)
    log: int = 0
    changed: frozenset[Place] = frozenset()

    def claimed(self, place: Place) -> dict[Actor, int]:
        """What the node says it has taken in of one record: its vector, and the record's extra context."""
        number = self.records[place].extra if place in self.records else self.stubs.get(place)
        extra = self.extras.get(number or 0, {})
        return {actor: max(self.vector.get(actor, 0), extra.get(actor, 0)) for actor in self.vector.keys() | extra}

    def waiting(self) -> list[Place]:
        """Records that carry an extra context: a session was cut, and they may be parts of transactions."""
        return [place for place, held in self.records.items() if held.extra in self.extras] if self.extras else []


def look(connection: sqlite3.Connection, image: Image, *, everything: bool = False) -> list[LogRow]:
    """Bring the image up to date with the file; gives the log rows that are new.

    Args:
        connection: Any connection; also one inside a transaction, whose changes so far are then seen.
        image: The last look; empty for the first.
        everything: Read every record again, not only those whose lsn says that they changed.

    Raises:
        UnreadableImageError: The file holds what no engine could have written.
    """
    if not image.feed and not connection.execute(_BORN).fetchone():
        return []  # a file that is being made
    row = connection.execute(_NODE).fetchone()
    if row is None:
        return []
    everything = everything or row[4] < image.lsn or row[7] != image.feed
    # Inside a transaction the counters are not stored yet, but the records are: so the highest lsn of records counts.
    since = -1 if everything else max((held.lsn for held in image.records.values()), default=-1)
    image.actor, image.label, image.seq, image.shared, image.lsn, image.clock, image.digest, image.feed = row
    actors = _actors(connection)
    before = image.records if everything else {}
    if everything:
        image.records, image.places = {}, {}
    image.changed = frozenset(_take(image, row, actors) for row in connection.execute(_RECORDS, (since,)).fetchall())
    image.changed |= before.keys() if everything else _leave(connection, image)
    if everything:
        image.places = {number: (name, key) for number, name, key in connection.execute(_BURIED)} | image.places
    image.vector = {actors[number]: seq for number, seq in connection.execute("SELECT actor, seq FROM vector")}
    if image.seq:
        image.vector[image.actor] = image.seq
    _take_extras(connection, image)
    _take_fence(connection, image)
    return _log(connection, image, actors)


def _actors(connection: sqlite3.Connection) -> dict[int, Actor]:
    return {number: Actor(actor) for number, actor in connection.execute("SELECT id, actor FROM actor")}


def _take(image: Image, row: tuple[Any, ...], actors: Mapping[int, Actor]) -> Place:
    number, collection, key = row[:3]
    try:
        held = held_of(row, actors)
    except (ValueError, KeyError, IndexError, TypeError, msgpack.exceptions.UnpackException) as error:
        raise UnreadableImageError(f"{collection}/{key}: {type(error).__name__}: {error}") from error
    place = (collection, key)
    image.records[place] = held
    image.places[number] = place
    return place


def _take_extras(connection: sqlite3.Connection, image: Image) -> None:
    rows = connection.execute("SELECT id, vector FROM context WHERE settled = 0").fetchall()
    if not rows and not image.extras:
        return
    image.extras = {number: vector_of(vector) for number, vector in rows}
    # A session that brings nothing new changes what a record carries, and not its lsn.
    for number, extra in connection.execute("SELECT id, extra FROM record").fetchall():
        place = image.places.get(number)
        if place is not None and image.records[place].extra != extra:
            held = image.records[place]
            image.records[place] = _with_extra(held, extra)
            image.changed |= {place}


def _leave(connection: sqlite3.Connection, image: Image) -> frozenset[Place]:
    """Take out the records that stand there no more; a record that has taken their place was seen to change."""
    if connection.execute("SELECT count(*) FROM record").fetchone() == (len(image.records),):
        return frozenset()
    numbers = {number for (number,) in connection.execute("SELECT id FROM record")}
    gone = frozenset(place for place, held in image.records.items() if held.number not in numbers)
    for place in gone:
        del image.records[place]
    return gone


def _take_fence(connection: sqlite3.Connection, image: Image) -> None:
    (fence,) = connection.execute("SELECT fence FROM purging").fetchone()
    image.fence = vector_of(fence)
    image.stubs = {(name, key): number for name, key, number in connection.execute(_STUBS)} if image.fence else {}


def _with_extra(held: Held, extra: int | None) -> Held:
    values = {name: getattr(held, name) for name in Held.__slots__}
    return Held(**{**values, "extra": extra})


def _log(connection: sqlite3.Connection, image: Image, actors: Mapping[int, Actor]) -> list[LogRow]:
    rows = connection.execute(
        "SELECT id, lsn, record, kind, node, seq, clock FROM log WHERE id > ? ORDER BY id", (image.log,)
    ).fetchall()
    if rows:
        image.log = rows[-1][0]
    return [
        LogRow(number=number, lsn=lsn, record=record, kind=kind, dot=Dot(actors[node], seq), clock=clock)
        for number, lsn, record, kind, node, seq, clock in rows
    ]


def held_of(row: tuple[Any, ...], actors: Mapping[int, Actor]) -> Held:
    """A row of the table `record`, parsed."""
    number, collection, key, lsn, live, node, seq, clock, flags, digest, conflicts, extra, cells, doc, returned = row
    shown = texts_of(doc)
    if cells is None:
        name = Name(actors[node], seq, clock, (collection, key))
        existence = {name: True}
        fields = {field: {name: Value(REGISTER, text)} for field, text in shown.items()}
        marks = {name: flags}
    else:
        existence, fields, marks = cells_of(cells, shown, actors, (collection, key))
    return Held(
        number=number,
        lsn=lsn,
        extra=extra,
        digest=digest,
        conflicts=conflicts,
        doc=doc,
        live=bool(live),
        existence=existence,
        cells=fields,
        flags=marks,
        frontier=(None if node is None else actors[node], seq, clock, flags),
        returned=returned is not None,
    )


def cells_of(
    packed: bytes, shown: Mapping[str, str], actors: Mapping[int, Actor], place: Place
) -> tuple[dict[Name, bool], dict[str, dict[Name, Value]], dict[Name, int]]:
    """Existence, fields and flags of packed cells: ``[shape, actor, seq, clock, flags, actor, ...]``."""
    body, *flat = msgpack.unpackb(packed)
    stamps = [flat[at : at + 4] for at in range(0, len(flat), 4)]
    names = [Name(actors[actor], seq, clock, place) for actor, seq, clock, _ in stamps]
    codes, entries = msgpack.unpackb(body)
    fields = {}
    for field_name, entry in entries.items():
        if isinstance(entry, int):
            fields[field_name] = {names[entry]: Value(REGISTER, shown[field_name])}
        else:
            fields[field_name] = {names[at]: Value(tag, value) for at, tag, value, _ in entry}
    existence = {names[code // 2]: code % 2 == 1 for code in codes}
    used = {*existence, *(name for cell in fields.values() for name in cell)}
    marks = {name: flags for name, (_, _, _, flags) in zip(names, stamps, strict=True)}
    if used != marks.keys():
        raise ValueError("stamps that no cell uses")
    return existence, fields, marks


_LABEL: Final = re.compile(r'"(?:[^"\\]|\\.)*":')


def texts_of(doc: str) -> dict[str, str]:
    """The JSON texts of a document's fields, as they stand in it."""
    decoder, texts, at = json.JSONDecoder(), {}, 1
    while doc[at : at + 1] == '"':
        label = _LABEL.match(doc, at)
        if label is None:
            raise ValueError("a document whose field has no name")
        _, end = decoder.raw_decode(doc, label.end())
        texts[json.loads(label.group()[:-1])] = doc[label.end() : end]
        at = end + 1
    if doc[:1] != "{" or doc[-1:] != "}" or at < len(doc) - (not texts):
        raise ValueError("a document that is no object")
    return texts


def vector_of(encoded: bytes) -> dict[Actor, int]:
    """A version vector from its bytes: format 1, then nodes with their lives, each with a number (varints)."""
    found: dict[Actor, int] = {}
    groups, at = _varint(encoded, 1)
    for _ in range(groups):
        node = encoded[at : at + 8].hex()
        lives, at = _varint(encoded, at + 8)
        for _ in range(lives):
            life = encoded[at : at + 8].hex()
            found[Actor(node + life)], at = _varint(encoded, at + 8)
    if encoded[0] != 1 or at != len(encoded):
        raise UnreadableImageError("a context that is no version vector")
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:  # noqa: PLR2004 - the bit that says more
            return number, at
