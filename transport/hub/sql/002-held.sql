-- Format 2 of hub.db: what nodes sent that the hub holds back, until its operator has looked at it.

CREATE TABLE held (
    space       INTEGER NOT NULL REFERENCES space (id),
    actor       TEXT    NOT NULL,                             -- identity of the node that sent it, hex digits
    label       TEXT    NOT NULL,                             -- how that node calls itself
    reason      TEXT    NOT NULL,                             -- what it would change, in words
    held_ms     INTEGER NOT NULL CHECK (held_ms >= 0),        -- when it came last, milliseconds since 1970
    approved_ms INTEGER CHECK (approved_ms >= 0),             -- when it was approved; NULL while it is held
    PRIMARY KEY (space, actor)
) STRICT, WITHOUT ROWID;
