-- Plans: what a tenant gets unless it, or its environment, has its own. A tenant may name a plan that is not here; such a
-- plan has no quotas and no upstreams.
CREATE TABLE sys_plan (
  name TEXT PRIMARY KEY NOT NULL
    CHECK (length(name) BETWEEN 1 AND 63 AND name NOT GLOB '*[^a-z0-9._-]*' AND name GLOB '[a-z0-9]*'),
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
  version    INTEGER NOT NULL DEFAULT 1,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- Any writer's update counts, so that a version once read proves that nothing changed since.
CREATE TRIGGER sys_plan_version AFTER UPDATE ON sys_plan
  WHEN NEW.version = OLD.version
BEGIN
  UPDATE sys_plan SET version = OLD.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
   WHERE name = NEW.name;
END;

CREATE TRIGGER sys_plan_change_insert AFTER INSERT ON sys_plan
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('plan', NULL, NULL, NEW.name);
END;

CREATE TRIGGER sys_plan_change_update AFTER UPDATE ON sys_plan
  WHEN (NEW.name, NEW.max_users, NEW.max_storage_bytes, NEW.api_rate_limit, NEW.burst, NEW.max_api_calls_per_day,
        NEW.max_api_calls_per_month, NEW.max_concurrent_requests, NEW.max_objects, NEW.max_records_per_object,
        NEW.max_deployments_per_day, NEW.upstreams)
       IS NOT
       (OLD.name, OLD.max_users, OLD.max_storage_bytes, OLD.api_rate_limit, OLD.burst, OLD.max_api_calls_per_day,
        OLD.max_api_calls_per_month, OLD.max_concurrent_requests, OLD.max_objects, OLD.max_records_per_object,
        OLD.max_deployments_per_day, OLD.upstreams)
       AND NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'plan', NULL, NULL, OLD.name
   WHERE NEW.name IS NOT OLD.name;
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('plan', NULL, NULL, NEW.name);
END;

CREATE TRIGGER sys_plan_change_delete AFTER DELETE ON sys_plan
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  VALUES ('plan', NULL, NULL, OLD.name);
END;
