-- Who may use an environment, and as what.
CREATE TABLE sys_environment_member (
  environment_id TEXT NOT NULL REFERENCES sys_environment (id),
  -- The user's id in the identity provider.
  user_id TEXT NOT NULL CHECK (length(user_id) BETWEEN 1 AND 255),
  role TEXT NOT NULL
    CHECK (role IN ('env_admin', 'env_maker', 'env_user', 'env_viewer')),
  invited_by TEXT CHECK (length(invited_by) BETWEEN 1 AND 255),
  version    INTEGER NOT NULL DEFAULT 1,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  PRIMARY KEY (environment_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sys_environment_member_user ON sys_environment_member (user_id);

-- Any writer's update counts, so that a version once read proves that nothing changed since.
CREATE TRIGGER sys_environment_member_version AFTER UPDATE ON sys_environment_member
  WHEN NEW.version = OLD.version
BEGIN
  UPDATE sys_environment_member SET version = OLD.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
   WHERE environment_id = NEW.environment_id AND user_id = NEW.user_id;
END;

CREATE TRIGGER sys_environment_member_change_insert AFTER INSERT ON sys_environment_member
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'environment_member', organization_id, id, NEW.user_id FROM sys_environment
   WHERE id = NEW.environment_id;
END;

CREATE TRIGGER sys_environment_member_change_update AFTER UPDATE ON sys_environment_member
  WHEN (NEW.environment_id, NEW.user_id, NEW.role)
       IS NOT
       (OLD.environment_id, OLD.user_id, OLD.role)
       AND NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'environment_member', organization_id, id, OLD.user_id FROM sys_environment
   WHERE id = OLD.environment_id AND (NEW.environment_id, NEW.user_id) IS NOT (OLD.environment_id, OLD.user_id);
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'environment_member', organization_id, id, NEW.user_id FROM sys_environment
   WHERE id = NEW.environment_id;
END;

CREATE TRIGGER sys_environment_member_change_delete AFTER DELETE ON sys_environment_member
  WHEN NOT EXISTS (SELECT 1 FROM sys_guard WHERE flag = 'quiet')
BEGIN
  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)
  SELECT 'environment_member', organization_id, id, OLD.user_id FROM sys_environment
   WHERE id = OLD.environment_id;
END;

CREATE TRIGGER sys_environment_cascade_member BEFORE DELETE ON sys_environment
BEGIN
  DELETE FROM sys_environment_member WHERE environment_id = OLD.id;
END;
