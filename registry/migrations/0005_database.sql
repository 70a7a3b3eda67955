-- Where the data of an environment lives, and the sealed credentials for it.
CREATE TABLE sys_environment_database (
  environment_id TEXT PRIMARY KEY NOT NULL REFERENCES sys_environment (id),
  driver TEXT NOT NULL
    CHECK (driver IN ('turso', 'libsql', 'postgres', 'sqlite', 'memory')),
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
  -- With isolation level isolated_schema.
  schema_name TEXT CHECK (length(schema_name) BETWEEN 1 AND 255),
  -- Never with a user, password or token in it.
  url    TEXT CHECK (length(url) BETWEEN 1 AND 2048),
  region TEXT CHECK (length(region) BETWEEN 1 AND 63),
  status TEXT NOT NULL DEFAULT 'active'
    CHECK (status IN ('provisioning', 'active', 'failed', 'destroying')),
  status_reason TEXT CHECK (length(status_reason) BETWEEN 1 AND 1000),
  version    INTEGER NOT NULL DEFAULT 1,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE TRIGGER sys_environment_database_name_fixed BEFORE UPDATE OF name ON sys_environment_database
  WHEN NEW.name IS NOT OLD.name
BEGIN
  SELECT RAISE(ABORT, 'the name of a database never changes');
END;

CREATE TRIGGER sys_environment_database_environment_id_fixed BEFORE UPDATE OF environment_id ON sys_environment_database
  WHEN NEW.environment_id IS NOT OLD.environment_id
BEGIN
  SELECT RAISE(ABORT, 'a database never moves to another environment');
END;

-- Any writer's update counts, so that a version once read proves that nothing changed since.
CREATE TRIGGER sys_environment_database_version AFTER UPDATE ON sys_environment_database
  WHEN NEW.version = OLD.version
BEGIN
  UPDATE sys_environment_database SET version = OLD.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
   WHERE environment_id = NEW.environment_id;
END;

CREATE TRIGGER sys_environment_database_change_insert AFTER INSERT ON sys_environment_database
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'environment_database', organization_id, id, NULL FROM sys_environment
   WHERE id = NEW.environment_id;
END;

CREATE TRIGGER sys_environment_database_change_update AFTER UPDATE ON sys_environment_database
  WHEN (NEW.environment_id, NEW.driver, NEW.name, NEW.schema_name, NEW.url)
       IS NOT
       (OLD.environment_id, OLD.driver, OLD.name, OLD.schema_name, OLD.url)
       AND NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'environment_database', organization_id, id, NULL FROM sys_environment
   WHERE id = OLD.environment_id AND NEW.environment_id IS NOT OLD.environment_id;
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'environment_database', organization_id, id, NULL FROM sys_environment
   WHERE id = NEW.environment_id;
END;

CREATE TRIGGER sys_environment_database_change_delete AFTER DELETE ON sys_environment_database
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'environment_database', organization_id, id, NULL FROM sys_environment
   WHERE id = OLD.environment_id;
END;

CREATE TABLE sys_database_credential (
  id TEXT PRIMARY KEY NOT NULL
    CHECK (length(id) = 36 AND id NOT GLOB '*[^0-9a-f-]*' AND id GLOB '????????-????-????-????-????????????'
           AND id <> '00000000-0000-0000-0000-000000000000'),
  environment_id TEXT NOT NULL REFERENCES sys_environment (id),
  scope TEXT NOT NULL DEFAULT 'readwrite'
    CHECK (scope IN ('readwrite', 'readonly', 'admin')),
  status TEXT NOT NULL DEFAULT 'active'
    CHECK (status IN ('active', 'rotating', 'revoked')),
  -- Sealed with the key that key_id names; nobody reads it without that key.
  ciphertext   BLOB NOT NULL,
  key_id       TEXT NOT NULL CHECK (length(key_id) BETWEEN 1 AND 255),
  rotated_from TEXT REFERENCES sys_database_credential (id) ON DELETE SET NULL,
  expires_at TEXT
    CHECK (expires_at IS NULL
           OR expires_at GLOB '????-??-??T??:??:??*Z' AND julianday(expires_at) IS NOT NULL),
  revoked_at TEXT
    CHECK (revoked_at IS NULL
           OR revoked_at GLOB '????-??-??T??:??:??*Z' AND julianday(revoked_at) IS NOT NULL),
  version    INTEGER NOT NULL DEFAULT 1,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE INDEX sys_database_credential_environment ON sys_database_credential (environment_id);

CREATE INDEX sys_database_credential_rotated_from ON sys_database_credential (rotated_from)
 WHERE rotated_from IS NOT NULL;

-- One credential of a scope is the one to use; during a rotation the one before it is 'rotating'.
CREATE UNIQUE INDEX sys_database_credential_active ON sys_database_credential (environment_id, scope)
 WHERE status = 'active';

-- Any writer's update counts, so that a version once read proves that nothing changed since.
CREATE TRIGGER sys_database_credential_version AFTER UPDATE ON sys_database_credential
  WHEN NEW.version = OLD.version
BEGIN
  UPDATE sys_database_credential SET version = OLD.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
   WHERE id = NEW.id;
END;

CREATE TRIGGER sys_database_credential_change_insert AFTER INSERT ON sys_database_credential
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'database_credential', organization_id, id, NEW.id FROM sys_environment
   WHERE id = NEW.environment_id;
END;

-- REPLACE removes what stands in its way without telling the delete trigger.
CREATE TRIGGER sys_database_credential_change_replace BEFORE INSERT ON sys_database_credential
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'database_credential', e.organization_id, e.id, o.id
    FROM sys_database_credential o JOIN sys_environment e ON e.id = o.environment_id
   WHERE o.id = NEW.id AND o.environment_id <> NEW.environment_id;
END;

CREATE TRIGGER sys_database_credential_change_update AFTER UPDATE ON sys_database_credential
  WHEN (NEW.id, NEW.environment_id, NEW.ciphertext, NEW.key_id, NEW.scope, NEW.status, NEW.expires_at,
        NEW.revoked_at)
       IS NOT
       (OLD.id, OLD.environment_id, OLD.ciphertext, OLD.key_id, OLD.scope, OLD.status, OLD.expires_at,
        OLD.revoked_at)
       AND NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'database_credential', organization_id, id, OLD.id FROM sys_environment
   WHERE id = OLD.environment_id AND (NEW.id, NEW.environment_id) IS NOT (OLD.id, OLD.environment_id);
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'database_credential', organization_id, id, NEW.id FROM sys_environment
   WHERE id = NEW.environment_id;
END;

CREATE TRIGGER sys_database_credential_change_delete AFTER DELETE ON sys_database_credential
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'database_credential', organization_id, id, OLD.id FROM sys_environment
   WHERE id = OLD.environment_id;
END;

CREATE TRIGGER sys_environment_cascade_database BEFORE DELETE ON sys_environment
BEGIN
  DELETE FROM sys_database_credential WHERE environment_id = OLD.id;
  DELETE FROM sys_environment_database WHERE environment_id = OLD.id;
END;
