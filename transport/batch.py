"""The batch on the wire: the columns of a delta as items of a payload.

Knows the shape of a delta and nothing of frames or storage. Invariant: a batch that was read keeps every promise of
`Delta` (equal lengths, indexes within their tables, no record twice), so the engine need not check them again. What
stands *inside* documents and cells is opaque here: a bad one must cost one record and not the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Final

from holdfast.clocks import SEQ_MAX, Actor, DotRanges, VersionVector
from holdfast.clocks.identity import ACTOR_BYTES
from holdfast.clocks.vector import FINGERPRINT_BYTES
from holdfast.engine.delta import (
    BATCH_BYTES_MAX,
    BATCH_RECORDS_MAX,
    FEED_BYTES,
    STRETCH_BYTES,
    Delta,
    FeedId,
    StretchId,
)
from holdfast.engine.documents import KEY_BYTES_MAX
from holdfast.engine.packing import FLAGS_MAX

from .columns import (
    pack_blobs,
    pack_integers,
    pack_steps,
    pack_texts,
    read_blobs,
    read_integers,
    read_steps,
    read_texts,
)
from .messages import Batch, VectorNote, VectorPatch
from .payload import PayloadReader, Scalar

NAME_BYTES_MAX: Final = 512
"""Bytes of a collection's name, a label or a feature's name."""

KEY_BYTES: Final = range(1, KEY_BYTES_MAX + 1)
"""Bytes that a key may have."""

TABLE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Bytes of one table or vector: the vector of 100,000 actors is about 2 MB."""

TABLE_ENTRIES_MAX: Final = 100_000
"""Entries of one table: as many as a version vector may have."""


def batch_items(batch: Batch) -> Iterator[Scalar]:
    """Yield the items that carry `batch`."""
    delta = batch.delta
    assert len(delta) <= BATCH_RECORDS_MAX, f"a batch of {len(delta)} records"
    yield from (bytes.fromhex(batch.feed), batch.start, batch.end, batch.drained, *vector_items(batch.vector))
    yield from _table_items(delta)
    yield from (len(delta), pack_integers(delta.collection), *pack_texts(delta.key))
    yield from _dot_items(delta)
    yield from pack_texts(delta.doc)
    rows = sorted(delta.cells)
    yield from (len(rows), *pack_steps(rows), *pack_blobs(list(map(delta.cells.__getitem__, rows))))
    rows = sorted(delta.extra)
    yield from (len(rows), *pack_steps(rows), pack_integers(list(map(delta.extra.__getitem__, rows))))
    rows = sorted(delta.returned)
    yield from (len(delta.forgotten), *pack_blobs(list(map(DotRanges.encode, delta.forgotten))))
    yield from (len(rows), *pack_steps(rows), pack_integers(list(map(delta.returned.__getitem__, rows))))
    yield from (batch.start_stretch, batch.end_stretch)
    yield from (patch_item(batch.fence), patch_item(batch.horizon))


def read_batch(reader: PayloadReader) -> Batch:
    """Read what `batch_items` wrote.

    Raises:
        MalformedMessage: an item is missing, of another type, out of range or contradicts another.
        MalformedVector: a version vector cannot be decoded.
    """
    # Fields are read in the order of the arguments, which is the order of the items.
    return Batch(
        feed=FeedId(reader.fixed("feed", FEED_BYTES).hex()),
        start=reader.integer("start"),
        end=reader.integer("end"),
        drained=reader.boolean("drained"),
        vector=read_vector(reader, "vector"),
        delta=_read_delta(reader),
        start_stretch=read_stretch(reader, "start_stretch"),
        end_stretch=read_stretch(reader, "end_stretch"),
        fence=read_patch(reader, "fence"),
        horizon=read_patch(reader, "horizon"),
    )


def read_stretch(reader: PayloadReader, name: str) -> StretchId:
    """Read the id of a stretch."""
    return StretchId(reader.fixed(name, 0, STRETCH_BYTES))


def vector_items(note: VectorNote) -> tuple[Scalar, Scalar]:
    """Return the items that carry `note`."""
    return note.base, note.entries.encode()


def read_vector(reader: PayloadReader, name: str) -> VectorNote:
    """Read what `vector_items` wrote."""
    base = reader.fixed(f"{name}.base", 0, FINGERPRINT_BYTES)
    return VectorNote(base, VersionVector.decode(reader.blob(f"{name}.entries", TABLE_BYTES_MAX)))


def patch_item(patch: VectorPatch) -> Scalar:
    """Return the item that carries `patch`."""
    return b"" if patch.entries is None else patch.entries.encode()


def read_patch(reader: PayloadReader, name: str) -> VectorPatch:
    """Read what `patch_item` wrote."""
    data = reader.blob(name, TABLE_BYTES_MAX)
    return VectorPatch(VersionVector.decode(data) if data else None)


def _table_items(delta: Delta) -> Iterator[Scalar]:
    yield bytes.fromhex("".join(delta.actors))
    yield from pack_texts(delta.labels)
    yield from (len(delta.collections), *pack_texts(delta.collections))
    yield from (len(delta.contexts), *pack_blobs(list(map(VersionVector.encode, delta.contexts))))


def _dot_items(delta: Delta) -> Iterator[Scalar]:
    """Yield the actors of all records, and sequence numbers, clocks and flags of those that name their only dot."""
    yield pack_integers(delta.actor)
    # The zeros of the others would break the runs of small steps.
    dotted = list(map((0).__le__, delta.actor))
    yield from pack_steps(list(compress(delta.seq, dotted)))
    yield from pack_steps(list(compress(delta.clock, dotted)))
    yield pack_integers(list(compress(delta.flags, dotted)))


def _read_delta(reader: PayloadReader) -> Delta:
    actors = _read_actors(reader)
    labels = read_texts(reader, "labels", len(actors), TABLE_BYTES_MAX, range(NAME_BYTES_MAX + 1))
    collections = _read_collections(reader)
    contexts = _read_contexts(reader)
    count = reader.integer("count", high=BATCH_RECORDS_MAX)
    collection = read_integers(reader, "collection", count, high=len(collections) - 1)
    key = read_texts(reader, "key", count, count * KEY_BYTES.stop, KEY_BYTES)
    # Distinct keys are the usual case and cheap to see; the pairs decide only where a key repeats.
    if len(set(key)) != count and len(set(zip(collection, key, strict=True))) != count:
        raise reader.error("key", "a record stands in the batch twice")
    actor = read_integers(reader, "actor", count, low=-1, high=len(actors) - 1)
    seq, clock, flags = _read_dots(reader, actor)
    doc = read_texts(reader, "doc", count, BATCH_BYTES_MAX)
    cells = _read_cells(reader, actor)
    extra = _read_places(reader, "extra", count, len(contexts))
    forgotten = _read_forgotten(reader)
    return Delta(
        actors=actors,
        labels=tuple(labels),
        collections=collections,
        contexts=contexts,
        collection=collection,
        key=key,
        actor=actor,
        seq=seq,
        clock=clock,
        flags=flags,
        doc=doc,
        cells=cells,
        extra=extra,
        forgotten=forgotten,
        returned=_read_places(reader, "returned", count, len(forgotten)),
    )


def _read_actors(reader: PayloadReader) -> tuple[Actor, ...]:
    names = reader.blob("actors", TABLE_ENTRIES_MAX * ACTOR_BYTES).hex()
    size = 2 * ACTOR_BYTES
    if len(names) % size:
        raise reader.error("actors", f"must be a multiple of {ACTOR_BYTES} bytes")
    actors = tuple(Actor(names[at : at + size]) for at in range(0, len(names), size))
    if len(set(actors)) != len(actors):
        raise reader.error("actors", "an actor stands in the table twice")
    return actors


def _read_collections(reader: PayloadReader) -> tuple[str, ...]:
    count = reader.integer("collections", high=BATCH_RECORDS_MAX)
    names = tuple(read_texts(reader, "collections", count, TABLE_BYTES_MAX, range(1, NAME_BYTES_MAX + 1)))
    if len(set(names)) != count:
        raise reader.error("collections", "a collection stands in the table twice")
    return names


def _read_contexts(reader: PayloadReader) -> tuple[VersionVector, ...]:
    count = reader.integer("contexts", high=BATCH_RECORDS_MAX)
    return tuple(map(VersionVector.decode, read_blobs(reader, "contexts", count, TABLE_BYTES_MAX)))


def _read_forgotten(reader: PayloadReader) -> tuple[DotRanges, ...]:
    count = reader.integer("forgotten", high=BATCH_RECORDS_MAX)
    return tuple(map(DotRanges.decode, read_blobs(reader, "forgotten", count, TABLE_BYTES_MAX)))


def _read_dots(reader: PayloadReader, actor: list[int]) -> tuple[list[int], list[int], list[int]]:
    """Read sequence numbers, clocks and flags, and put 0 where `actor` says that the cells hold the frontier."""
    count = len(actor) - actor.count(-1)
    seq = read_steps(reader, "seq", count, 1, SEQ_MAX)
    clock = read_steps(reader, "clock", count)
    flags = read_integers(reader, "flags", count, high=FLAGS_MAX)
    if count == len(actor):
        return seq, clock, flags
    return _spread(seq, actor), _spread(clock, actor), _spread(flags, actor)


def _spread(values: Sequence[int], actor: list[int]) -> list[int]:
    following = iter(values)
    return [next(following) if index >= 0 else 0 for index in actor]


def _read_rows(reader: PayloadReader, name: str, records: int) -> list[int]:
    """Read record numbers below `records`, each greater than the one before."""
    count = reader.integer(name, high=records)
    rows = read_steps(reader, name, count, high=records - 1)
    if rows != sorted(set(rows)):
        raise reader.error(name, "record numbers must ascend")
    return rows


def _read_cells(reader: PayloadReader, actor: list[int]) -> dict[int, bytes]:
    rows = _read_rows(reader, "cells", len(actor))
    cells = dict(zip(rows, read_blobs(reader, "cells", len(rows), BATCH_BYTES_MAX), strict=True))
    # Every record has a frontier: in its dot, or in its cells.
    if actor.count(-1) != sum(actor[row] == -1 for row in rows):
        raise reader.error("cells", "a record has neither a dot nor cells")
    return cells


def _read_places(reader: PayloadReader, name: str, records: int, entries: int) -> dict[int, int]:
    """Read record numbers, and for each a place in a table of so many entries."""
    rows = _read_rows(reader, name, records)
    return dict(zip(rows, read_integers(reader, name, len(rows), high=entries - 1), strict=True))
