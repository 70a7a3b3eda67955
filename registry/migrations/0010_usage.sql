-- What was used of the allowances, per calendar period in UTC. Each gateway counts in rows of its own (node), so that a
-- flush that is repeated, because its answer was lost, sets the same value again; the sum over the nodes is the use.
CREATE TABLE sys_usage (
  organization_id TEXT NOT NULL REFERENCES sys_organization (id),
  -- Empty: the tenant as a whole.
  environment_id TEXT NOT NULL DEFAULT '',
  -- Empty, or the API key that has an allowance of its own.
  api_key_id TEXT NOT NULL DEFAULT '',
  metric TEXT NOT NULL DEFAULT 'requests' CHECK (length(metric) BETWEEN 1 AND 63),
  period TEXT NOT NULL
    CHECK (period IN ('day', 'month')),
  -- The period's first instant.
  period_start TEXT NOT NULL
    CHECK (period_start GLOB '????-??-??T??:??:??*Z' AND julianday(period_start) IS NOT NULL),
  node TEXT NOT NULL DEFAULT '' CHECK (length(node) <= 63),
  used INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  PRIMARY KEY (organization_id, period, period_start, environment_id, api_key_id, metric, node)
) STRICT, WITHOUT ROWID;

CREATE INDEX sys_usage_period ON sys_usage (period, period_start);

CREATE TRIGGER sys_organization_cascade_usage AFTER DELETE ON sys_organization
BEGIN
  DELETE FROM sys_usage WHERE organization_id = OLD.id;
END;
