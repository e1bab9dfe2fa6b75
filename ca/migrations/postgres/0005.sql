-- Switches: what an identity has beside its key, what waits and until when, and who objects to what.

ALTER TABLE event ADD COLUMN kind BIGINT;
ALTER TABLE identity ADD COLUMN details BYTEA;
ALTER TABLE identity ADD COLUMN pending BYTEA;
ALTER TABLE identity ADD COLUMN due_ms BIGINT;

CREATE TABLE proposal (
    intent     BYTEA PRIMARY KEY CHECK (length(intent) = 32),
    uid        TEXT COLLATE "C" NOT NULL,
    leaf_index BIGINT NOT NULL
);

-- Partial, so that enrolling and renewing pay nothing for them.
CREATE INDEX event_installation ON event (leaf_index) WHERE uid IS NULL AND kind IS NOT NULL;
CREATE INDEX event_moved ON event (leaf_index) WHERE kind IN (5, 6, 9, 13, 14, 15);
CREATE INDEX identity_pending ON identity (uid) WHERE pending IS NOT NULL;
CREATE INDEX identity_due ON identity (due_ms, uid) WHERE due_ms IS NOT NULL;
