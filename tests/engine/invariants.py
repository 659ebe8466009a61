"""What must hold of a node after every step of a fleet, and of all nodes in the end: one function per invariant.

Each reads the node's tables and compares them with the oracle; none of them trusts what the engine reported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgpack

from holdfast.clocks import Dot, VersionVector
from holdfast.engine.cells import Record
from holdfast.engine.digest import DIGEST_MASK, cells_digest, plain_digest
from holdfast.engine.storage.rows import COLUMNS, Row
from holdfast.resolvers.values import conflict_id

from .member import Member
from .oracle import Expected, Oracle, Place

_ROWS = f"SELECT {COLUMNS}, c.name, r.key FROM record r JOIN collection c ON c.id = r.collection"

_LEDGER = (
    "SELECT l.id FROM ledger l JOIN record r ON r.id = l.record JOIN collection c ON c.id = r.collection"
    " JOIN actor a ON a.id = l.node WHERE c.name = ? AND r.key = ? AND l.field = ? AND a.actor = ? AND l.seq = ?"
)


def check_member(member: Member, oracle: Oracle) -> None:
    """Everything that must hold at any time."""
    records = {(row[-2], row[-1]): Row._make(row[:-2]) for row in member.connection.execute(_ROWS)}
    known = {place: bits for place, bits in oracle.known[member.name].items() if bits}
    assert records.keys() == known.keys(), "a record is missing or was invented"
    vector, extras = member.vector, _extras(member)
    total = 0
    standing: dict[str, tuple[int, str | None, str]] = {}
    rivals: set[tuple[Place, str, Dot]] = set()
    for place, row in records.items():
        record = row.record(member.store.names)
        expected = oracle.expected(known[place])
        check_record(place, row, record, expected)
        check_context(place, vector, extras.get(row.extra), oracle, known[place])
        total += check_digest(place, row, record)
        for name, kind, dots in expected.conflicts:
            standing[conflict_id(*place, name, dots)] = (row.id, name, kind)
            if name is not None:
                rivals |= {(place, name, dot) for dot in dots}
        assert row.conflicts == len(expected.conflicts), f"{place}: counts {row.conflicts} conflicts"
    check_inbox(member, standing)
    check_quarantine(member, {records[place].id: oracle.expected(bits) for place, bits in known.items()})
    check_ledger(member, oracle, member.rivals - rivals)
    member.rivals = rivals
    (digest,) = member.connection.execute("SELECT digest FROM node").fetchone()
    assert digest == total & DIGEST_MASK, "the space's digest is not the sum of its records'"
    check_vector(vector, oracle, known)
    if not any(row.extra in extras for row in records.values()):
        check_whole(vector, oracle)


def _extras(member: Member) -> dict[int | None, VersionVector]:
    rows = member.connection.execute("SELECT id, vector FROM context WHERE settled = 0")
    return {number: VersionVector.decode(vector) for number, vector in rows}


def check_record(place: Place, row: Row, record: Record, expected: Expected) -> None:
    """Cells are exactly the maximal writes; document and liveness follow from them."""
    assert {dot: life.alive for dot, life in record.existence.items()} == expected.existence, f"{place}: existence"
    cells = {name: {dot: s.value for dot, s in cell.items()} for name, cell in record.cells.items()}
    assert cells == expected.cells, f"{place}: {cells} are not the maximal writes {expected.cells}"
    assert (row.doc, bool(row.live)) == (expected.doc, expected.live), f"{place}: shows {row.doc} live={row.live}"


def check_context(place: Place, vector: VersionVector, extra: VersionVector | None, oracle: Oracle, known: int) -> None:
    """What a record claims to have taken in is what reached it: more would lose writes, less would revive them."""
    claimed = vector.join(extra) if extra else vector
    assert oracle.covered(dict(claimed.items()), place) == known, f"{place}: claims to have taken in what it has not"


def check_vector(vector: VersionVector, oracle: Oracle, known: Mapping[Place, int]) -> None:
    """The vector claims nothing that has not reached the node."""
    everything = 0
    for bits in known.values():
        everything |= bits
    missing = oracle.covered(dict(vector.items())) & ~everything
    assert not missing, f"the vector claims {[op.dot for op in oracle.members_of(missing)]}, which never came"


def check_whole(vector: VersionVector, oracle: Oracle) -> None:
    """A space without extra contexts holds each transaction whole or not at all."""
    covered = oracle.covered(dict(vector.items()))
    for together in oracle.transactions:
        if not together & oracle.lost:
            assert together & covered in (0, together), "a transaction is there in part"


def check_digest(place: Place, row: Row, record: Record) -> int:
    """The stored digest is that of the cells."""
    stamp = record.plain()
    digest = cells_digest(*place, record) if stamp is None else plain_digest(*place, stamp, row.doc)
    assert row.digest == digest, f"{place}: the digest is stale"
    return digest


def check_inbox(member: Member, standing: Mapping[str, tuple[int, str | None, str]]) -> None:
    """The standing rows of the inbox are exactly the conflicts: none missed, none invented."""
    rows = member.connection.execute("SELECT id, record, field, kind FROM conflict WHERE standing = 1")
    found = {number: (record, name, kind) for number, record, name, kind in rows}
    assert found == standing, f"the inbox shows {found}, not {standing}"


def check_quarantine(member: Member, expected: Mapping[int, Expected]) -> None:
    """Exactly the fields of unknown types are in quarantine."""
    rows = member.connection.execute("SELECT record, fields FROM quarantine")
    found = {record: tuple(json.loads(fields)) for record, fields in rows}
    assert found == {record: e.unreadable for record, e in expected.items() if e.unreadable}, "quarantine"


def check_ledger(member: Member, oracle: Oracle, gone: set[tuple[Place, str, Dot]]) -> None:
    """A value that was discarded while it stood in a conflict here is in the ledger."""
    for place, name, dot in gone:
        cell = oracle.expected(oracle.has_read(member.name, place)).cells.get(name, {})
        if oracle.operation(dot).writes[name] not in cell.values():
            found = member.connection.execute(_LEDGER, (*place, name, *dot)).fetchone()
            assert found, f"{place}: the sibling {dot} of {name} was discarded without a trace"


def check_inbox_contents(member: Member) -> None:
    """The inbox keeps the siblings of each row."""
    for number, siblings in member.connection.execute("SELECT id, siblings FROM conflict"):
        assert len(msgpack.unpackb(siblings)) > 1, number


def check_log(member: Member, dots: set[Dot]) -> None:
    """Every own operation has its row in the log."""
    rows = member.connection.execute(
        "SELECT a.actor, l.seq FROM log l JOIN actor a ON a.id = l.node WHERE l.kind < 5 ORDER BY l.id"
    )
    assert {Dot(*row) for row in rows} >= dots, "an operation is not in the log"


def check_contexts(member: Member) -> None:
    """No extra context stands that no record carries, and no hole."""
    carried = {number for (number,) in member.connection.execute("SELECT DISTINCT extra FROM record")}
    assert _extras(member).keys() <= carried, f"{member.name} keeps contexts that no record carries"
    assert not member.connection.execute("SELECT * FROM hole").fetchall(), f"{member.name} keeps a hole"


def check_agreement(members: list[Member], oracle: Oracle) -> None:
    """After healing all nodes are equal, by vector, digest and everything that is known."""
    everything = oracle.everything()
    for member in members:
        assert oracle.known[member.name] == everything, f"{member.name} lacks operations"
        check_member(member, oracle)
        check_inbox_contents(member)
        check_contexts(member)
    assert len({member.vector for member in members}) == 1, "vectors differ"
    digests = {member.connection.execute("SELECT digest FROM node").fetchone() for member in members}
    assert len(digests) == 1, "digests differ"
    if not oracle.taken_back:
        dots = (1 << len(oracle.operations)) - 1
        assert oracle.covered(dict(members[0].vector.items())) == dots, "the vector does not cover every operation"
