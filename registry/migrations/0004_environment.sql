-- Environments of tenants. Each tenant has exactly one default environment, from its first environment on: the index
-- below allows no second, and the triggers leave none without.
CREATE TABLE sys_environment (
  id TEXT PRIMARY KEY NOT NULL
    CHECK (length(id) = 36 AND id NOT GLOB '*[^0-9a-f-]*' AND id GLOB '????????-????-????-????-????????????'
           AND id <> '00000000-0000-0000-0000-000000000000'),
  organization_id TEXT NOT NULL REFERENCES sys_organization (id),
  slug TEXT NOT NULL
    CHECK (length(slug) BETWEEN 1 AND 63 AND slug NOT GLOB '*[^a-z0-9-]*' AND slug NOT GLOB '-*' AND slug NOT GLOB '*-'
           AND slug NOT GLOB '*--*' AND slug NOT GLOB '????????-????-????-????-????????????'),
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
  type TEXT NOT NULL DEFAULT 'production'
    CHECK (type IN ('default', 'development', 'test', 'sandbox', 'preview', 'trial', 'staging', 'production')),
  is_default INTEGER NOT NULL DEFAULT 0 CHECK (is_default IN (0, 1)),
  status TEXT NOT NULL DEFAULT 'active'
    CHECK (status IN ('provisioning', 'active', 'suspended', 'archived', 'failed')),
  status_reason TEXT CHECK (length(status_reason) BETWEEN 1 AND 1000),
  status_changed_at TEXT
    CHECK (status_changed_at IS NULL
           OR status_changed_at GLOB '????-??-??T??:??:??*Z' AND julianday(status_changed_at) IS NOT NULL),
  region TEXT CHECK (length(region) BETWEEN 1 AND 63),
  max_users               INTEGER CHECK (max_users BETWEEN 1 AND 9007199254740992),
  max_storage_bytes       INTEGER CHECK (max_storage_bytes BETWEEN 1 AND 9007199254740992),
  api_rate_limit          INTEGER CHECK (api_rate_limit BETWEEN 1 AND 9007199254740992),
  burst                   INTEGER CHECK (burst BETWEEN 1 AND 9007199254740992),
  max_api_calls_per_day   INTEGER CHECK (max_api_calls_per_day BETWEEN 1 AND 9007199254740992),
  max_api_calls_per_month INTEGER CHECK (max_api_calls_per_month BETWEEN 1 AND 9007199254740992),
  max_concurrent_requests INTEGER CHECK (max_concurrent_requests BETWEEN 1 AND 9007199254740992),
  max_objects             INTEGER CHECK (max_objects BETWEEN 1 AND 9007199254740992),
  max_records_per_object  INTEGER CHECK (max_records_per_object BETWEEN 1 AND 9007199254740992),
  max_deployments_per_day INTEGER CHECK (max_deployments_per_day BETWEEN 1 AND 9007199254740992),
  upstreams TEXT CHECK (upstreams IS NULL OR json_valid(upstreams) AND json_type(upstreams) = 'array'),
  metadata  TEXT CHECK (metadata IS NULL OR json_valid(metadata) AND json_type(metadata) = 'object'),
  version    INTEGER NOT NULL DEFAULT 1,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  UNIQUE (organization_id, slug)
) STRICT;

CREATE UNIQUE INDEX sys_environment_default ON sys_environment (organization_id) WHERE is_default = 1;

-- Former slugs that still lead to their environment. A live slug always wins over an alias.
CREATE TABLE sys_environment_alias (
  organization_id TEXT NOT NULL REFERENCES sys_organization (id),
  slug TEXT NOT NULL
    CHECK (length(slug) BETWEEN 1 AND 63 AND slug NOT GLOB '*[^a-z0-9-]*' AND slug NOT GLOB '-*' AND slug NOT GLOB '*-'
           AND slug NOT GLOB '*--*' AND slug NOT GLOB '????????-????-????-????-????????????'),
  environment_id TEXT NOT NULL REFERENCES sys_environment (id),
  created_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  PRIMARY KEY (organization_id, slug)
) STRICT, WITHOUT ROWID;

CREATE INDEX sys_environment_alias_environment ON sys_environment_alias (environment_id);

CREATE TRIGGER sys_environment_id_fixed BEFORE UPDATE OF id ON sys_environment
  WHEN NEW.id IS NOT OLD.id
BEGIN
  SELECT RAISE(ABORT, 'the id of an environment never changes');
END;

CREATE TRIGGER sys_environment_status_since AFTER UPDATE OF status ON sys_environment
  WHEN NEW.status <> OLD.status AND NEW.status_changed_at IS OLD.status_changed_at
BEGIN
  UPDATE sys_environment SET status_changed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END;

-- The first environment of an organization is its default, whatever the writer said.
CREATE TRIGGER sys_environment_first AFTER INSERT ON sys_environment
  WHEN NEW.is_default = 0
       AND NOT EXISTS (SELECT 1 FROM sys_environment WHERE organization_id = NEW.organization_id AND is_default = 1)
BEGIN
  UPDATE sys_environment SET is_default = 1, version = version + 1 WHERE id = NEW.id;
END;

-- An environment that becomes the default takes over from the one that was.
CREATE TRIGGER sys_environment_takeover_insert BEFORE INSERT ON sys_environment
  WHEN NEW.is_default = 1
       AND EXISTS (SELECT 1 FROM sys_environment
                    WHERE organization_id = NEW.organization_id AND is_default = 1 AND id <> NEW.id)
BEGIN
  INSERT INTO sys_guard (flag) VALUES ('default');
  UPDATE sys_environment SET is_default = 0
   WHERE organization_id = NEW.organization_id AND is_default = 1 AND id <> NEW.id;
  DELETE FROM sys_guard WHERE flag = 'default';
END;

CREATE TRIGGER sys_environment_takeover_update BEFORE UPDATE OF is_default ON sys_environment
  WHEN NEW.is_default = 1 AND OLD.is_default = 0
       AND EXISTS (SELECT 1 FROM sys_environment
                    WHERE organization_id = NEW.organization_id AND is_default = 1 AND id <> NEW.id)
BEGIN
  INSERT INTO sys_guard (flag) VALUES ('default');
  UPDATE sys_environment SET is_default = 0
   WHERE organization_id = NEW.organization_id AND is_default = 1 AND id <> NEW.id;
  DELETE FROM sys_guard WHERE flag = 'default';
END;

CREATE TRIGGER sys_environment_default_kept BEFORE UPDATE OF is_default, organization_id ON sys_environment
  WHEN OLD.is_default = 1 AND (NEW.is_default = 0 OR NEW.organization_id IS NOT OLD.organization_id)
       AND NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'default')
BEGIN
  SELECT RAISE(ABORT, 'an organization keeps one default environment: make another one the default instead');
END;

-- Together with its organization it may go: that row is gone by then.
CREATE TRIGGER sys_environment_default_delete BEFORE DELETE ON sys_environment
  WHEN OLD.is_default = 1 AND EXISTS (SELECT 1 FROM sys_organization WHERE id = OLD.organization_id)
BEGIN
  SELECT RAISE(ABORT, 'the default environment cannot be deleted: make another one the default first');
END;

-- Any writer's update counts, so that a version once read proves that nothing changed since.
CREATE TRIGGER sys_environment_version AFTER UPDATE ON sys_environment
  WHEN NEW.version = OLD.version
BEGIN
  UPDATE sys_environment SET version = OLD.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
   WHERE id = NEW.id;
END;

CREATE TRIGGER sys_environment_change_insert AFTER INSERT ON sys_environment
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('environment', NEW.organization_id, NEW.id, NEW.slug);
END;

-- REPLACE removes what stands in its way without telling the delete trigger.
CREATE TRIGGER sys_environment_change_replace BEFORE INSERT ON sys_environment
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'environment', o.organization_id, o.id, o.slug
    FROM sys_environment o
   WHERE (o.id = NEW.id OR o.organization_id = NEW.organization_id AND o.slug = NEW.slug)
         AND (o.id, o.organization_id, o.slug) IS NOT (NEW.id, NEW.organization_id, NEW.slug);
END;

CREATE TRIGGER sys_environment_change_update AFTER UPDATE ON sys_environment
  WHEN (NEW.id, NEW.organization_id, NEW.slug, NEW.name, NEW.type, NEW.is_default, NEW.status, NEW.region,
        NEW.max_users, NEW.max_storage_bytes, NEW.api_rate_limit, NEW.burst, NEW.max_api_calls_per_day,
        NEW.max_api_calls_per_month, NEW.max_concurrent_requests, NEW.max_objects, NEW.max_records_per_object,
        NEW.max_deployments_per_day, NEW.upstreams, NEW.metadata)
       IS NOT
       (OLD.id, OLD.organization_id, OLD.slug, OLD.name, OLD.type, OLD.is_default, OLD.status, OLD.region,
        OLD.max_users, OLD.max_storage_bytes, OLD.api_rate_limit, OLD.burst, OLD.max_api_calls_per_day,
        OLD.max_api_calls_per_month, OLD.max_concurrent_requests, OLD.max_objects, OLD.max_records_per_object,
        OLD.max_deployments_per_day, OLD.upstreams, OLD.metadata)
       AND NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'environment', OLD.organization_id, OLD.id, OLD.slug
   WHERE (NEW.id, NEW.organization_id, NEW.slug) IS NOT (OLD.id, OLD.organization_id, OLD.slug);
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('environment', NEW.organization_id, NEW.id, NEW.slug);
END;

CREATE TRIGGER sys_environment_change_delete AFTER DELETE ON sys_environment
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('environment', OLD.organization_id, OLD.id, OLD.slug);
END;

CREATE TRIGGER sys_environment_alias_change_insert AFTER INSERT ON sys_environment_alias
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('environment_alias', NEW.organization_id, NEW.environment_id, NEW.slug);
END;

CREATE TRIGGER sys_environment_alias_change_update AFTER UPDATE ON sys_environment_alias
  WHEN (NEW.organization_id, NEW.slug, NEW.environment_id)
       IS NOT
       (OLD.organization_id, OLD.slug, OLD.environment_id)
       AND NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'environment_alias', OLD.organization_id, OLD.environment_id, OLD.slug
   WHERE (NEW.organization_id, NEW.slug, NEW.environment_id)
         IS NOT (OLD.organization_id, OLD.slug, OLD.environment_id);
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('environment_alias', NEW.organization_id, NEW.environment_id, NEW.slug);
END;

CREATE TRIGGER sys_environment_alias_change_delete AFTER DELETE ON sys_environment_alias
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('environment_alias', OLD.organization_id, OLD.environment_id, OLD.slug);
END;

CREATE TRIGGER sys_organization_cascade_environment AFTER DELETE ON sys_organization
BEGIN
  DELETE FROM sys_environment_alias WHERE organization_id = OLD.id;
  DELETE FROM sys_environment WHERE organization_id = OLD.id;
END;

-- Before, not after: the change log rows of what goes along name the organization, which they find through this row.
CREATE TRIGGER sys_environment_cascade BEFORE DELETE ON sys_environment
BEGIN
  DELETE FROM sys_environment_alias WHERE environment_id = OLD.id;
END;
