-- Format 5: deleted records go for good, and the file knows who takes part in its space (decision 0025).

-- What is forgotten here, and who decides that more may be: one row.
CREATE TABLE purging (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    fence     BLOB    NOT NULL,                 -- encoded version vector: what was dead up to here may be gone
    horizon   BLOB    NOT NULL,                 -- of what is absent here, anything up to here may have been forgotten
    judged    INTEGER NOT NULL,                 -- dead records up to this lsn cannot go under the present fence
    mark      BLOB,                             -- becomes the fence when every counted member covers it; NULL: no mark
    marked_ms INTEGER,
    purged_ms INTEGER,                          -- when the fence last rose here
    term      INTEGER NOT NULL CHECK (term >= 0),    -- 0: nobody purges
    number    INTEGER NOT NULL CHECK (number >= 0),  -- of the decision within its term
    authority TEXT    NOT NULL,                 -- the identity that purges; '' if nobody does
    handing   INTEGER NOT NULL CHECK (handing IN (0, 1))  -- 1: it is to be told who takes part, by this node
) STRICT;
INSERT INTO purging (id, fence, horizon, judged, term, number, authority, handing) VALUES (1, x'0100', x'0100', 0, 0, 0, '', 0);

-- Who takes part in the space, as far as this node knows: whom it met, and what the authority before it knew.
CREATE TABLE member (
    actor    TEXT    PRIMARY KEY,               -- identity
    label    TEXT    NOT NULL,
    heard_ms INTEGER NOT NULL,                  -- when this node last met it, or was told of it
    marked   INTEGER NOT NULL CHECK (marked IN (0, 1)),  -- 1: known to cover the present mark
    out_ms   INTEGER,                           -- since when it is left out of stability; NULL: it counts
    out_at   BLOB                               -- fingerprint of the vector that it was known to have then
) STRICT, WITHOUT ROWID;

-- Sets of operations, as ranges, that records which came back had forgotten: returns of one session share one row.
CREATE TABLE forgotten (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    ranges BLOB    NOT NULL UNIQUE
) STRICT;

-- Records that the absence of a peer has emptied while they carried an extra context: it stands until the vector covers
-- it, or a record takes the place.
CREATE TABLE stub (
    collection INTEGER NOT NULL REFERENCES collection (id),
    key        TEXT    NOT NULL,
    context    INTEGER NOT NULL,                -- extra context, unsettled
    PRIMARY KEY (collection, key)
) STRICT, WITHOUT ROWID;

-- What history shows of records that are gone for good, for as long as the log tells of them.
CREATE TABLE buried (
    id         INTEGER PRIMARY KEY,             -- the number that the record had
    collection INTEGER NOT NULL REFERENCES collection (id),
    key        TEXT    NOT NULL,
    doc        TEXT    NOT NULL                 -- what it read like when it was deleted
) STRICT;
CREATE INDEX buried_key ON buried (collection, key);

-- Every record that the log may tell of.
CREATE VIEW place (id, collection, key, live, doc) AS
    SELECT id, collection, key, live, doc FROM record
    UNION ALL SELECT id, collection, key, 0, doc FROM buried;

-- NULL: an ordinary record. Else it came back from being forgotten: a row of `forgotten`.
ALTER TABLE record ADD COLUMN returned INTEGER;
CREATE INDEX record_returned ON record (returned) WHERE returned IS NOT NULL;
-- What may be dropped is found without a scan.
CREATE INDEX record_dead ON record (lsn) WHERE live = 0;
-- What could not be dropped because of its extra context is found when that settles.
CREATE INDEX record_waiting ON record (extra) WHERE live = 0 AND extra IS NOT NULL;

-- Retention of the log, and erasure (decision 0032).

ALTER TABLE node ADD COLUMN retention TEXT;                         -- JSON; NULL: the default
ALTER TABLE node ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;     -- log rows up to this id are counted in `retained`
ALTER TABLE node ADD COLUMN undated INTEGER NOT NULL DEFAULT 0;     -- rows of `arrival` up to this lsn are gone,
ALTER TABLE node ADD COLUMN undated_ms INTEGER NOT NULL DEFAULT 0;  -- and the latest time that they said
-- What the file may still hold of erased values: 1 its write-ahead log, 2 its free pages (an older version wrote it).
ALTER TABLE node ADD COLUMN traces INTEGER NOT NULL DEFAULT 0;
UPDATE node SET traces = 2;

-- A row of the log of which only what names are followed by is left: 1 until a peer has stored the operation, 2 for good.
ALTER TABLE log ADD COLUMN stub INTEGER;
CREATE INDEX log_stub ON log (lsn) WHERE stub = 1;

-- How much of the log of each collection is kept.
CREATE TABLE retained (
    collection INTEGER PRIMARY KEY REFERENCES collection (id),
    retention  TEXT,                           -- JSON of what was declared for it; NULL: that of the file
    floor      INTEGER NOT NULL DEFAULT 0,     -- the last lsn of which a row is gone
    floor_ms   INTEGER NOT NULL DEFAULT 0,     -- the latest time of an own operation of which the row is gone
    position   INTEGER NOT NULL DEFAULT 0,     -- its log rows up to this id are gone, or stubs
    newest     INTEGER NOT NULL DEFAULT 0,     -- the highest number of a record of which a row is gone
    entries    INTEGER NOT NULL DEFAULT 0,     -- its log rows that are counted and stand whole,
    size       INTEGER NOT NULL DEFAULT 0      -- and their bytes
) STRICT;

-- Of the own identities: the first and the last operation of which the log row is gone.
CREATE TABLE trimmed (
    actor INTEGER PRIMARY KEY REFERENCES actor (id),
    first INTEGER NOT NULL,
    seen  INTEGER REFERENCES context (id),     -- what the first had seen
    seq   INTEGER NOT NULL,
    lsn   INTEGER NOT NULL                     -- where the last stood in the feed
) STRICT;

-- What log rows of own operations said of a peer, when they went.
CREATE TABLE stored (
    actor INTEGER NOT NULL REFERENCES actor (id),
    peer  TEXT    NOT NULL,
    seq   INTEGER NOT NULL,                    -- the last operation that the peer had stored, of those that went
    lsn   INTEGER NOT NULL,                    -- and where that stood in the feed
    at    INTEGER NOT NULL,                    -- this operation, at most the next one,
    seen  INTEGER REFERENCES context (id),     -- had seen this
    PRIMARY KEY (actor, peer)
) STRICT, WITHOUT ROWID;

-- Erasures whose own operations the vector does not cover yet: the history is cleared once more when it does.
CREATE TABLE erasing (
    id         INTEGER PRIMARY KEY,
    collection TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    fields     TEXT,                           -- JSON list of names; NULL: the whole record
    node       INTEGER NOT NULL REFERENCES actor (id),  -- the operation that entered it in the register
    seq        INTEGER NOT NULL
) STRICT;
