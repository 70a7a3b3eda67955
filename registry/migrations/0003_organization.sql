-- Tenants.
CREATE TABLE sys_organization (
  id TEXT PRIMARY KEY NOT NULL
    CHECK (length(id) = 36 AND id NOT GLOB '*[^0-9a-f-]*' AND id GLOB '????????-????-????-????-????????????'
           AND id <> '00000000-0000-0000-0000-000000000000'),
  slug TEXT NOT NULL UNIQUE
    CHECK (length(slug) BETWEEN 1 AND 63 AND slug NOT GLOB '*[^a-z0-9-]*' AND slug NOT GLOB '-*' AND slug NOT GLOB '*-'
           AND slug NOT GLOB '*--*' AND slug NOT GLOB '????????-????-????-????-????????????'),
  name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
  plan TEXT NOT NULL DEFAULT 'free'
    CHECK (length(plan) BETWEEN 1 AND 63 AND plan NOT GLOB '*[^a-z0-9._-]*' AND plan GLOB '[a-z0-9]*'),
  status TEXT NOT NULL DEFAULT 'active'
    CHECK (status IN ('provisioning', 'active', 'suspended', 'archived', 'failed', 'destroying')),
  -- For people: why the status is what it is. Since when; NULL: since the beginning.
  status_reason TEXT CHECK (length(status_reason) BETWEEN 1 AND 1000),
  status_changed_at TEXT
    CHECK (status_changed_at IS NULL
           OR status_changed_at GLOB '????-??-??T??:??:??*Z' AND julianday(status_changed_at) IS NOT NULL),
  isolation_level TEXT NOT NULL DEFAULT 'shared_schema'
    CHECK (isolation_level IN ('shared_schema', 'isolated_schema', 'isolated_db')),
  -- NULL: never.
  subscription_expires_at TEXT
    CHECK (subscription_expires_at IS NULL
           OR subscription_expires_at GLOB '????-??-??T??:??:??*Z' AND julianday(subscription_expires_at) IS NOT NULL),
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
  upstreams       TEXT CHECK (upstreams IS NULL OR json_valid(upstreams) AND json_type(upstreams) = 'array'),
  metadata        TEXT CHECK (metadata IS NULL OR json_valid(metadata) AND json_type(metadata) = 'object'),
  security_policy TEXT CHECK (security_policy IS NULL OR json_valid(security_policy) AND json_type(security_policy) = 'object'),
  version    INTEGER NOT NULL DEFAULT 1,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- Former slugs that still lead to their tenant. A live slug always wins over an alias.
CREATE TABLE sys_organization_alias (
  slug TEXT PRIMARY KEY NOT NULL
    CHECK (length(slug) BETWEEN 1 AND 63 AND slug NOT GLOB '*[^a-z0-9-]*' AND slug NOT GLOB '-*' AND slug NOT GLOB '*-'
           AND slug NOT GLOB '*--*' AND slug NOT GLOB '????????-????-????-????-????????????'),
  organization_id TEXT NOT NULL REFERENCES sys_organization (id),
  created_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

CREATE INDEX sys_organization_alias_organization ON sys_organization_alias (organization_id);

CREATE TRIGGER sys_organization_id_fixed BEFORE UPDATE OF id ON sys_organization
  WHEN NEW.id IS NOT OLD.id
BEGIN
  SELECT RAISE(ABORT, 'the id of an organization never changes');
END;

CREATE TRIGGER sys_organization_status_since AFTER UPDATE OF status ON sys_organization
  WHEN NEW.status <> OLD.status AND NEW.status_changed_at IS OLD.status_changed_at
BEGIN
  UPDATE sys_organization SET status_changed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id;
END;

-- Any writer's update counts, so that a version once read proves that nothing changed since.
CREATE TRIGGER sys_organization_version AFTER UPDATE ON sys_organization
  WHEN NEW.version = OLD.version
BEGIN
  UPDATE sys_organization SET version = OLD.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
   WHERE id = NEW.id;
END;

CREATE TRIGGER sys_organization_change_insert AFTER INSERT ON sys_organization
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('organization', NEW.id, NULL, NEW.slug);
END;

-- REPLACE removes what stands in its way without telling the delete trigger.
CREATE TRIGGER sys_organization_change_replace BEFORE INSERT ON sys_organization
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'organization', o.id, NULL, o.slug
    FROM sys_organization o
   WHERE (o.id = NEW.id OR o.slug = NEW.slug) AND (o.id, o.slug) IS NOT (NEW.id, NEW.slug);
END;

CREATE TRIGGER sys_organization_change_update AFTER UPDATE ON sys_organization
  WHEN (NEW.id, NEW.slug, NEW.name, NEW.plan, NEW.status, NEW.isolation_level, NEW.subscription_expires_at,
        NEW.max_users, NEW.max_storage_bytes, NEW.api_rate_limit, NEW.burst, NEW.max_api_calls_per_day,
        NEW.max_api_calls_per_month, NEW.max_concurrent_requests, NEW.max_objects, NEW.max_records_per_object,
        NEW.max_deployments_per_day, NEW.upstreams, NEW.metadata, NEW.security_policy)
       IS NOT
       (OLD.id, OLD.slug, OLD.name, OLD.plan, OLD.status, OLD.isolation_level, OLD.subscription_expires_at,
        OLD.max_users, OLD.max_storage_bytes, OLD.api_rate_limit, OLD.burst, OLD.max_api_calls_per_day,
        OLD.max_api_calls_per_month, OLD.max_concurrent_requests, OLD.max_objects, OLD.max_records_per_object,
        OLD.max_deployments_per_day, OLD.upstreams, OLD.metadata, OLD.security_policy)
       AND NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'organization', OLD.id, NULL, OLD.slug
   WHERE (NEW.id, NEW.slug) IS NOT (OLD.id, OLD.slug);
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('organization', NEW.id, NULL, NEW.slug);
END;

CREATE TRIGGER sys_organization_change_delete AFTER DELETE ON sys_organization
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('organization', OLD.id, NULL, OLD.slug);
END;

CREATE TRIGGER sys_organization_alias_change_insert AFTER INSERT ON sys_organization_alias
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('organization_alias', NEW.organization_id, NULL, NEW.slug);
END;

CREATE TRIGGER sys_organization_alias_change_update AFTER UPDATE ON sys_organization_alias
  WHEN (NEW.slug, NEW.organization_id)
       IS NOT
       (OLD.slug, OLD.organization_id)
       AND NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'organization_alias', OLD.organization_id, NULL, OLD.slug
   WHERE (NEW.slug, NEW.organization_id) IS NOT (OLD.slug, OLD.organization_id);
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('organization_alias', NEW.organization_id, NULL, NEW.slug);
END;

CREATE TRIGGER sys_organization_alias_change_delete AFTER DELETE ON sys_organization_alias
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('organization_alias', OLD.organization_id, NULL, OLD.slug);
END;

-- Deletion takes along what belongs to the organization, also for a client that has foreign keys switched off. REPLACE
-- does not come here, where a cascading foreign key would have deleted every environment.
CREATE TRIGGER sys_organization_cascade AFTER DELETE ON sys_organization
BEGIN
  DELETE FROM sys_organization_alias WHERE organization_id = OLD.id;
END;
