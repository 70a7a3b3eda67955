package registry

import "context"

// Seed returns the lower-case hex SHA-256 of what was last applied under a name, such as an import file's path; "" when
// nothing was. Errors wrap [ErrUnavailable].
func (s *Store) Seed(ctx context.Context, name string) (hash string, err error) {
	if err := s.migrated(); err != nil {
		return "", err
	}
	_, err = s.row(ctx, []any{&hash}, `SELECT hash FROM sys_seed WHERE name = ?1`, name)
	return hash, err
}

// SetSeed notes what was applied under a name. To do it twice does no harm. Errors wrap [ErrUnavailable].
func (s *Store) SetSeed(ctx context.Context, name, hash string) error {
	if err := s.migrated(); err != nil {
		return err
	}
	_, err := s.exec(ctx, `INSERT INTO sys_seed (name, hash) VALUES (?1, ?2)
  ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, applied_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')`, name, hash)
	return err
}
