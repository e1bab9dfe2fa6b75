-- Co-signatures: who vouched for which checkpoint, and when by that one's own clock. The note stands
-- with them, for most checkpoints are not kept.

CREATE TABLE cosignature (
    cosigner    BYTEA NOT NULL CHECK (length(cosigner) = 32),
    size        BIGINT NOT NULL,
    note        TEXT COLLATE "C" NOT NULL,
    first_line  TEXT COLLATE "C" NOT NULL,
    first_s     BIGINT NOT NULL,
    latest_line TEXT COLLATE "C" NOT NULL,
    latest_s    BIGINT NOT NULL,
    kept        BIGINT NOT NULL,
    PRIMARY KEY (cosigner, size)
);

CREATE INDEX cosignature_passing ON cosignature (size) WHERE kept = 0;
