package registry

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
)

// betterAuth is the table of better-auth with its own names.
var betterAuth = SessionTable{
	Name: "session", Token: "token", User: "userId", Expires: "expiresAt",
	Organization: "activeOrganizationId", Environment: "activeEnvironmentId",
}

func makeSessionTable(t *testing.T, s *Store) {
	t.Helper()
	run(t, s, `CREATE TABLE "session" ("id" text PRIMARY KEY, "expiresAt" date NOT NULL, "token" text NOT NULL UNIQUE,
  "userId" text NOT NULL, "activeOrganizationId" text, "activeEnvironmentId" text, "ipAddress" text)`)
}

func addSession(t *testing.T, s *Store, token, user string, expires any, organization, environment string) {
	t.Helper()
	run(t, s, `INSERT INTO session (id, token, userId, expiresAt, activeOrganizationId, activeEnvironmentId) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`,
		token, token, user, expires, null(organization), null(environment))
}

// Promise: the session table of an application is read as it is, in every form of time that such tables have.
func TestSessionTable(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		s.now = noon
		world(t, s)
		makeSessionTable(t, s)
		if err := s.UseSessionTable(&betterAuth); err != nil {
			t.Fatal(err)
		}
		later := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		addSession(t, s, "iso", "u1", "2030-01-01T00:00:00.000Z", idAcme, idAcmeDev)
		addSession(t, s, "plain", "u1", "2030-01-01 00:00:00", idAcme, "")
		addSession(t, s, "seconds", "u1", later.Unix(), "", idAcmeDev)
		addSession(t, s, "milliseconds", "u1", later.UnixMilli(), "", "")
		addSession(t, s, "over", "u1", "2026-06-01T12:00:00.000Z", idAcme, "")
		addSession(t, s, "elsewhere", "u1", "2030-01-01T00:00:00.000Z", "0190a000-0000-7000-8000-00000000ffff", "")
		addSession(t, s, "no uuid", "u1", "2030-01-01T00:00:00.000Z", "acme", "")
		addSession(t, s, "no time", "u1", "tomorrow", idAcme, "")
		for _, test := range []struct{ token, want string }{
			{"iso", "acme/dev"},
			{"plain", "acme/production"},
			{"seconds", "acme/dev"},
			{"milliseconds", "u1 nowhere"},
			{"over", "-"},
			{"none", "-"},
			{"ISO", "-"},
			{"elsewhere", "u1 unknown tenant"},
			{"no uuid", "u1 unknown tenant"}, // a slug could be chosen by somebody else
			{"no time", "unavailable"},
		} {
			r, err := s.Resolve(t.Context(), Reference{Kind: KindSessionToken, Key: test.token})
			got := "-"
			var missing *NotFoundError
			switch {
			case err == nil:
				got = r.Tenant.Slug + "/" + r.Environment.Slug
				if !r.Credential.ExpiresAt.Equal(later) || r.Credential.User != "u1" {
					t.Errorf("%s: %+v", test.token, r.Credential)
				}
			case errors.Is(err, ErrUnavailable):
				got = "unavailable"
			case errors.As(err, &missing) && missing.Credential != nil && missing.Credential.NamesTenant:
				got = missing.Credential.User + " unknown tenant"
			case errors.As(err, &missing) && missing.Credential != nil:
				got = missing.Credential.User + " nowhere"
			}
			if got != test.want {
				t.Errorf("%s: got %s, want %s (%v)", test.token, got, test.want, err)
			}
		}
		// A table with fewer columns.
		few := SessionTable{Name: "session", Token: "token", User: "userId", Expires: "expiresAt"}
		if err := s.UseSessionTable(&few); err != nil {
			t.Fatal(err)
		}
		_, err := s.Resolve(t.Context(), Reference{Kind: KindSessionToken, Key: "iso"})
		var missing *NotFoundError
		if !errors.As(err, &missing) || missing.Credential == nil || missing.Credential.NamesTenant {
			t.Errorf("without columns for tenant and environment: %v", err)
		}
	})
}

// Promise: whatever ends or alters a session of the application's table is in the change log with the token, and nothing
// else of that table is; a table that is not there yet is an error that says so, never an unknown session.
func TestFollowSessionTable(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		s.now = noon
		world(t, s)
		if err := s.UseSessionTable(&betterAuth); err != nil {
			t.Fatal(err)
		}
		if err := s.FollowSessionTable(t.Context()); err == nil {
			t.Error("a missing table was followed")
		}
		if _, err := s.Resolve(t.Context(), Reference{Kind: KindSessionToken, Key: "x"}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("without the table: %v", err)
		}
		makeSessionTable(t, s)
		for range 2 {
			if err := s.FollowSessionTable(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		position := one[int64](t, s, `SELECT max(seq) FROM sys_change`)
		for _, test := range []struct {
			statement string
			want      []string
		}{
			{`INSERT INTO session (id, token, userId, expiresAt) VALUES ('1', 'one', 'u1', '2030-01-01T00:00:00.000Z')`, nil},
			{`UPDATE session SET activeOrganizationId = '` + idAcme + `' WHERE token = 'one'`, []string{"one"}},
			{`UPDATE session SET token = 'two' WHERE token = 'one'`, []string{"one", "two"}},
			{`INSERT OR REPLACE INTO session (id, token, userId, expiresAt) VALUES ('2', 'two', 'u2', '2030-01-01T00:00:00.000Z')`, []string{"two"}},
			{`DELETE FROM session WHERE token = 'two'`, []string{"two"}},
		} {
			run(t, s, test.statement)
			changes, err := s.Changes(t.Context(), position, 100)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, ch := range changes.List {
				if ch.Entity != "session" || ch.Tenant != uuid.Nil || ch.Environment != uuid.Nil {
					t.Errorf("%s: %+v", test.statement, ch)
				}
				got = append(got, ch.Key)
				position = ch.Seq
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("%s: got %q, want %q", test.statement, got, test.want)
			}
		}
	})
}

// Promise: nothing but a plain name gets into a statement.
func TestSessionTableNames(t *testing.T) {
	s := opened(t, Options{URL: "file:" + t.TempDir() + "/registry.db"})
	good := betterAuth
	for name, change := range map[string]func(*SessionTable){
		"no table":            func(t *SessionTable) { t.Name = "" },
		"no token":            func(t *SessionTable) { t.Token = "" },
		"no user":             func(t *SessionTable) { t.User = "" },
		"no expiry":           func(t *SessionTable) { t.Expires = "" },
		"a quote":             func(t *SessionTable) { t.Name = `session" --` },
		"a space":             func(t *SessionTable) { t.Token = "to ken" },
		"a digit first":       func(t *SessionTable) { t.Token = "1token" },
		"a column twice":      func(t *SessionTable) { t.User = "Token" },
		"the registry's own":  func(t *SessionTable) { t.Name = "sys_plan" },
		"the registry's list": func(t *SessionTable) { t.Name = "sys_session" },
		"a long name":         func(t *SessionTable) { t.Name = "s23456789012345678901234567890123456789012345678901234567890123x" },
	} {
		bad := good
		change(&bad)
		if s.UseSessionTable(&bad) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := s.UseSessionTable(&good); err != nil {
		t.Error(err)
	}
	if err := s.UseSessionTable(nil); err != nil {
		t.Error(err)
	}
}
