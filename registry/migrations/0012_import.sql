-- What an import is about to write, and the trigger that writes it. An import compares its file with the registry, puts
-- what differs here in chunks, then adds one to sys_import.applied: that single statement writes everything or nothing,
-- on a server too, where a transaction over several requests can be taken away in the middle. Doing it twice is
-- impossible, since the statement names the value that it expects. What an aborted import left here is harmless.
CREATE TABLE sys_import (
  id    TEXT PRIMARY KEY NOT NULL CHECK (length(id) BETWEEN 1 AND 255),
  actor TEXT NOT NULL CHECK (length(actor) BETWEEN 1 AND 255),
  -- 1: write one row 'registry' to sys_change instead of one for each record.
  quiet      INTEGER NOT NULL DEFAULT 0 CHECK (quiet IN (0, 1)),
  applied    INTEGER NOT NULL DEFAULT 0,
  started_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- records is a JSON array of arrays, one for each record; which values it holds is the order of columns in the trigger.
CREATE TABLE sys_import_chunk (
  import_id TEXT NOT NULL REFERENCES sys_import (id),
  kind      TEXT NOT NULL,
  seq       INTEGER NOT NULL,
  records   TEXT NOT NULL,
  PRIMARY KEY (import_id, kind, seq)
) STRICT;

CREATE TRIGGER sys_import_apply AFTER UPDATE OF applied ON sys_import
  WHEN NEW.applied = OLD.applied + 1
BEGIN
  INSERT INTO sys_guard (flag) SELECT 'quiet' WHERE NEW.quiet = 1;

  -- An update holds whole rows, so it is only right as long as nobody else has changed them since they were read.
  SELECT RAISE(ABORT, 'import: another writer changed sys_plan')
    FROM sys_import_chunk c, json_each(c.records) j
    LEFT JOIN sys_plan t ON t.name = j.value->>0
   WHERE c.import_id = NEW.id AND c.kind = 'plan.update' AND t.version IS NOT j.value->>12;
  SELECT RAISE(ABORT, 'import: another writer changed sys_organization')
    FROM sys_import_chunk c, json_each(c.records) j
    LEFT JOIN sys_organization t ON t.id = j.value->>0
   WHERE c.import_id = NEW.id AND c.kind = 'organization.update' AND t.version IS NOT j.value->>20;
  SELECT RAISE(ABORT, 'import: another writer changed sys_environment')
    FROM sys_import_chunk c, json_each(c.records) j
    LEFT JOIN sys_environment t ON t.id = j.value->>0
   WHERE c.import_id = NEW.id AND c.kind = 'environment.update' AND t.version IS NOT j.value->>18;
  SELECT RAISE(ABORT, 'import: another writer changed sys_environment_database')
    FROM sys_import_chunk c, json_each(c.records) j
    LEFT JOIN sys_environment_database t ON t.environment_id = j.value->>0
   WHERE c.import_id = NEW.id AND c.kind = 'database.update' AND t.version IS NOT j.value->>5;
  SELECT RAISE(ABORT, 'import: another writer changed sys_domain')
    FROM sys_import_chunk c, json_each(c.records) j
    LEFT JOIN sys_domain t ON t.hostname = j.value->>0
   WHERE c.import_id = NEW.id AND c.kind = 'domain.update' AND t.version IS NOT j.value->>2;
  SELECT RAISE(ABORT, 'import: another writer changed sys_environment_member')
    FROM sys_import_chunk c, json_each(c.records) j
    LEFT JOIN sys_environment_member t ON t.environment_id = j.value->>0 AND t.user_id = j.value->>1
   WHERE c.import_id = NEW.id AND c.kind = 'member.update' AND t.version IS NOT j.value->>3;
  SELECT RAISE(ABORT, 'import: another writer changed sys_environment')
    FROM sys_import_chunk c, json_each(c.records) j
    LEFT JOIN sys_environment t ON t.id = j.value->>0
   WHERE c.import_id = NEW.id AND c.kind = 'environment.default' AND t.version IS NOT j.value->>1;

  -- A slug that goes from one record to another is free in between.
  UPDATE sys_organization SET slug = 'moving-' || replace(sys_organization.id, '-', '')
    FROM sys_import_chunk c, json_each(c.records) j
   WHERE c.import_id = NEW.id AND c.kind = 'organization.release'
     AND sys_organization.id = j.value->>0;
  UPDATE sys_environment SET slug = 'moving-' || replace(sys_environment.id, '-', '')
    FROM sys_import_chunk c, json_each(c.records) j
   WHERE c.import_id = NEW.id AND c.kind = 'environment.release'
     AND sys_environment.id = j.value->>0;

  INSERT INTO sys_plan
    (name, max_users, max_storage_bytes, api_rate_limit, burst, max_api_calls_per_day, max_api_calls_per_month,
     max_concurrent_requests, max_objects, max_records_per_object, max_deployments_per_day, upstreams)
  SELECT r->>0, r->>1, r->>2, r->>3, r->>4, r->>5, r->>6, r->>7, r->>8, r->>9, r->>10, r->>11
    FROM (SELECT j.value AS r FROM sys_import_chunk c, json_each(c.records) j
           WHERE c.import_id = NEW.id AND c.kind = 'plan.insert' LIMIT -1)
   WHERE r IS NOT NULL;
  UPDATE sys_plan
     SET max_users = j.value->>1, max_storage_bytes = j.value->>2, api_rate_limit = j.value->>3,
         burst = j.value->>4, max_api_calls_per_day = j.value->>5, max_api_calls_per_month = j.value->>6,
         max_concurrent_requests = j.value->>7, max_objects = j.value->>8, max_records_per_object = j.value->>9,
         max_deployments_per_day = j.value->>10, upstreams = j.value->>11, version = sys_plan.version + 1,
         updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM sys_import_chunk c, json_each(c.records) j
   WHERE c.import_id = NEW.id AND c.kind = 'plan.update'
     AND sys_plan.name = j.value->>0;

  INSERT INTO sys_organization
    (id, slug, name, plan, status, isolation_level, subscription_expires_at, max_users, max_storage_bytes,
     api_rate_limit, burst, max_api_calls_per_day, max_api_calls_per_month, max_concurrent_requests, max_objects,
     max_records_per_object, max_deployments_per_day, upstreams, metadata, security_policy)
  SELECT r->>0, r->>1, r->>2, r->>3, r->>4, r->>5, r->>6, r->>7, r->>8, r->>9, r->>10, r->>11, r->>12, r->>13,
         r->>14, r->>15, r->>16, r->>17, r->>18, r->>19
    FROM (SELECT j.value AS r FROM sys_import_chunk c, json_each(c.records) j
           WHERE c.import_id = NEW.id AND c.kind = 'organization.insert' LIMIT -1)
   WHERE r IS NOT NULL;
  UPDATE sys_organization
     SET slug = j.value->>1, name = j.value->>2, plan = j.value->>3, status = j.value->>4,
         isolation_level = j.value->>5, subscription_expires_at = j.value->>6, max_users = j.value->>7,
         max_storage_bytes = j.value->>8, api_rate_limit = j.value->>9, burst = j.value->>10,
         max_api_calls_per_day = j.value->>11, max_api_calls_per_month = j.value->>12,
         max_concurrent_requests = j.value->>13, max_objects = j.value->>14, max_records_per_object = j.value->>15,
         max_deployments_per_day = j.value->>16, upstreams = j.value->>17, metadata = j.value->>18,
         security_policy = j.value->>19, version = sys_organization.version + 1,
         updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM sys_import_chunk c, json_each(c.records) j
   WHERE c.import_id = NEW.id AND c.kind = 'organization.update'
     AND sys_organization.id = j.value->>0;

  INSERT INTO sys_environment
    (id, organization_id, slug, name, type, is_default, status, region, max_users, max_storage_bytes,
     api_rate_limit, burst, max_api_calls_per_day, max_api_calls_per_month, max_concurrent_requests, max_objects,
     max_records_per_object, max_deployments_per_day, upstreams, metadata)
  SELECT r->>0, r->>1, r->>2, r->>3, r->>4, r->>5, r->>6, r->>7, r->>8, r->>9, r->>10, r->>11, r->>12, r->>13,
         r->>14, r->>15, r->>16, r->>17, r->>18, r->>19
    FROM (SELECT j.value AS r FROM sys_import_chunk c, json_each(c.records) j
           WHERE c.import_id = NEW.id AND c.kind = 'environment.insert' LIMIT -1)
   WHERE r IS NOT NULL;
  UPDATE sys_environment
     SET slug = j.value->>1, name = j.value->>2, type = j.value->>3, status = j.value->>4, region = j.value->>5,
         max_users = j.value->>6, max_storage_bytes = j.value->>7, api_rate_limit = j.value->>8,
         burst = j.value->>9, max_api_calls_per_day = j.value->>10, max_api_calls_per_month = j.value->>11,
         max_concurrent_requests = j.value->>12, max_objects = j.value->>13, max_records_per_object = j.value->>14,
         max_deployments_per_day = j.value->>15, upstreams = j.value->>16, metadata = j.value->>17,
         version = sys_environment.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM sys_import_chunk c, json_each(c.records) j
   WHERE c.import_id = NEW.id AND c.kind = 'environment.update'
     AND sys_environment.id = j.value->>0;
  UPDATE sys_environment SET is_default = 1, version = sys_environment.version + 1
    FROM sys_import_chunk c, json_each(c.records) j
   WHERE c.import_id = NEW.id AND c.kind = 'environment.default'
     AND sys_environment.id = j.value->>0;

  INSERT INTO sys_environment_database
    (environment_id, driver, name, schema_name, url, region)
  SELECT r->>0, r->>1, r->>2, r->>3, r->>4, r->>5
    FROM (SELECT j.value AS r FROM sys_import_chunk c, json_each(c.records) j
           WHERE c.import_id = NEW.id AND c.kind = 'database.insert' LIMIT -1)
   WHERE r IS NOT NULL;
  UPDATE sys_environment_database
     SET driver = j.value->>1, schema_name = j.value->>2, url = j.value->>3, region = j.value->>4,
         version = sys_environment_database.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM sys_import_chunk c, json_each(c.records) j
   WHERE c.import_id = NEW.id AND c.kind = 'database.update'
     AND sys_environment_database.environment_id = j.value->>0;

  INSERT INTO sys_domain
    (hostname, environment_id, verified_at, verification_method)
  SELECT r->>0, r->>1, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 'operator'
    FROM (SELECT j.value AS r FROM sys_import_chunk c, json_each(c.records) j
           WHERE c.import_id = NEW.id AND c.kind = 'domain.insert' LIMIT -1)
   WHERE r IS NOT NULL;
  UPDATE sys_domain
     SET environment_id = j.value->>1,
         verified_at = coalesce(sys_domain.verified_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
         verification_method = coalesce(sys_domain.verification_method, 'operator'),
         version = sys_domain.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM sys_import_chunk c, json_each(c.records) j
   WHERE c.import_id = NEW.id AND c.kind = 'domain.update'
     AND sys_domain.hostname = j.value->>0;

  INSERT INTO sys_environment_member
    (environment_id, user_id, role)
  SELECT r->>0, r->>1, r->>2
    FROM (SELECT j.value AS r FROM sys_import_chunk c, json_each(c.records) j
           WHERE c.import_id = NEW.id AND c.kind = 'member.insert' LIMIT -1)
   WHERE r IS NOT NULL;
  UPDATE sys_environment_member
     SET role = j.value->>2, version = sys_environment_member.version + 1,
         updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM sys_import_chunk c, json_each(c.records) j
   WHERE c.import_id = NEW.id AND c.kind = 'member.update'
     AND sys_environment_member.environment_id = j.value->>0 AND sys_environment_member.user_id = j.value->>1;

  INSERT INTO sys_audit_log
    (action, organization_id, subject, detail, actor, actor_kind)
  SELECT r->>0, r->>1, r->>2, r->>3, NEW.actor, 'import'
    FROM (SELECT j.value AS r FROM sys_import_chunk c, json_each(c.records) j
           WHERE c.import_id = NEW.id AND c.kind = 'audit' LIMIT -1)
   WHERE r IS NOT NULL;

  INSERT INTO sys_change (entity) SELECT 'registry' WHERE NEW.quiet = 1;
  DELETE FROM sys_guard WHERE flag = 'quiet' AND NEW.quiet = 1;
END;
