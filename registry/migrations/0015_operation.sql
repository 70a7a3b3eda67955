-- Changes by the admin API and the command line. A change is one INSERT into sys_operation, whose trigger does all that
-- is in its work, the audit rows included: a single statement is atomic on a server too, where a transaction over several
-- requests can be taken away. Doing it twice is impossible, since the second INSERT meets the id of the first; that row
-- also tells whoever did not get the answer that it was done. Rows are kept for a day.
CREATE TABLE sys_operation (
  id TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 36),
  at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  actor       TEXT NOT NULL CHECK (length(actor) BETWEEN 1 AND 255),
  actor_kind  TEXT CHECK (length(actor_kind) BETWEEN 1 AND 63),
  request_id  TEXT CHECK (length(request_id) BETWEEN 1 AND 255),
  remote_addr TEXT CHECK (length(remote_addr) BETWEEN 1 AND 63),
  -- A JSON object: for each kind of record an array of arrays; which values they hold is the order of columns in the
  -- trigger. Emptied when it is done.
  work TEXT NOT NULL CHECK (work IS NULL OR json_valid(work) AND json_type(work) = 'object')
) STRICT;

CREATE INDEX sys_operation_at ON sys_operation (at);

-- Creations that a client named, so that doing one again gives what it made the first time. Rows are kept for a day.
CREATE TABLE sys_idempotency (
  actor TEXT NOT NULL CHECK (length(actor) BETWEEN 1 AND 255),
  key   TEXT NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
  -- Lower-case hex SHA-256 of the request.
  request_hash TEXT NOT NULL CHECK (length(request_hash) = 64 AND request_hash NOT GLOB '*[^0-9a-f]*'),
  -- The id of what was made, or a name where it has none.
  result     TEXT NOT NULL CHECK (length(result) BETWEEN 1 AND 300),
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX sys_idempotency_created ON sys_idempotency (created_at);

-- When a former slug ceases to lead anywhere. NULL: when somebody removes it.
ALTER TABLE sys_organization_alias ADD COLUMN expires_at TEXT
  CHECK (expires_at IS NULL OR expires_at GLOB '????-??-??T??:??:??*Z' AND julianday(expires_at) IS NOT NULL);

ALTER TABLE sys_environment_alias ADD COLUMN expires_at TEXT
  CHECK (expires_at IS NULL OR expires_at GLOB '????-??-??T??:??:??*Z' AND julianday(expires_at) IS NOT NULL);

CREATE INDEX sys_organization_alias_expires ON sys_organization_alias (expires_at) WHERE expires_at IS NOT NULL;

CREATE INDEX sys_environment_alias_expires ON sys_environment_alias (expires_at) WHERE expires_at IS NOT NULL;

-- What lists of tenants ask for. Nearly all tenants are active: those that are not are found by the first index.
CREATE INDEX sys_organization_status ON sys_organization (status, slug) WHERE status <> 'active';

CREATE INDEX sys_organization_plan ON sys_organization (plan, slug);

CREATE INDEX sys_audit_log_at ON sys_audit_log (at);

CREATE TRIGGER sys_operation_apply AFTER INSERT ON sys_operation
BEGIN
  DELETE FROM sys_operation WHERE at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day') AND id <> NEW.id;
  DELETE FROM sys_idempotency WHERE created_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day');

  DELETE FROM sys_organization_alias WHERE expires_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now');
  DELETE FROM sys_environment_alias WHERE expires_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now');

  -- What was decided on what had been read is only right as long as nobody has changed that since.
  SELECT RAISE(ABORT, 'operation: another writer changed sys_plan')
    FROM json_each(NEW.work, '$."plan.expect"') j
    LEFT JOIN sys_plan t ON t.name = j.value->>0
   WHERE t.version IS NOT j.value->>1;
  SELECT RAISE(ABORT, 'operation: another writer changed sys_organization')
    FROM json_each(NEW.work, '$."organization.expect"') j
    LEFT JOIN sys_organization t ON t.id = j.value->>0
   WHERE t.version IS NOT j.value->>1;
  SELECT RAISE(ABORT, 'operation: another writer changed sys_environment')
    FROM json_each(NEW.work, '$."environment.expect"') j
    LEFT JOIN sys_environment t ON t.id = j.value->>0
   WHERE t.version IS NOT j.value->>1;
  SELECT RAISE(ABORT, 'operation: another writer changed sys_environment_database')
    FROM json_each(NEW.work, '$."database.expect"') j
    LEFT JOIN sys_environment_database t ON t.environment_id = j.value->>0
   WHERE t.version IS NOT j.value->>1;
  SELECT RAISE(ABORT, 'operation: another writer changed sys_environment_member')
    FROM json_each(NEW.work, '$."member.expect"') j
    LEFT JOIN sys_environment_member t ON t.environment_id = j.value->>0 AND t.user_id = j.value->>2
   WHERE t.version IS NOT j.value->>1;
  SELECT RAISE(ABORT, 'operation: another writer changed sys_api_key')
    FROM json_each(NEW.work, '$."api_key.expect"') j
    LEFT JOIN sys_api_key t ON t.id = j.value->>0
   WHERE t.version IS NOT j.value->>1;
  SELECT RAISE(ABORT, 'operation: another writer changed sys_session')
    FROM json_each(NEW.work, '$."session.expect"') j
    LEFT JOIN sys_session t ON t.id = j.value->>0
   WHERE t.version IS NOT j.value->>1;
  SELECT RAISE(ABORT, 'operation: unknown plan')
    FROM json_each(NEW.work, '$."plan.known"') j
   WHERE NOT EXISTS (SELECT 1 FROM sys_plan WHERE name = j.value->>0);
  SELECT RAISE(ABORT, 'operation: plan in use')
    FROM json_each(NEW.work, '$."plan.unused"') j
   WHERE EXISTS (SELECT 1 FROM sys_organization WHERE plan = j.value->>0);
  SELECT RAISE(ABORT, 'operation: former slug of another organization')
    FROM json_each(NEW.work, '$."organization.slug"') j
    JOIN sys_organization_alias a ON a.slug = j.value->>0
   WHERE a.organization_id <> j.value->>1;
  SELECT RAISE(ABORT, 'operation: former slug of another environment')
    FROM json_each(NEW.work, '$."environment.slug"') j
    JOIN sys_environment_alias a ON a.organization_id = j.value->>2 AND a.slug = j.value->>0
   WHERE a.environment_id <> j.value->>1;

  INSERT INTO sys_idempotency (actor, key, request_hash, result)
  SELECT NEW.actor, j.value->>0, j.value->>1, j.value->>2
    FROM json_each(NEW.work, '$."idempotency.insert"') j;

  DELETE FROM sys_organization_alias
   WHERE slug IN (SELECT j.value->>0 FROM json_each(NEW.work, '$."organization.alias.delete"') j);
  DELETE FROM sys_environment_alias
   WHERE (organization_id, slug) IN
         (SELECT j.value->>0, j.value->>1 FROM json_each(NEW.work, '$."environment.alias.delete"') j);

  INSERT INTO sys_plan
    (name, max_users, max_storage_bytes, api_rate_limit, burst, max_api_calls_per_day, max_api_calls_per_month,
     max_concurrent_requests, max_objects, max_records_per_object, max_deployments_per_day, upstreams)
  SELECT j.value->>0, j.value->>1, j.value->>2, j.value->>3, j.value->>4, j.value->>5, j.value->>6, j.value->>7,
         j.value->>8, j.value->>9, j.value->>10, j.value->>11
    FROM json_each(NEW.work, '$."plan.insert"') j;
  UPDATE sys_plan
     SET max_users = j.value->>1, max_storage_bytes = j.value->>2, api_rate_limit = j.value->>3,
         burst = j.value->>4, max_api_calls_per_day = j.value->>5, max_api_calls_per_month = j.value->>6,
         max_concurrent_requests = j.value->>7, max_objects = j.value->>8, max_records_per_object = j.value->>9,
         max_deployments_per_day = j.value->>10, upstreams = j.value->>11, version = sys_plan.version + 1,
         updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM json_each(NEW.work, '$."plan.update"') j
   WHERE sys_plan.name = j.value->>0;
  DELETE FROM sys_plan WHERE name IN (SELECT j.value->>0 FROM json_each(NEW.work, '$."plan.delete"') j);

  INSERT INTO sys_organization
    (id, slug, name, plan, status, isolation_level, subscription_expires_at, max_users, max_storage_bytes,
     api_rate_limit, burst, max_api_calls_per_day, max_api_calls_per_month, max_concurrent_requests, max_objects,
     max_records_per_object, max_deployments_per_day, upstreams, metadata, security_policy)
  SELECT j.value->>0, j.value->>1, j.value->>2, j.value->>3, j.value->>4, j.value->>5, j.value->>6, j.value->>7,
         j.value->>8, j.value->>9, j.value->>10, j.value->>11, j.value->>12, j.value->>13, j.value->>14,
         j.value->>15, j.value->>16, j.value->>17, j.value->>18, j.value->>19
    FROM json_each(NEW.work, '$."organization.insert"') j;
  UPDATE sys_organization
     SET slug = j.value->>1, name = j.value->>2, plan = j.value->>3, status = j.value->>4,
         isolation_level = j.value->>5, subscription_expires_at = j.value->>6, max_users = j.value->>7,
         max_storage_bytes = j.value->>8, api_rate_limit = j.value->>9, burst = j.value->>10,
         max_api_calls_per_day = j.value->>11, max_api_calls_per_month = j.value->>12,
         max_concurrent_requests = j.value->>13, max_objects = j.value->>14, max_records_per_object = j.value->>15,
         max_deployments_per_day = j.value->>16, upstreams = j.value->>17, metadata = j.value->>18,
         security_policy = j.value->>19, version = sys_organization.version + 1,
         updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM json_each(NEW.work, '$."organization.update"') j
   WHERE sys_organization.id = j.value->>0;
  -- A second change within the same millisecond is one later, or the trigger sys_organization_status_since would count
  -- it as one more version.
  UPDATE sys_organization
     SET status = j.value->>1, status_reason = j.value->>2,
         status_changed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now',
           iif(status_changed_at IS strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), '+0.001 seconds', '+0 seconds')), version = sys_organization.version + 1,
         updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM json_each(NEW.work, '$."organization.status"') j
   WHERE sys_organization.id = j.value->>0;
  DELETE FROM sys_organization WHERE id IN (SELECT j.value->>0 FROM json_each(NEW.work, '$."organization.delete"') j);
  INSERT INTO sys_organization_alias (slug, organization_id, expires_at)
  SELECT j.value->>0, j.value->>1, j.value->>2 FROM json_each(NEW.work, '$."organization.alias.insert"') j;

  INSERT INTO sys_environment
    (id, organization_id, slug, name, type, is_default, status, region, max_users, max_storage_bytes,
     api_rate_limit, burst, max_api_calls_per_day, max_api_calls_per_month, max_concurrent_requests, max_objects,
     max_records_per_object, max_deployments_per_day, upstreams, metadata)
  SELECT j.value->>0, j.value->>1, j.value->>2, j.value->>3, j.value->>4, j.value->>5, j.value->>6, j.value->>7,
         j.value->>8, j.value->>9, j.value->>10, j.value->>11, j.value->>12, j.value->>13, j.value->>14,
         j.value->>15, j.value->>16, j.value->>17, j.value->>18, j.value->>19
    FROM json_each(NEW.work, '$."environment.insert"') j;
  UPDATE sys_environment
     SET slug = j.value->>1, name = j.value->>2, type = j.value->>3, status = j.value->>4, region = j.value->>5,
         max_users = j.value->>6, max_storage_bytes = j.value->>7, api_rate_limit = j.value->>8,
         burst = j.value->>9, max_api_calls_per_day = j.value->>10, max_api_calls_per_month = j.value->>11,
         max_concurrent_requests = j.value->>12, max_objects = j.value->>13, max_records_per_object = j.value->>14,
         max_deployments_per_day = j.value->>15, upstreams = j.value->>16, metadata = j.value->>17,
         version = sys_environment.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM json_each(NEW.work, '$."environment.update"') j
   WHERE sys_environment.id = j.value->>0;
  UPDATE sys_environment
     SET status = j.value->>1, status_reason = j.value->>2,
         status_changed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now',
           iif(status_changed_at IS strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), '+0.001 seconds', '+0 seconds')), version = sys_environment.version + 1,
         updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM json_each(NEW.work, '$."environment.status"') j
   WHERE sys_environment.id = j.value->>0;
  UPDATE sys_environment
     SET is_default = 1, version = sys_environment.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM json_each(NEW.work, '$."environment.default"') j
   WHERE sys_environment.id = j.value->>0;
  DELETE FROM sys_environment WHERE id IN (SELECT j.value->>0 FROM json_each(NEW.work, '$."environment.delete"') j);
  INSERT INTO sys_environment_alias (organization_id, slug, environment_id, expires_at)
  SELECT j.value->>0, j.value->>1, j.value->>2, j.value->>3
    FROM json_each(NEW.work, '$."environment.alias.insert"') j;

  INSERT INTO sys_environment_database (environment_id, driver, name, schema_name, url, region)
  SELECT j.value->>0, j.value->>1, j.value->>2, j.value->>3, j.value->>4, j.value->>5
    FROM json_each(NEW.work, '$."database.insert"') j;
  UPDATE sys_environment_database
     SET driver = j.value->>1, schema_name = j.value->>2, url = j.value->>3, region = j.value->>4,
         version = sys_environment_database.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM json_each(NEW.work, '$."database.update"') j
   WHERE sys_environment_database.environment_id = j.value->>0;

  INSERT INTO sys_domain (hostname, environment_id, verified_at, verification_method)
  SELECT j.value->>0, j.value->>1, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 'operator'
    FROM json_each(NEW.work, '$."domain.insert"') j;

  INSERT INTO sys_environment_member (environment_id, user_id, role, invited_by)
  SELECT j.value->>0, j.value->>1, j.value->>2, j.value->>3
    FROM json_each(NEW.work, '$."member.insert"') j;
  UPDATE sys_environment_member
     SET role = j.value->>2, version = sys_environment_member.version + 1,
         updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM json_each(NEW.work, '$."member.update"') j
   WHERE sys_environment_member.environment_id = j.value->>0 AND sys_environment_member.user_id = j.value->>1;
  DELETE FROM sys_environment_member
   WHERE (environment_id, user_id) IN
         (SELECT j.value->>0, j.value->>1 FROM json_each(NEW.work, '$."member.delete"') j);

  INSERT INTO sys_api_key
    (id, environment_id, name, key_hash, last4, user_id, role, scopes, api_rate_limit, burst, max_api_calls_per_day,
     max_api_calls_per_month, max_concurrent_requests, expires_at, rotated_from, created_by)
  SELECT j.value->>0, j.value->>1, j.value->>2, j.value->>3, j.value->>4, j.value->>5, j.value->>6, j.value->>7,
         j.value->>8, j.value->>9, j.value->>10, j.value->>11, j.value->>12, j.value->>13, j.value->>14, j.value->>15
    FROM json_each(NEW.work, '$."api_key.insert"') j;
  UPDATE sys_api_key
     SET expires_at = j.value->>1, revoked_at = j.value->>2, version = sys_api_key.version + 1,
         updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM json_each(NEW.work, '$."api_key.end"') j
   WHERE sys_api_key.id = j.value->>0;

  INSERT INTO sys_session
    (id, token_hash, user_id, active_organization_id, active_environment_id, expires_at, authenticated_at, mfa, sso,
     ip_address, user_agent)
  SELECT j.value->>0, j.value->>1, j.value->>2, j.value->>3, j.value->>4, j.value->>5, j.value->>6, j.value->>7,
         j.value->>8, j.value->>9, j.value->>10
    FROM json_each(NEW.work, '$."session.insert"') j;
  UPDATE sys_session
     SET revoked_at = j.value->>1, version = sys_session.version + 1,
         updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM json_each(NEW.work, '$."session.revoke"') j
   WHERE sys_session.id = j.value->>0;

  INSERT INTO sys_audit_log
    (action, organization_id, environment_id, subject, detail, actor, actor_kind, request_id, remote_addr)
  SELECT j.value->>0, j.value->>1, j.value->>2, j.value->>3, j.value->>4, NEW.actor, NEW.actor_kind, NEW.request_id,
         NEW.remote_addr
    FROM json_each(NEW.work, '$."audit"') j;
  UPDATE sys_operation SET work = '{}' WHERE id = NEW.id;
END;
