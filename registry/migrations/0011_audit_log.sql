-- Who did what. Rows outlive what they speak of, so nothing here refers to another table.
CREATE TABLE sys_audit_log (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at  TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  -- A user's id, or the name of a tool; its kind says which.
  actor      TEXT NOT NULL CHECK (length(actor) BETWEEN 1 AND 255),
  actor_kind TEXT CHECK (length(actor_kind) BETWEEN 1 AND 63),
  -- Like organization.create, environment.suspend, import.apply.
  action TEXT NOT NULL CHECK (length(action) BETWEEN 1 AND 63),
  organization_id TEXT,
  environment_id  TEXT,
  -- The id, host name or plan name of what was touched.
  subject TEXT CHECK (length(subject) BETWEEN 1 AND 300),
  -- What changed, without secrets.
  detail TEXT CHECK (detail IS NULL OR json_valid(detail)),
  request_id  TEXT CHECK (length(request_id) BETWEEN 1 AND 255),
  remote_addr TEXT CHECK (length(remote_addr) BETWEEN 1 AND 63)
) STRICT;

CREATE INDEX sys_audit_log_organization ON sys_audit_log (organization_id, seq) WHERE organization_id IS NOT NULL;

-- It is appended to, and trimmed; what stands there stays as it is.
CREATE TRIGGER sys_audit_log_fixed BEFORE UPDATE ON sys_audit_log
BEGIN
  SELECT RAISE(ABORT, 'the audit log is never rewritten');
END;
