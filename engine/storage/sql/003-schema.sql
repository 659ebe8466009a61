-- Format 3 of a Holdfast file. One file holds one replica of one space.
-- Rules for these files: docs/decisions; every table is STRICT, every column that has a unit says so.

-- The node itself: one row. Whatever must change together with the data stands here, so that it changes in the
-- transaction that changes the data.
CREATE TABLE node (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    actor      INTEGER NOT NULL REFERENCES actor (id),  -- the identity that new operations are written under
    label      TEXT    NOT NULL,                        -- human name of the node
    seq        INTEGER NOT NULL CHECK (seq >= 0),       -- last sequence number given under this identity
    shared     INTEGER NOT NULL CHECK (shared >= 0),    -- own operations up to here may have left the node
    lsn        INTEGER NOT NULL CHECK (lsn >= 0),       -- last local sequence number of the feed
    clock      INTEGER NOT NULL CHECK (clock >= 0),     -- hybrid clock: milliseconds since 1970 << 16 | counter
    digest     INTEGER NOT NULL CHECK (digest >= 0),    -- sum of record digests, modulo 2^62
    feed       TEXT    NOT NULL,                        -- id of the feed, new with every incarnation
    space      TEXT    NOT NULL,                        -- id of the space
    space_name TEXT    NOT NULL,
    bond       INTEGER NOT NULL CHECK (bond IN (0, 1, 2)),  -- of the space id: 0 nobody else knows it, 1 nodes that held
                                                         -- nothing agreed on it, 2 it is that of records
    policy     BLOB    NOT NULL                         -- fingerprint of the rules that documents were projected with
) STRICT;

-- The stretches of the feed: what each opening of the file appended to it. A position that a peer names is this file's
-- only if the lsn lies in the stretch that the peer names with it.
CREATE TABLE stretch (
    first INTEGER PRIMARY KEY,      -- the first lsn in it; it ends before the next one
    id    BLOB    NOT NULL          -- random
) STRICT;

-- Other ids that the space has gone by.
CREATE TABLE alias (
    space TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Identities by number: dots at rest name them by `id`.
CREATE TABLE actor (
    id    INTEGER PRIMARY KEY,
    actor TEXT    NOT NULL UNIQUE,  -- 32 hex digits: node id and incarnation
    label TEXT    NOT NULL
) STRICT;

-- The version vector but for the node's own current entry, which is node.seq.
CREATE TABLE vector (
    actor INTEGER PRIMARY KEY REFERENCES actor (id),
    seq   INTEGER NOT NULL CHECK (seq > 0)
) STRICT;

-- Vectors that are referred to: extra contexts of records, contexts of log rows, last known vectors of peers. What nothing
-- refers to any more is deleted. AUTOINCREMENT, because no number may be given twice: records go on naming contexts that
-- were settled and are gone.
CREATE TABLE context (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    vector  BLOB    NOT NULL UNIQUE,                       -- encoded version vector
    settled INTEGER NOT NULL CHECK (settled IN (0, 1)),    -- 1: the node's own vector covers it
    logged  INTEGER NOT NULL CHECK (logged IN (0, 1))      -- 1: a log row refers to it, so it stays
) STRICT;
-- Few rows are ever unsettled; this finds them without a scan.
CREATE INDEX context_unsettled ON context (id) WHERE settled = 0;

CREATE TABLE collection (
    id     INTEGER PRIMARY KEY,
    name   TEXT    NOT NULL UNIQUE,
    schema TEXT                                            -- JSON of the declaration that indexes were built for
) STRICT;

-- The records. A record that one write made whole is plain: node, seq, clock, flags and doc say everything.
-- Any other record has its cells packed in `cells` (format: engine/packing.py).
CREATE TABLE record (
    id         INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL REFERENCES collection (id),
    key        TEXT    NOT NULL,
    lsn        INTEGER NOT NULL,                           -- when it last changed here; a transaction shares one
    live       INTEGER NOT NULL CHECK (live IN (0, 1)),    -- whether readers see it
    node       INTEGER REFERENCES actor (id),              -- the only frontier dot; NULL if there are several
    seq        INTEGER,
    clock      INTEGER NOT NULL,                           -- of the latest frontier dot
    flags      INTEGER NOT NULL,                           -- of that stamp
    digest     INTEGER NOT NULL,                           -- 62 bits over the cells
    conflicts  INTEGER NOT NULL DEFAULT 0,                 -- rows in `conflict` that stand for this state
    extra      INTEGER,                                    -- extra context, void once that row is settled or gone
    cells      BLOB,
    doc        TEXT    NOT NULL CHECK (json_valid(doc))
) STRICT;
CREATE UNIQUE INDEX record_key ON record (collection, key);
-- The feed: sessions and watches read records in this order.
CREATE INDEX record_feed ON record (lsn);

-- The operation log: one row per local operation, one per record that a merge changed.
CREATE TABLE log (
    id      INTEGER PRIMARY KEY,
    lsn     INTEGER NOT NULL,                              -- names the transaction
    record  INTEGER NOT NULL,
    kind    INTEGER NOT NULL,                              -- 1 put, 2 update, 3 delete, 4 decide, 5 merge, 6 reissue
    node    INTEGER,                                       -- the dot; of a merge, the latest frontier dot
    seq     INTEGER,
    clock   INTEGER NOT NULL,
    context INTEGER REFERENCES context (id),               -- what the operation had seen, without its own identity
    author  TEXT,
    note    TEXT,
    old     TEXT                                           -- JSON of what was superseded: field -> value
) STRICT;
CREATE INDEX log_record ON log (record);

-- The conflict inbox. Rows are made by the detector and outlive the conflict.
CREATE TABLE conflict (
    id       TEXT    PRIMARY KEY,                          -- the same on every node
    record   INTEGER NOT NULL,
    field    TEXT,                                         -- NULL: the record's existence
    kind     TEXT    NOT NULL,
    state    TEXT    NOT NULL CHECK (state IN ('open', 'settled', 'decided', 'overwritten')),
    standing INTEGER NOT NULL CHECK (standing IN (0, 1)),  -- 1: the record still holds these siblings
    rule     TEXT    NOT NULL,
    error    TEXT,                                         -- how the resolver failed, or why it deferred
    siblings BLOB    NOT NULL,                             -- msgpack list of versions
    opened   INTEGER NOT NULL,                             -- lsn
    closed   INTEGER,                                      -- lsn
    note     TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX conflict_record ON conflict (record);
CREATE INDEX conflict_state ON conflict (state, opened);

-- The ledger: siblings that a write or a merge discarded.
CREATE TABLE ledger (
    id       INTEGER PRIMARY KEY,
    lsn      INTEGER NOT NULL,
    record   INTEGER NOT NULL,
    field    TEXT    NOT NULL,
    node     INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    clock    INTEGER NOT NULL,
    tag      INTEGER NOT NULL,
    value    ANY,
    reason   TEXT    NOT NULL CHECK (reason IN ('decided', 'overwritten')),
    by_node  INTEGER,                                      -- the dot that discarded it, if there is one
    by_seq   INTEGER
) STRICT;
CREATE INDEX ledger_record ON ledger (record);

-- Records that could not be projected in full: their cells are stored, joined and passed on all the same.
CREATE TABLE quarantine (
    record INTEGER PRIMARY KEY,
    fields TEXT    NOT NULL,                               -- JSON list of field names; empty: the whole record is hidden
    reason TEXT    NOT NULL,
    since  INTEGER NOT NULL                                -- lsn
) STRICT;

-- Records from peers that could not even be joined. While a row stands, no session with that feed completes.
CREATE TABLE hole (
    id         INTEGER PRIMARY KEY,
    feed       TEXT    NOT NULL,
    collection TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    context    INTEGER NOT NULL REFERENCES context (id),   -- what its state at the peer had taken in
    reason     TEXT    NOT NULL,
    since_ms   INTEGER NOT NULL,
    UNIQUE (feed, collection, key)
) STRICT;

-- Names of own former identities that stand for two writes: one of this file, which some peer has stored, and one of a
-- copy, which another peer knows. What arrives under them from the copy gets a name of this node.
CREATE TABLE reused (
    actor INTEGER PRIMARY KEY REFERENCES actor (id),
    low   INTEGER NOT NULL CHECK (low >= 0),               -- names above this
    high  INTEGER NOT NULL CHECK (high > low)              -- up to this
) STRICT;

-- What the version vector claimed before own names were given up: it does so again when the feed of a peer that is not
-- behind it has been read to its end. Until then each record says it for itself.
CREATE TABLE taken_back (
    actor INTEGER PRIMARY KEY REFERENCES actor (id),
    seq   INTEGER NOT NULL CHECK (seq > 0)
) STRICT;

-- What this node knows of each identity it met.
CREATE TABLE peer (
    actor      TEXT    PRIMARY KEY,
    label      TEXT    NOT NULL,
    url        TEXT,
    feed       TEXT    NOT NULL,                           -- the peer's feed
    checkpoint INTEGER NOT NULL,                           -- how far this node has read it
    stretch    BLOB    NOT NULL,                           -- the stretch of it in which that lies
    vector     INTEGER REFERENCES context (id),            -- the peer's vector when it last said it
    acked_feed TEXT    NOT NULL,                           -- the feed of this node that `acked` refers to
    acked      INTEGER NOT NULL,                           -- how far the peer has stored it
    told       INTEGER REFERENCES context (id),            -- our vector as the peer was last told it
    ticket     BLOB    NOT NULL,                           -- from the peer, to show in the next session
    issued     BLOB    NOT NULL,                           -- the last ticket for the peer that it has shown
    pending    BLOB    NOT NULL,                           -- the ticket for the peer that it has not shown yet
    synced_ms  INTEGER,                                    -- when a session with it last completed
    drift_ms   INTEGER NOT NULL                            -- its clock less ours, in the last session
) STRICT, WITHOUT ROWID;

-- Whether a peer or a hole refers to a vector is asked whenever one is replaced.
CREATE INDEX peer_vector ON peer (vector) WHERE vector IS NOT NULL;
CREATE INDEX peer_told ON peer (told) WHERE told IS NOT NULL;
CREATE INDEX hole_context ON hole (context);
