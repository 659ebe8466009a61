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
