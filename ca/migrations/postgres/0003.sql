-- For searches: what expires when, what an issuer made, what was revoked, who is not active. The
-- last two are partial, so that issuing pays nothing for them.

CREATE INDEX certificate_expiry ON certificate (not_after, leaf_index);
CREATE INDEX certificate_issuer ON certificate (issuer, leaf_index);
CREATE INDEX certificate_revocation ON certificate (leaf_index) WHERE revoked_leaf IS NOT NULL;
CREATE INDEX identity_not_active ON identity (uid) WHERE status <> 0;
