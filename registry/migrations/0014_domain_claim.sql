-- Claims to host names that nobody has proved yet. Whoever writes a name down first need not own it, so each tenant has a
-- claim and a token of its own, and none keeps a name from its owner: the first proof gets the row in sys_domain and ends
-- all claims.
CREATE TABLE sys_domain_claim (
  hostname TEXT NOT NULL
    CHECK (length(hostname) BETWEEN 1 AND 253 AND hostname NOT GLOB '*[^a-z0-9.-]*' AND hostname NOT GLOB '[.-]*'
           AND hostname NOT GLOB '*[.-]' AND hostname NOT GLOB '*..*'),
  environment_id TEXT NOT NULL REFERENCES sys_environment (id),
  -- What the owner shall publish. It is no secret: it is meant to be seen by everybody.
  token TEXT NOT NULL CHECK (length(token) BETWEEN 22 AND 255),
  -- When it was last looked for, how often, and what was found instead.
  checked_at TEXT
    CHECK (checked_at IS NULL
           OR checked_at GLOB '????-??-??T??:??:??*Z' AND julianday(checked_at) IS NOT NULL),
  checks  INTEGER NOT NULL DEFAULT 0 CHECK (checks >= 0),
  failure TEXT CHECK (length(failure) BETWEEN 1 AND 300),
  -- NULL: it is not looked for any more.
  next_check_at TEXT
    CHECK (next_check_at IS NULL
           OR next_check_at GLOB '????-??-??T??:??:??*Z' AND julianday(next_check_at) IS NOT NULL),
  expires_at TEXT NOT NULL
    CHECK (expires_at GLOB '????-??-??T??:??:??*Z' AND julianday(expires_at) IS NOT NULL),
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  PRIMARY KEY (hostname, environment_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sys_domain_claim_environment ON sys_domain_claim (environment_id);

CREATE INDEX sys_domain_claim_due ON sys_domain_claim (next_check_at) WHERE next_check_at IS NOT NULL;

-- However a name came to be verified (by proof, by an import, by plain SQL), nobody else can prove it any more.
CREATE TRIGGER sys_domain_claim_end_insert AFTER INSERT ON sys_domain
  WHEN NEW.verified_at IS NOT NULL
BEGIN
  DELETE FROM sys_domain_claim WHERE hostname = NEW.hostname;
END;

CREATE TRIGGER sys_domain_claim_end_update AFTER UPDATE ON sys_domain
  WHEN NEW.verified_at IS NOT NULL
BEGIN
  DELETE FROM sys_domain_claim WHERE hostname = NEW.hostname;
END;

CREATE TRIGGER sys_environment_cascade_domain_claim BEFORE DELETE ON sys_environment
BEGIN
  DELETE FROM sys_domain_claim WHERE environment_id = OLD.id;
END;
