-- Customers' own host names, as in the Host header: lower case, A-labels (RFC 5890), no port, no trailing dot.
CREATE TABLE sys_domain (
  hostname TEXT PRIMARY KEY NOT NULL
    CHECK (length(hostname) BETWEEN 1 AND 253 AND hostname NOT GLOB '*[^a-z0-9.-]*' AND hostname NOT GLOB '[.-]*'
           AND hostname NOT GLOB '*[.-]' AND hostname NOT GLOB '*..*'),
  environment_id TEXT NOT NULL REFERENCES sys_environment (id),
  -- NULL: the name leads nowhere yet, since whoever writes it down first need not own it.
  verified_at TEXT
    CHECK (verified_at IS NULL
           OR verified_at GLOB '????-??-??T??:??:??*Z' AND julianday(verified_at) IS NOT NULL),
  verification_method TEXT
    CHECK (verification_method IN ('dns_txt', 'dns_cname', 'http', 'operator')),
  -- What the owner shall publish, and when it was last looked for.
  verification_token TEXT CHECK (length(verification_token) BETWEEN 1 AND 255),
  checked_at TEXT
    CHECK (checked_at IS NULL
           OR checked_at GLOB '????-??-??T??:??:??*Z' AND julianday(checked_at) IS NOT NULL),
  version    INTEGER NOT NULL DEFAULT 1,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE INDEX sys_domain_environment ON sys_domain (environment_id);

-- Any writer's update counts, so that a version once read proves that nothing changed since.
CREATE TRIGGER sys_domain_version AFTER UPDATE ON sys_domain
  WHEN NEW.version = OLD.version
BEGIN
  UPDATE sys_domain SET version = OLD.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
   WHERE hostname = NEW.hostname;
END;

CREATE TRIGGER sys_domain_change_insert AFTER INSERT ON sys_domain
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'domain', organization_id, id, NEW.hostname FROM sys_environment
   WHERE id = NEW.environment_id;
END;

-- REPLACE removes what stands in its way without telling the delete trigger.
CREATE TRIGGER sys_domain_change_replace BEFORE INSERT ON sys_domain
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'domain', e.organization_id, e.id, o.hostname
    FROM sys_domain o JOIN sys_environment e ON e.id = o.environment_id
   WHERE o.hostname = NEW.hostname AND o.environment_id <> NEW.environment_id;
END;

CREATE TRIGGER sys_domain_change_update AFTER UPDATE ON sys_domain
  WHEN (NEW.hostname, NEW.environment_id, NEW.verified_at)
       IS NOT
       (OLD.hostname, OLD.environment_id, OLD.verified_at)
       AND NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'domain', organization_id, id, OLD.hostname FROM sys_environment
   WHERE id = OLD.environment_id AND (NEW.hostname, NEW.environment_id) IS NOT (OLD.hostname, OLD.environment_id);
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'domain', organization_id, id, NEW.hostname FROM sys_environment
   WHERE id = NEW.environment_id;
END;

CREATE TRIGGER sys_domain_change_delete AFTER DELETE ON sys_domain
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'domain', organization_id, id, OLD.hostname FROM sys_environment
   WHERE id = OLD.environment_id;
END;

CREATE TRIGGER sys_environment_cascade_domain BEFORE DELETE ON sys_environment
BEGIN
  DELETE FROM sys_domain WHERE environment_id = OLD.id;
END;
