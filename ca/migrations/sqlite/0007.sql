-- Co-signatures: who vouched for which checkpoint, and when by that one's own clock. The note stands
-- with them, for most checkpoints are not kept.

CREATE TABLE cosignature (
    cosigner    BLOB NOT NULL CHECK (length(cosigner) = 32),
    size        INTEGER NOT NULL,
    note        TEXT NOT NULL,
    first_line  TEXT NOT NULL,
    first_s     INTEGER NOT NULL,
    latest_line TEXT NOT NULL,
    latest_s    INTEGER NOT NULL,
    kept        INTEGER NOT NULL,
    PRIMARY KEY (cosigner, size)
) STRICT, WITHOUT ROWID;

CREATE INDEX cosignature_passing ON cosignature (size) WHERE kept = 0;
