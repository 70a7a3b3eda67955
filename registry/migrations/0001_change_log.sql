-- The registry's own identity, and the log of changes that gateways poll.

-- One row. The id tells a gateway that its registry was replaced by another one, whose change log counts anew.
CREATE TABLE sys_registry (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  id         TEXT NOT NULL,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- A UUID of version 7 (RFC 9562 §5.7): milliseconds since 1970, then random bits.
INSERT INTO sys_registry (one, id)
SELECT 1, substr(ms, 1, 8) || '-' || substr(ms, 9, 4) || '-7' || substr(r, 1, 3) || '-'
       || substr('89ab', 1 + (random() & 3), 1) || substr(r, 4, 3) || '-' || substr(r, 7, 12)
  FROM (SELECT printf('%012x', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)) AS ms,
               lower(hex(randomblob(9))) AS r);

CREATE TRIGGER sys_registry_keep BEFORE DELETE ON sys_registry
BEGIN
  SELECT RAISE(ABORT, 'the registry''s identity cannot be deleted');
END;

-- Flags that a trigger or an import sets and removes within one statement or transaction, so that it is empty for
-- everyone else: 'quiet' while a large import writes one row to sys_change for all that it does, 'default' while one
-- environment takes over from another as the default of its organization.
CREATE TABLE sys_guard (
  flag TEXT PRIMARY KEY CHECK (flag IN ('quiet', 'default'))
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT: a number is never given twice, even when the newest rows were trimmed; sqlite_sequence remembers the
-- highest.
CREATE TABLE sys_change (
  seq             INTEGER PRIMARY KEY AUTOINCREMENT,
  entity          TEXT NOT NULL,
  organization_id TEXT,
  environment_id  TEXT,
  lookup_key      TEXT,
  changed_at      TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
