package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/router/credential"
	"github.com/tenantgate/tenantgate/test/harness"
)

// What signs the tokens and the cookies of the tests.
const (
	identityTokenSecret   = "identity-e2e-token-secret-of-more-than-32-bytes"
	identitySessionSecret = "identity-e2e-session-secret-of-40-bytes"
)

// people writes credentials and members into a registry as any application may that has an SQL client.
type people struct{ db *sql.DB }

func newPeople(t *testing.T, b backend) people {
	t.Helper()
	return people{harness.OpenSQL(t, b.url, b.token)}
}

// row are columns with their values.
type row map[string]any

// with returns r with the columns of others.
func (r row) with(others ...row) row {
	all := maps.Clone(r)
	for _, o := range others {
		maps.Copy(all, o)
	}
	return all
}

// insert writes one row.
func (p people) insert(t *testing.T, table string, r row) {
	t.Helper()
	columns := slices.Sorted(maps.Keys(r))
	args := make([]any, len(columns))
	for i, column := range columns {
		args[i] = r[column]
	}
	harness.Exec(t, p.db, fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(columns, ", "),
		strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ")), args...)
}

// exec runs a statement that changes one row.
func (p people) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	harness.Exec(t, p.db, query, args...)
}

func (p people) member(t *testing.T, environment, user, role string) {
	t.Helper()
	p.insert(t, "sys_environment_member", row{"environment_id": environment, "user_id": user, "role": role})
}

// session makes a session that is good for an hour, or what the columns say, and returns its cookie.
func (p people) session(t *testing.T, user string, columns ...row) string {
	t.Helper()
	token := uuid.NewString()
	p.insert(t, "sys_session", row{
		"id": uuid.NewString(), "token_hash": hashOf(token), "user_id": user, "expires_at": rfc3339(time.Hour),
	}.with(columns...))
	return sessionCookie(identitySessionSecret, token)
}

// key makes an API key for an environment, and returns it.
func (p people) key(t *testing.T, environment string, columns ...row) string {
	t.Helper()
	key, err := credential.GenerateKey("production", nil)
	if err != nil {
		t.Fatal(err)
	}
	p.insert(t, "sys_api_key", row{
		"id": uuid.NewString(), "environment_id": environment, "name": "a key", "key_hash": hashOf(key), "last4": key[len(key)-4:],
	}.with(columns...))
	return key
}

// hashOf is the lower-case hex SHA-256 by which sessions and keys are kept.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// sessionCookie is the Cookie header that better-auth would have a browser send.
func sessionCookie(secret, token string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(token))
	return "better-auth.session_token=" + url.QueryEscape(token+"."+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// rfc3339 is the time after so long, in the form of the registry.
func rfc3339(after time.Duration) string {
	return time.Now().Add(after).UTC().Format("2006-01-02T15:04:05.000Z")
}

// onSite addresses one of several tenant handlers of a gateway: the one with the matcher "header X-Site NAME".
func onSite(name string, ask harness.Ask) harness.Ask {
	header := map[string]string{}
	maps.Copy(header, ask.Header)
	header["X-Site"] = name
	ask.Header = header
	return ask
}

// sites are tenant handlers by name, as one site's body.
func sites(handlers map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(handlers)) {
		fmt.Fprintf(&b, "@%[1]s header X-Site %[1]s\ntenant @%[1]s {\n%[2]s\n}\n", name, handlers[name])
	}
	b.WriteString("reverse_proxy {\ndynamic tenant\n}\n")
	return b.String()
}

// hashOfCookie is the hash under which the registry keeps the session of a Cookie header.
func hashOfCookie(t *testing.T, cookie string) string {
	t.Helper()
	_, value, _ := strings.Cut(cookie, "=")
	value, err := url.QueryUnescape(value)
	if err != nil {
		t.Fatal(err)
	}
	return hashOf(value[:strings.LastIndexByte(value, '.')])
}
