package registry

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Promise: a key lets in from its creation until it is revoked, has expired, or was rotated and its grace is over; no
// list, error or audit row shows its hash.
func TestAPIKeys(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		now := time.Now().UTC().Truncate(time.Millisecond)
		s.now = func() time.Time { return now }
		newTenant(t, s, "acme")
		admits := func(name string) bool {
			_, err := s.Resolve(ctx, Reference{Kind: KindAPIKey, Key: hashOf(name)})
			return err == nil
		}
		first := must(s.CreateAPIKey(ctx, operator, "acme", "dev", NewAPIKey{
			Name: "deploy", KeySecret: KeySecret{Hash: hashOf("one"), Last4: "1234"}, UserID: "u", Role: "env_maker", Scopes: []string{"read", "write"},
			Quotas: Quotas{APIRateLimit: 5, MaxConcurrentRequests: 2}, ExpiresAt: now.Add(240 * time.Hour),
		}))(t)
		if first.Version != 1 || first.Last4 != "1234" || len(first.Scopes) != 2 || first.Quotas.APIRateLimit != 5 || first.CreatedBy != operator.ID ||
			!first.ExpiresAt.Equal(now.Add(240*time.Hour)) || !first.RevokedAt.IsZero() || first.RotatedFrom != uuid.Nil {
			t.Errorf("got %+v", first)
		}
		r := must(s.Resolve(ctx, Reference{Kind: KindAPIKey, Key: hashOf("one")}))(t)
		if r.Environment.Slug != "dev" || r.Credential.Role != RoleMaker || r.Credential.Quotas != first.Quotas || r.Credential.User != "u" {
			t.Errorf("got %+v", r.Credential)
		}
		_, err := s.CreateAPIKey(ctx, operator, "acme", "dev", NewAPIKey{Name: "again", KeySecret: KeySecret{Hash: hashOf("one")}})
		wantRefusal(t, "the same key", err, CodeDuplicate, "hash")

		second := must(s.RotateAPIKey(ctx, operator, "acme", "dev", first.ID.String(), 1, KeySecret{Hash: hashOf("two"), Last4: "5678"}, time.Hour))(t)
		if second.ID == first.ID || second.RotatedFrom != first.ID || second.Name != first.Name || second.Quotas != first.Quotas || !second.ExpiresAt.Equal(first.ExpiresAt) || second.Last4 != "5678" {
			t.Errorf("got %+v", second)
		}
		if !admits("one") || !admits("two") {
			t.Error("within the grace both keys hold")
		}
		now = now.Add(time.Hour + time.Second)
		if admits("one") || !admits("two") {
			t.Error("after the grace only the new key holds")
		}
		_, err = s.RotateAPIKey(ctx, operator, "acme", "dev", first.ID.String(), 0, KeySecret{Hash: hashOf("three")}, 0)
		wantRefusal(t, "rotate what has expired", err, CodeStateConflict, "")
		_, err = s.RotateAPIKey(ctx, operator, "acme", "dev", second.ID.String(), 99, KeySecret{Hash: hashOf("three")}, 0)
		wantRefusal(t, "stale", err, CodeVersionConflict, "")
		_, err = s.RotateAPIKey(ctx, operator, "acme", "dev", second.ID.String(), 0, KeySecret{Hash: hashOf("three")}, -1)
		wantRefusal(t, "negative grace", err, CodeInvalid, "grace")
		third := must(s.RotateAPIKey(ctx, operator, "acme", "dev", second.ID.String(), 0, KeySecret{Hash: hashOf("three")}, 0))(t)
		if admits("two") || !admits("three") || must(s.GetAPIKey(ctx, "acme", "dev", second.ID.String()))(t).RevokedAt.IsZero() {
			t.Error("without grace the old key ends at once")
		}
		before := must(s.Changes(ctx, 0, 0))(t)
		revoked := must(s.RevokeAPIKey(ctx, operator, "acme", "dev", third.ID.String(), 1))(t)
		if admits("three") || revoked.RevokedAt.IsZero() || revoked.Version != 2 || !revoked.ExpiresAt.Equal(first.ExpiresAt) {
			t.Errorf("got %+v", revoked)
		}
		if list := must(s.Changes(ctx, before.Newest, 0))(t).List; len(list) != 1 || list[0].Entity != "api_key" || list[0].Key != hashOf("three") {
			t.Errorf("the change log has %+v", list)
		}
		rows := counts(t, s)
		if again := must(s.RevokeAPIKey(ctx, operator, "acme", "dev", third.ID.String(), 0))(t); !again.RevokedAt.Equal(revoked.RevokedAt) || counts(t, s) != rows {
			t.Error("revoking it again wrote something")
		}
		_, err = s.RevokeAPIKey(ctx, operator, "acme", "production", third.ID.String(), 0)
		wantRefusal(t, "in another environment", err, CodeNotFound, "")
		_, err = s.GetAPIKey(ctx, "acme", "dev", "no uuid")
		wantRefusal(t, "no id", err, CodeNotFound, "")

		var list []*APIKey
		for page := (Page{Limit: 2}); ; {
			part, next, err := s.ListAPIKeys(ctx, "acme", "dev", page)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, part...)
			if page.Cursor = next; next == "" {
				break
			}
		}
		if len(list) != 3 || list[0].ID != first.ID || list[2].ID != third.ID {
			t.Errorf("got %s", mustJSON(list))
		}
		audit, _, err := s.ListAudit(ctx, AuditFilter{Action: "api_key."})
		if err != nil || len(audit) != 4 {
			t.Fatalf("%d rows, %v", len(audit), err)
		}
		shown := mustJSON(list) + mustJSON(audit) + strings.Join(allText(t, s, `SELECT work FROM sys_operation`), "")
		for _, name := range []string{"one", "two", "three"} {
			if strings.Contains(shown, hashOf(name)) {
				t.Errorf("the hash of %s is shown", name)
			}
		}
		sound(t, s)
	})
}

// Promise: what makes no key is refused with its place.
func TestCreateAPIKeyRefuses(t *testing.T) {
	t.Parallel()
	s := migrated(t, backends()[0].open(t))
	newTenant(t, s, "acme")
	good := KeySecret{Hash: hashOf("k")}
	for what, test := range map[string]struct {
		k           NewAPIKey
		code, field string
	}{
		"no name":     {NewAPIKey{KeySecret: good}, CodeInvalid, "name"},
		"long name":   {NewAPIKey{Name: strings.Repeat("n", 256), KeySecret: good}, CodeTooLong, "name"},
		"no hash":     {NewAPIKey{Name: "k"}, CodeInvalid, "hash"},
		"upper hash":  {NewAPIKey{Name: "k", KeySecret: KeySecret{Hash: strings.ToUpper(good.Hash)}}, CodeInvalid, "hash"},
		"last5":       {NewAPIKey{Name: "k", KeySecret: KeySecret{Hash: good.Hash, Last4: "12345"}}, CodeInvalid, "last4"},
		"odd last4":   {NewAPIKey{Name: "k", KeySecret: KeySecret{Hash: good.Hash, Last4: "12 4"}}, CodeInvalid, "last4"},
		"user":        {NewAPIKey{Name: "k", KeySecret: good, UserID: "a\n"}, CodeInvalid, "userId"},
		"role":        {NewAPIKey{Name: "k", KeySecret: good, Role: "admin"}, CodeInvalid, "role"},
		"scopes":      {NewAPIKey{Name: "k", KeySecret: good, Scopes: make([]string, 65)}, CodeTooLong, "scopes"},
		"empty scope": {NewAPIKey{Name: "k", KeySecret: good, Scopes: []string{"a", ""}}, CodeInvalid, "scopes[1]"},
		"quota":       {NewAPIKey{Name: "k", KeySecret: good, Quotas: Quotas{Burst: -1}}, CodeInvalid, "quotas"},
		"other quota": {NewAPIKey{Name: "k", KeySecret: good, Quotas: Quotas{MaxUsers: 1}}, CodeInvalid, "quotas"},
		"expired":     {NewAPIKey{Name: "k", KeySecret: good, ExpiresAt: time.Now().Add(-time.Second)}, CodeInvalid, "expiresAt"},
	} {
		before := counts(t, s)
		_, err := s.CreateAPIKey(t.Context(), operator, "acme", "", test.k)
		if wantRefusal(t, what, err, test.code, test.field); counts(t, s) != before {
			t.Errorf("%s: something was written", what)
		}
	}
}
