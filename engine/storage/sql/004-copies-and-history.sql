-- Format 4: a copy that Holdfast has made knows that it is one, so that it never passes for the file it was made of.
ALTER TABLE node ADD COLUMN copied TEXT;  -- JSON: name, note, made_ms, by what; NULL in a file that nodes write to

-- With them the log tells how a record read before each change (engine/turns.py).
ALTER TABLE log ADD COLUMN added TEXT;    -- JSON list of the fields that it did not have; NULL for none
ALTER TABLE log ADD COLUMN was INTEGER;   -- 0: there was no such record, 1: it is gone; NULL: neither

UPDATE log SET was = 1 WHERE kind = 3;
UPDATE log SET was = 0 WHERE id IN (SELECT min(id) FROM log GROUP BY record);

-- When what came from peers came: local operations say it by their clocks.
CREATE TABLE arrival (
    lsn INTEGER PRIMARY KEY,
    ms  INTEGER NOT NULL                  -- wall clock of this node, milliseconds since 1970
) STRICT;
