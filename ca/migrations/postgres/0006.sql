-- Evidence stands with its event, where the log grows: by its hash it had a page of its own for each
-- piece. What was recorded before stays in the table of its name.

ALTER TABLE event ADD COLUMN evidence BYTEA;

-- A key is one identity's ever, and that identity's certificates are few.
DROP INDEX certificate_key;
