-- Switches: what an identity has beside its key, what waits and until when, and who objects to what.

ALTER TABLE event ADD COLUMN kind INTEGER;
ALTER TABLE identity ADD COLUMN details BLOB;
ALTER TABLE identity ADD COLUMN pending BLOB;
ALTER TABLE identity ADD COLUMN due_ms INTEGER;

CREATE TABLE proposal (
    intent     BLOB PRIMARY KEY CHECK (length(intent) = 32),
    uid        TEXT NOT NULL,
    leaf_index INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Partial, so that enrolling and renewing pay nothing for them.
CREATE INDEX event_installation ON event (leaf_index) WHERE uid IS NULL AND kind IS NOT NULL;
CREATE INDEX event_moved ON event (leaf_index) WHERE kind IN (5, 6, 9, 13, 14, 15);
CREATE INDEX identity_pending ON identity (uid) WHERE pending IS NOT NULL;
CREATE INDEX identity_due ON identity (due_ms, uid) WHERE due_ms IS NOT NULL;
