package registry

import (
	"strings"
	"testing"
	"time"
)

// Promise: a session lets in from its creation until it is revoked, and gateways hear of that; neither shows its hash.
func TestSessions(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		newTenant(t, s, "acme")
		hash, later := hashOf("token"), time.Now().Add(time.Hour)
		id := must(s.CreateSession(ctx, operator, NewSession{
			Hash: hash, UserID: "u", Tenant: "acme", Environment: "dev", ExpiresAt: later, AuthenticatedAt: time.Now(), MFA: true, IPAddress: "192.0.2.1", UserAgent: "curl",
		}))(t)
		r := must(s.Resolve(ctx, Reference{Kind: KindSession, Key: hash}))(t)
		if r.Environment.Slug != "dev" || r.Credential.ID != id.String() || !r.Credential.MFA || r.Credential.SSO || r.Credential.User != "u" {
			t.Errorf("got %+v", r.Credential)
		}
		_, err := s.CreateSession(ctx, operator, NewSession{Hash: hash, UserID: "u", ExpiresAt: later})
		wantRefusal(t, "the same token", err, CodeDuplicate, "hash")
		before := must(s.Changes(ctx, 0, 0))(t)
		wantRefusal(t, "revoke", s.RevokeSession(ctx, operator, hash), "", "")
		if list := must(s.Changes(ctx, before.Newest, 0))(t).List; len(list) != 1 || list[0].Entity != "session" || list[0].Key != hash {
			t.Errorf("the change log has %+v", list)
		}
		if _, err := s.Resolve(ctx, Reference{Kind: KindSession, Key: hash}); Code(err) != CodeNotFound {
			t.Errorf("a revoked session: %v", err)
		}
		rows := counts(t, s)
		if wantRefusal(t, "again", s.RevokeSession(ctx, operator, hash), "", ""); counts(t, s) != rows {
			t.Error("revoking it again wrote something")
		}
		wantRefusal(t, "unknown", s.RevokeSession(ctx, operator, hashOf("none")), CodeNotFound, "")
		wantRefusal(t, "no hash", s.RevokeSession(ctx, operator, "x"), CodeInvalid, "hash")
		must(s.CreateSession(ctx, operator, NewSession{Hash: hashOf("nobody's"), UserID: "u", ExpiresAt: later}))(t)
		for what, test := range map[string]struct {
			n           NewSession
			code, field string
		}{
			"hash":        {NewSession{UserID: "u", ExpiresAt: later}, CodeInvalid, "hash"},
			"user":        {NewSession{Hash: hashOf("x"), ExpiresAt: later}, CodeInvalid, "userId"},
			"expired":     {NewSession{Hash: hashOf("x"), UserID: "u"}, CodeInvalid, "expiresAt"},
			"no tenant":   {NewSession{Hash: hashOf("x"), UserID: "u", ExpiresAt: later, Environment: "dev"}, CodeInvalid, "environment"},
			"tenant":      {NewSession{Hash: hashOf("x"), UserID: "u", ExpiresAt: later, Tenant: "none"}, CodeNotFound, ""},
			"environment": {NewSession{Hash: hashOf("x"), UserID: "u", ExpiresAt: later, Tenant: "acme", Environment: "none"}, CodeNotFound, ""},
			"address":     {NewSession{Hash: hashOf("x"), UserID: "u", ExpiresAt: later, IPAddress: strings.Repeat("1", 64)}, CodeTooLong, "ipAddress"},
			"agent":       {NewSession{Hash: hashOf("x"), UserID: "u", ExpiresAt: later, UserAgent: "a\x00b"}, CodeInvalid, "userAgent"},
		} {
			_, err := s.CreateSession(ctx, operator, test.n)
			wantRefusal(t, what, err, test.code, test.field)
		}
		audit, _, err := s.ListAudit(ctx, AuditFilter{Action: "session."})
		if err != nil || len(audit) != 3 || strings.Contains(mustJSON(audit), hash) || audit[1].Action != "session.revoke" || audit[1].Subject != id.String() {
			t.Errorf("got %s, %v", mustJSON(audit), err)
		}
		sound(t, s)
	})
}
