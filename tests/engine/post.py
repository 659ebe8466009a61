"""What travels between the nodes of a fleet: batches of a session, with what their sender knew, and their accidents."""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.clocks import VersionVector
from holdfast.engine.delta import FeedBatch
from holdfast.engine.documents import compose, split
from holdfast.engine.packing import pack, unpack

from .member import Member
from .oracle import Known, Place

GARBAGE = b"\xc1"
"""The one byte that msgpack never uses."""


@dataclass(slots=True)
class Session:
    """One inbound session: how far it has read, what the reader held when it began, and what is under way.

    `unbroken`: every batch so far has moved the checkpoint.
    """

    reader: Member
    source: Member
    at: int
    held: VersionVector
    records_max: int
    over: bool = False
    unbroken: bool = True
    waiting: Letter | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A batch under way, with what its sender knew when it was read."""

    session: Session
    batch: FeedBatch
    sent: Known
    spoiled: Place | None = None

    @property
    def places(self) -> list[Place]:
        delta = self.batch.delta
        return [(delta.collections[c], key) for c, key in zip(delta.collection, delta.key, strict=True)]

    def __str__(self) -> str:
        session, batch = self.session, self.batch
        end = f"{batch.start}..{batch.end}{' drained' if batch.drained else ''}"
        return f"{session.reader.name} < {session.source.name} {end} {self.places}"


def check_feed(letter: Letter) -> None:
    """Records come in the order of their lsn, and a batch that calls itself drained leaves nothing behind."""
    batch, connection = letter.batch, letter.session.source.connection
    query = (
        "SELECT c.name, r.key, r.lsn FROM record r JOIN collection c ON c.id = r.collection WHERE lsn > ?"
        " ORDER BY lsn, r.id"
    )
    behind = {(name, key): lsn for name, key, lsn in connection.execute(query, (batch.start,))}
    lsns = [behind[place] for place in letter.places]
    assert lsns == sorted(lsns), "a batch is not in feed order"
    assert all(lsn <= batch.end for lsn in lsns), "a batch names an end that it does not reach"
    assert batch.drained or batch.end in behind.values(), "a batch ends inside a transaction"
    assert not batch.drained or batch.end >= max(behind.values(), default=0), "drained too early"


def shortened(letter: Letter) -> Letter:
    """The batch with all values left out that the sender has taken in: the reader was believed to know too much."""
    batch = letter.batch
    actors = dict(enumerate(batch.delta.actors))
    numbers = {actor: number for number, actor in actors.items()}
    doc, cells = list(batch.delta.doc), {}
    for at, packed in batch.delta.cells.items():
        record = unpack(split(doc[at]), packed, actors)
        values, cells[at] = pack(record, numbers.__getitem__, batch.vector)
        doc[at] = compose(values)
    return replace(letter, batch=replace(batch, delta=replace(batch.delta, cells=cells, doc=doc)))


def spoiled(letter: Letter, at: int) -> Letter:
    """The batch with one record that cannot be read."""
    delta = letter.batch.delta
    if at in delta.cells:
        delta = replace(delta, cells={**delta.cells, at: GARBAGE})
    else:
        delta = replace(delta, doc=[*delta.doc[:at], '{"a":', *delta.doc[at + 1 :]])
    return replace(letter, batch=replace(letter.batch, delta=delta), spoiled=letter.places[at])
