package registry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// SessionTable names a table of sessions that an application keeps in the registry's database, such as better-auth's,
// and its columns. Such a table holds the tokens themselves, where sys_session has only their hashes.
type SessionTable struct {
	// Name, Token, User and Expires are required. Token is unique; Expires is text (ISO 8601, UTC) or a number of seconds
	// or milliseconds since 1970.
	Name, Token, User, Expires string
	// Organization holds the id of the active tenant, Environment that of the active environment; either may be NULL, and
	// either column may be left out. Ids are UUIDs.
	Organization, Environment string
}

// Validate refuses what is no table that can be read.
func (t SessionTable) Validate() error {
	for _, column := range []struct{ what, name string }{
		{"table", t.Name}, {"token", t.Token}, {"user", t.User}, {"expiry", t.Expires},
	} {
		if column.name == "" {
			return fmt.Errorf("session table: the name of the %s is missing", column.what)
		}
	}
	seen := map[string]bool{}
	for _, name := range []string{t.Name, t.Token, t.User, t.Expires, t.Organization, t.Environment} {
		if !validIdentifier(name) {
			return fmt.Errorf("session table: %q is not a name of letters, digits and underscores", name)
		}
		folded := strings.ToLower(name)
		if name != "" && name != t.Name && seen[folded] {
			return fmt.Errorf("session table: the column %s is given twice", name)
		}
		seen[folded] = name != t.Name
	}
	if strings.HasPrefix(strings.ToLower(t.Name), "sys_") && !strings.EqualFold(t.Name, "sys_session") {
		return fmt.Errorf("session table: %s is a table of the registry's own", t.Name)
	}
	if strings.EqualFold(t.Name, "sys_session") {
		return errors.New("session table: sys_session is read without being named")
	}
	return nil
}

// validIdentifier reports whether s can be the name of a table or column here; "" can.
func validIdentifier(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return len(s) <= 63
}

// sessionQuery is a table with the statement that reads it.
type sessionQuery struct {
	table SessionTable
	text  string
}

// UseSessionTable makes keys of [KindSessionToken] be looked up in that table; nil ends that.
func (s *Store) UseSessionTable(t *SessionTable) error {
	if t == nil {
		s.sessions.Store(nil)
		return nil
	}
	if err := t.Validate(); err != nil {
		return err
	}
	column := func(name string) string {
		if name == "" {
			return "NULL"
		}
		return quoteIdentifier(name)
	}
	s.sessions.Store(&sessionQuery{table: *t, text: fmt.Sprintf(`SELECT %s, %s, %s, %s FROM %s WHERE %s = ?1`,
		column(t.User), column(t.Expires), column(t.Organization), column(t.Environment), quoteIdentifier(t.Name), column(t.Token))})
	return nil
}

func quoteIdentifier(name string) string { return `"` + name + `"` }

// FollowSessionTable makes every change of the table from [Store.UseSessionTable] show in the change log, by triggers on
// it that stay there: a session that ends is then refused within two polls. It does nothing where they are in place. An
// application that drops the table drops them too; call it again from time to time.
func (s *Store) FollowSessionTable(ctx context.Context) error {
	q := s.sessions.Load()
	if q == nil {
		return nil
	}
	if err := s.migrated(); err != nil {
		return err
	}
	t := q.table
	token, table := quoteIdentifier(t.Token), quoteIdentifier(t.Name)
	names := make([]any, 0, 3)
	for _, event := range []string{"update", "delete", "insert"} {
		names = append(names, triggerName(t, event))
	}
	var there int
	if _, err := s.row(ctx, []any{&there}, `SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name IN (?1, ?2, ?3)`, names...); err != nil || there == len(names) {
		return err
	}
	const row = "SELECT 'session', NULL, NULL, "
	for _, trigger := range []struct{ name, event, rows string }{
		{"update", "AFTER UPDATE", fmt.Sprintf("%[1]sOLD.%[2]s WHERE OLD.%[2]s IS NOT NULL UNION %[1]sNEW.%[2]s WHERE NEW.%[2]s IS NOT NULL", row, token)},
		{"delete", "AFTER DELETE", fmt.Sprintf("%[1]sOLD.%[2]s WHERE OLD.%[2]s IS NOT NULL", row, token)},
		// REPLACE removes what stands in its way without telling the delete trigger.
		{"insert", "BEFORE INSERT", fmt.Sprintf("%[1]s%[2]s FROM %[3]s WHERE %[2]s = NEW.%[2]s", row, token, table)},
	} {
		// Nothing but the token's column is named, so that the application can change its table.
		statement := fmt.Sprintf("CREATE TRIGGER IF NOT EXISTS %s %s ON %s\nBEGIN\n"+
			"  INSERT INTO sys_change (entity, organization_id, environment_id, lookup_key)\n  %s;\nEND",
			quoteIdentifier(triggerName(t, trigger.name)), trigger.event, table, trigger.rows)
		if _, err := s.exec(ctx, statement); err != nil {
			return fmt.Errorf("session table %s: %w", t.Name, err)
		}
	}
	return nil
}

func triggerName(t SessionTable, event string) string {
	return "tenantgate_" + t.Name + "_" + t.Token + "_" + event
}

var errNoSessionTable = errors.New("no session table is configured")

// tableSession returns the session of that token in the application's table, and what it leads to.
func (s *Store) tableSession(ctx context.Context, token string) (*Credential, Reference, error) {
	q := s.sessions.Load()
	if q == nil {
		return nil, Reference{}, s.unavailable(errNoSessionTable.Error())
	}
	var user, expires, organization, environment any
	found, err := s.row(ctx, []any{&user, &expires, &organization, &environment}, q.text, token)
	if err != nil || !found {
		return nil, Reference{}, err
	}
	c := &Credential{User: anyText(user)}
	if c.ExpiresAt, err = sessionTime(expires); err != nil {
		return nil, Reference{}, s.unreadableCredential("a session's "+q.table.Expires, err)
	}
	if c.Expired(s.now()) || c.User == "" {
		return nil, Reference{}, nil
	}
	return c, c.activeReference(anyText(organization), anyText(environment)), nil
}

// anyText returns a column's text; "" for NULL.
func anyText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case int64:
		return fmt.Sprint(v)
	}
	return ""
}

// sessionTime reads a time as applications write it: ISO 8601 text, or seconds or milliseconds since 1970.
func sessionTime(v any) (time.Time, error) {
	const afterThatMilliseconds = 100_000_000_000 // in seconds, that is the year 5138
	switch v := v.(type) {
	case time.Time:
		return v.UTC(), nil
	case int64:
		if v >= afterThatMilliseconds {
			return time.UnixMilli(v).UTC(), nil
		}
		return time.Unix(v, 0).UTC(), nil
	case float64:
		if math.IsNaN(v) || math.Abs(v) > math.MaxInt32*1e6 {
			return time.Time{}, errors.New("the number is no time")
		}
		return sessionTime(int64(v))
	case []byte:
		return sessionTime(string(v))
	case string:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", time.DateTime} {
			if t, err := time.Parse(layout, v); err == nil {
				return t.UTC(), nil
			}
		}
	}
	return time.Time{}, errors.New("it is neither ISO 8601 nor a number")
}
