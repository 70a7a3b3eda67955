package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: a WebSocket is closed within two polls when the session or API key by which it was opened is revoked, when its
// session moves to another tenant, and when its user is no longer a member; those of others go on.
func TestRevocationClosesStreams(t *testing.T) {
	const poll = time.Second
	onEachBackendAlone(t, func(t *testing.T, b backend) {
		u := startStreamUpstream(t)
		b.load(t, streamTenants(u))
		p := newPeople(t, b)
		inAcme := row{"active_environment_id": acmeProdID}
		for _, user := range []string{"signs-out", "moves", "leaves", "stays", "named"} {
			p.member(t, acmeProdID, user, "env_user")
		}
		sessions := map[string]string{"named": p.session(t, "named")} // its session says only who it is
		for _, user := range []string{"signs-out", "moves", "leaves", "stays"} {
			sessions[user] = p.session(t, user, inAcme)
		}
		key, other := p.key(t, acmeProdID), p.key(t, acmeProdID)
		o := streamOptions(b, "")
		o.Env = append(o.Env, "AUTH_SECRET="+identitySessionSecret)
		o.Site = "tenant {\nidentify subdomain {tenant}.app.test\nidentify session {\nsecret {env.AUTH_SECRET}\n}\nidentify api_key\n}\n" +
			"reverse_proxy {\ndynamic tenant\n}"
		g := harness.Start(t, o)
		byCookie := func(user string) *stream {
			return openSocketWith(t, g, "acme.app.test", http.Header{"Cookie": {sessions[user]}})
		}
		byKey := func(key string) *stream {
			return openSocketWith(t, g, "acme.app.test", http.Header{"X-Api-Key": {key}})
		}
		signsOut, moves, leaves, named, revoked := byCookie("signs-out"), byCookie("moves"), byCookie("leaves"), byCookie("named"), byKey(key)
		others := []*stream{byCookie("stays"), byKey(other), openSocket(t, g, "globex.app.test")}
		for _, step := range []struct {
			stream *stream
			reason string
			query  string
			args   []any
		}{
			{revoked, "credentials_invalid", "UPDATE sys_api_key SET revoked_at = ? WHERE key_hash = ?", []any{rfc3339(0), hashOf(key)}},
			{signsOut, "credentials_invalid", "DELETE FROM sys_session WHERE token_hash = ?", []any{hashOfCookie(t, sessions["signs-out"])}},
			{named, "credentials_invalid", "UPDATE sys_session SET revoked_at = ? WHERE token_hash = ?", []any{rfc3339(0), hashOfCookie(t, sessions["named"])}},
			{moves, "misdirected_request", "UPDATE sys_session SET active_environment_id = ? WHERE token_hash = ?", []any{globexProd, hashOfCookie(t, sessions["moves"])}},
			{leaves, "membership_required", "DELETE FROM sys_environment_member WHERE user_id = ?", []any{"leaves"}},
		} {
			p.exec(t, step.query, step.args...)
			checkClosed(t, step.stream, websocket.StatusPolicyViolation, step.reason, time.Now(), 2*poll)
		}
		checkOpen(t, others)
	})
}
