-- API keys. Of the key itself only the hash is here.
CREATE TABLE sys_api_key (
  id TEXT PRIMARY KEY NOT NULL
    CHECK (length(id) = 36 AND id NOT GLOB '*[^0-9a-f-]*' AND id GLOB '????????-????-????-????-????????????'
           AND id <> '00000000-0000-0000-0000-000000000000'),
  environment_id TEXT NOT NULL REFERENCES sys_environment (id),
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
  -- Lower-case hex SHA-256 of the whole key; and its last characters, for people.
  key_hash TEXT NOT NULL UNIQUE CHECK (length(key_hash) = 64 AND key_hash NOT GLOB '*[^0-9a-f]*'),
  last4    TEXT CHECK (length(last4) = 4),
  -- Whom the key acts as, and with which rights.
  user_id TEXT CHECK (length(user_id) BETWEEN 1 AND 255),
  role TEXT
    CHECK (role IN ('env_admin', 'env_maker', 'env_user', 'env_viewer')),
  scopes TEXT CHECK (scopes IS NULL OR json_valid(scopes) AND json_type(scopes) = 'array'),
  -- The key's own limits, on top of those of its environment and tenant.
  api_rate_limit          INTEGER CHECK (api_rate_limit BETWEEN 1 AND 9007199254740992),
  burst                   INTEGER CHECK (burst BETWEEN 1 AND 9007199254740992),
  max_api_calls_per_day   INTEGER CHECK (max_api_calls_per_day BETWEEN 1 AND 9007199254740992),
  max_api_calls_per_month INTEGER CHECK (max_api_calls_per_month BETWEEN 1 AND 9007199254740992),
  max_concurrent_requests INTEGER CHECK (max_concurrent_requests BETWEEN 1 AND 9007199254740992),
  expires_at TEXT
    CHECK (expires_at IS NULL
           OR expires_at GLOB '????-??-??T??:??:??*Z' AND julianday(expires_at) IS NOT NULL),
  revoked_at TEXT
    CHECK (revoked_at IS NULL
           OR revoked_at GLOB '????-??-??T??:??:??*Z' AND julianday(revoked_at) IS NOT NULL),
  last_used_at TEXT
    CHECK (last_used_at IS NULL
           OR last_used_at GLOB '????-??-??T??:??:??*Z' AND julianday(last_used_at) IS NOT NULL),
  rotated_from TEXT REFERENCES sys_api_key (id) ON DELETE SET NULL,
  created_by   TEXT CHECK (length(created_by) BETWEEN 1 AND 255),
  version    INTEGER NOT NULL DEFAULT 1,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE INDEX sys_api_key_environment ON sys_api_key (environment_id);

CREATE INDEX sys_api_key_rotated_from ON sys_api_key (rotated_from) WHERE rotated_from IS NOT NULL;

-- Any writer's update counts, so that a version once read proves that nothing changed since.
CREATE TRIGGER sys_api_key_version AFTER UPDATE ON sys_api_key
  WHEN NEW.version = OLD.version
BEGIN
  UPDATE sys_api_key SET version = OLD.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
   WHERE id = NEW.id;
END;

CREATE TRIGGER sys_api_key_change_insert AFTER INSERT ON sys_api_key
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'api_key', organization_id, id, NEW.key_hash FROM sys_environment
   WHERE id = NEW.environment_id;
END;

-- REPLACE removes what stands in its way without telling the delete trigger.
CREATE TRIGGER sys_api_key_change_replace BEFORE INSERT ON sys_api_key
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'api_key', e.organization_id, e.id, o.key_hash
    FROM sys_api_key o JOIN sys_environment e ON e.id = o.environment_id
   WHERE (o.id = NEW.id OR o.key_hash = NEW.key_hash)
         AND (o.environment_id, o.key_hash) IS NOT (NEW.environment_id, NEW.key_hash);
END;

CREATE TRIGGER sys_api_key_change_update AFTER UPDATE ON sys_api_key
  WHEN (NEW.id, NEW.environment_id, NEW.key_hash, NEW.user_id, NEW.role, NEW.scopes, NEW.api_rate_limit, NEW.burst,
        NEW.max_api_calls_per_day, NEW.max_api_calls_per_month, NEW.max_concurrent_requests, NEW.expires_at,
        NEW.revoked_at)
       IS NOT
       (OLD.id, OLD.environment_id, OLD.key_hash, OLD.user_id, OLD.role, OLD.scopes, OLD.api_rate_limit, OLD.burst,
        OLD.max_api_calls_per_day, OLD.max_api_calls_per_month, OLD.max_concurrent_requests, OLD.expires_at,
        OLD.revoked_at)
       AND NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'api_key', organization_id, id, OLD.key_hash FROM sys_environment
   WHERE id = OLD.environment_id AND (NEW.environment_id, NEW.key_hash) IS NOT (OLD.environment_id, OLD.key_hash);
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'api_key', organization_id, id, NEW.key_hash FROM sys_environment
   WHERE id = NEW.environment_id;
END;

CREATE TRIGGER sys_api_key_change_delete AFTER DELETE ON sys_api_key
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'api_key', organization_id, id, OLD.key_hash FROM sys_environment
   WHERE id = OLD.environment_id;
END;

CREATE TRIGGER sys_environment_cascade_api_key BEFORE DELETE ON sys_environment
BEGIN
  DELETE FROM sys_api_key WHERE environment_id = OLD.id;
END;
