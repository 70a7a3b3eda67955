-- Credentials of databases are written. The secret of a revoked one is destroyed, whoever revokes it, and nothing else
-- is without one.
CREATE TRIGGER sys_database_credential_sealed_insert BEFORE INSERT ON sys_database_credential
  WHEN NEW.status <> 'revoked' AND length(NEW.ciphertext) = 0
BEGIN
  SELECT RAISE(ABORT, 'a credential that is not revoked holds a sealed secret');
END;

CREATE TRIGGER sys_database_credential_sealed_update BEFORE UPDATE OF status, ciphertext ON sys_database_credential
  WHEN NEW.status <> 'revoked' AND length(NEW.ciphertext) = 0
BEGIN
  SELECT RAISE(ABORT, 'a credential that is not revoked holds a sealed secret');
END;

CREATE TRIGGER sys_database_credential_final BEFORE UPDATE OF status ON sys_database_credential
  WHEN OLD.status = 'revoked' AND NEW.status <> 'revoked'
BEGIN
  SELECT RAISE(ABORT, 'a revoked credential stays revoked');
END;

CREATE TRIGGER sys_database_credential_destroy_insert AFTER INSERT ON sys_database_credential
  WHEN NEW.status = 'revoked' AND length(NEW.ciphertext) > 0
BEGIN
  UPDATE sys_database_credential
     SET ciphertext = x'', revoked_at = coalesce(revoked_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
   WHERE id = NEW.id;
END;

CREATE TRIGGER sys_database_credential_destroy_update AFTER UPDATE OF status, ciphertext ON sys_database_credential
  WHEN NEW.status = 'revoked' AND length(NEW.ciphertext) > 0
BEGIN
  UPDATE sys_database_credential
     SET ciphertext = x'', revoked_at = coalesce(revoked_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
   WHERE id = NEW.id;
END;

UPDATE sys_database_credential SET ciphertext = x'' WHERE status = 'revoked' AND length(ciphertext) > 0;

-- Which keys are in use, and by how many.
CREATE INDEX sys_database_credential_key ON sys_database_credential (key_id) WHERE status <> 'revoked';

-- The work of an operation that is about credentials. It is done by the same INSERT into sys_operation as the rest of the
-- operation, and so all of both is done or nothing; which of the two triggers is first does not matter.
CREATE TRIGGER sys_operation_apply_credential AFTER INSERT ON sys_operation
  WHEN EXISTS (SELECT 1 FROM json_each(NEW.work) WHERE key GLOB 'database_credential.*')
BEGIN
  SELECT RAISE(ABORT, 'operation: another writer changed sys_database_credential')
    FROM json_each(NEW.work, '$."database_credential.expect"') j
    LEFT JOIN sys_database_credential t ON t.id = j.value->>0
   WHERE t.version IS NOT j.value->>1;

  -- The one before a new one gives way first, since of each scope one is active.
  UPDATE sys_database_credential
     SET status = j.value->>1, revoked_at = j.value->>2,
         ciphertext = iif(j.value->>1 = 'revoked', x'', sys_database_credential.ciphertext),
         version = sys_database_credential.version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM json_each(NEW.work, '$."database_credential.status"') j
   WHERE sys_database_credential.id = j.value->>0;
  INSERT INTO sys_database_credential (id, environment_id, scope, ciphertext, key_id, rotated_from, expires_at)
  SELECT j.value->>0, j.value->>1, j.value->>2, unhex(j.value->>3), j.value->>4, j.value->>5, j.value->>6
    FROM json_each(NEW.work, '$."database_credential.insert"') j;
  UPDATE sys_database_credential
     SET ciphertext = unhex(j.value->>1), key_id = j.value->>2, version = sys_database_credential.version + 1,
         updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
    FROM json_each(NEW.work, '$."database_credential.reseal"') j
   WHERE sys_database_credential.id = j.value->>0;
END;
