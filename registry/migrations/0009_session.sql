-- Sessions of signed-in users. Of the token only the hash is here.
CREATE TABLE sys_session (
  id TEXT PRIMARY KEY NOT NULL
    CHECK (length(id) = 36 AND id NOT GLOB '*[^0-9a-f-]*' AND id GLOB '????????-????-????-????-????????????'
           AND id <> '00000000-0000-0000-0000-000000000000'),
  -- Lower-case hex SHA-256 of the token.
  token_hash TEXT NOT NULL UNIQUE CHECK (length(token_hash) = 64 AND token_hash NOT GLOB '*[^0-9a-f]*'),
  user_id    TEXT NOT NULL CHECK (length(user_id) BETWEEN 1 AND 255),
  -- The environment decides; the organization alone means its default environment.
  active_organization_id TEXT REFERENCES sys_organization (id),
  active_environment_id  TEXT REFERENCES sys_environment (id),
  expires_at TEXT NOT NULL
    CHECK (expires_at GLOB '????-??-??T??:??:??*Z' AND julianday(expires_at) IS NOT NULL),
  revoked_at TEXT
    CHECK (revoked_at IS NULL
           OR revoked_at GLOB '????-??-??T??:??:??*Z' AND julianday(revoked_at) IS NOT NULL),
  -- When and how the user signed in, for tenants that demand it.
  authenticated_at TEXT
    CHECK (authenticated_at IS NULL
           OR authenticated_at GLOB '????-??-??T??:??:??*Z' AND julianday(authenticated_at) IS NOT NULL),
  mfa INTEGER NOT NULL DEFAULT 0 CHECK (mfa IN (0, 1)),
  sso INTEGER NOT NULL DEFAULT 0 CHECK (sso IN (0, 1)),
  ip_address TEXT CHECK (length(ip_address) BETWEEN 1 AND 63),
  user_agent TEXT CHECK (length(user_agent) BETWEEN 1 AND 1000),
  version    INTEGER NOT NULL DEFAULT 1,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE INDEX sys_session_user ON sys_session (user_id);

CREATE INDEX sys_session_expires ON sys_session (expires_at);

CREATE INDEX sys_session_organization ON sys_session (active_organization_id) WHERE active_organization_id IS NOT NULL;

CREATE INDEX sys_session_environment ON sys_session (active_environment_id) WHERE active_environment_id IS NOT NULL;

-- Any writer's update counts, so that a version once read proves that nothing changed since.
CREATE TRIGGER sys_session_version AFTER UPDATE ON sys_session
  WHEN NEW.version = OLD.version
BEGIN
  UPDATE sys_session SET version = OLD.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
   WHERE id = NEW.id;
END;

-- A new session changes no answer that a gateway remembers for long, and there are many: an insert writes no row.
-- REPLACE removes what stands in its way without telling the delete trigger.
CREATE TRIGGER sys_session_change_replace BEFORE INSERT ON sys_session
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'session', o.active_organization_id, o.active_environment_id, o.token_hash
    FROM sys_session o
   WHERE o.id = NEW.id OR o.token_hash = NEW.token_hash;
END;

CREATE TRIGGER sys_session_change_update AFTER UPDATE ON sys_session
  WHEN (NEW.id, NEW.token_hash, NEW.user_id, NEW.active_organization_id, NEW.active_environment_id, NEW.expires_at,
        NEW.revoked_at, NEW.authenticated_at, NEW.mfa, NEW.sso)
       IS NOT
       (OLD.id, OLD.token_hash, OLD.user_id, OLD.active_organization_id, OLD.active_environment_id, OLD.expires_at,
        OLD.revoked_at, OLD.authenticated_at, OLD.mfa, OLD.sso)
       AND NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'session', OLD.active_organization_id, OLD.active_environment_id, OLD.token_hash
   WHERE (NEW.token_hash, NEW.active_organization_id, NEW.active_environment_id)
         IS NOT (OLD.token_hash, OLD.active_organization_id, OLD.active_environment_id);
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('session', NEW.active_organization_id, NEW.active_environment_id, NEW.token_hash);
END;

CREATE TRIGGER sys_session_change_delete AFTER DELETE ON sys_session
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('session', OLD.active_organization_id, OLD.active_environment_id, OLD.token_hash);
END;

CREATE TRIGGER sys_organization_cascade_session AFTER DELETE ON sys_organization
BEGIN
  UPDATE sys_session SET active_organization_id = NULL WHERE active_organization_id = OLD.id;
END;

CREATE TRIGGER sys_environment_cascade_session BEFORE DELETE ON sys_environment
BEGIN
  UPDATE sys_session SET active_environment_id = NULL WHERE active_environment_id = OLD.id;
END;
