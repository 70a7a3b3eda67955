-- What one account has used in a stretch of days is read at the start of each day and at a gateway's start.
CREATE INDEX sys_usage_account ON sys_usage (organization_id, environment_id, api_key_id, metric, period, period_start, node, used);

-- What applications report of the quotas that they own (maxUsers, maxStorageBytes, …): the present value, not a sum.
CREATE TABLE sys_resource_usage (
  organization_id TEXT NOT NULL REFERENCES sys_organization (id),
  -- Empty: the tenant as a whole.
  environment_id TEXT NOT NULL DEFAULT '',
  -- The quota's name.
  metric TEXT NOT NULL CHECK (length(metric) BETWEEN 1 AND 63),
  -- The day's first instant for what is counted per day, empty for everything else.
  period_start TEXT NOT NULL DEFAULT ''
    CHECK (period_start = '' OR period_start GLOB '????-??-??T??:??:??*Z' AND julianday(period_start) IS NOT NULL),
  used INTEGER NOT NULL CHECK (used >= 0),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  PRIMARY KEY (organization_id, metric, period_start, environment_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER sys_organization_cascade_resource_usage AFTER DELETE ON sys_organization
BEGIN
  DELETE FROM sys_resource_usage WHERE organization_id = OLD.id;
END;

CREATE TRIGGER sys_environment_cascade_resource_usage AFTER DELETE ON sys_environment
BEGIN
  DELETE FROM sys_resource_usage WHERE organization_id = OLD.organization_id AND environment_id = OLD.id;
END;
