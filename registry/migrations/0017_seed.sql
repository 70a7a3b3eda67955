-- What the configurations of gateways have applied last, by name: an import file by its path, the plans of a Caddyfile. What
-- stands here with the same content is not applied again by a start, so that a start does not undo what was changed since.
CREATE TABLE sys_seed (
  name TEXT PRIMARY KEY NOT NULL CHECK (length(name) BETWEEN 1 AND 4096),
  -- Lower-case hex SHA-256 of the content.
  hash TEXT NOT NULL CHECK (length(hash) = 64 AND hash NOT GLOB '*[^0-9a-f]*'),
  applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
