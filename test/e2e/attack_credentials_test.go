package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/router/credential"
	"github.com/tenantgate/tenantgate/test/harness"
)

const attackSessionSecret = "attack-session-secret-of-40-bytes-------"

// hashed is what a session's token or an API key is kept as.
func hashed(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// signedSession is the value of a session's cookie.
func signedSession(secret, token string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(token))
	return url.QueryEscape(token + "." + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// insertMember, insertSession and insertKey write into the registry as an application does.
func insertMember(t *testing.T, db *sql.DB, environment, user string) {
	t.Helper()
	harness.Exec(t, db, "INSERT INTO sys_environment_member (environment_id, user_id, role) VALUES (?, ?, 'env_user')", environment, user)
}

func insertSession(t *testing.T, db *sql.DB, user, environment string) (token string) {
	t.Helper()
	token = uuid.NewString()
	harness.Exec(t, db, "INSERT INTO sys_session (id, token_hash, user_id, active_environment_id, expires_at) VALUES (?, ?, ?, ?, ?)",
		uuid.NewString(), hashed(token), user, environment, time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000Z"))
	return token
}

func insertKey(t *testing.T, db *sql.DB, environment string) (key string) {
	t.Helper()
	key, err := credential.GenerateKey("production", nil)
	if err != nil {
		t.Fatal(err)
	}
	harness.Exec(t, db, "INSERT INTO sys_api_key (id, environment_id, name, key_hash, last4) VALUES (?, ?, 'k', ?, ?)",
		uuid.NewString(), environment, hashed(key), key[len(key)-4:])
	return key
}

// credentialSite takes every credential that there is.
const credentialSite = "identify subdomain {tenant}.app.test\nidentify session {\nsecret " + attackSessionSecret + "\n}\nidentify api_key\n" +
	"identify jwt {\nsecret " + hmacSecret + "\n}\nrequire authenticated"

// Promise: a credential counts as what it is, and only where it belongs. What one kind proves cannot be passed off as
// another kind; a signature by another secret, a second cookie of the same name, or a key that was changed in one
// character proves nothing; and one tenant's credential opens no other tenant.
func TestAttackCredentials(t *testing.T) {
	t.Parallel()
	g, _, b := startAttacked(t, credentialSite, nil)
	db := harness.OpenSQL(t, b.url, b.token)
	insertMember(t, db, acmeProdID, "u1")
	insertMember(t, db, globexProd, "u2")
	mine, theirs := insertSession(t, db, "u1", acmeProdID), insertSession(t, db, "u2", globexProd)
	key, theirKey := insertKey(t, db, acmeProdID), insertKey(t, db, globexProd)
	token := tokenFor(t, jwt.SigningMethodHS256, []byte(hmacSecret), "", "tenant_id", "acme")
	good, bad := signedSession(attackSessionSecret, mine), signedSession(attackSessionSecret, theirs)
	flipped := []byte(key)
	flipped[20] ^= 1
	const acme, cookie, secure = "Host: acme.app.test", "Cookie: better-auth.session_token=", "Cookie: __Secure-better-auth.session_token="
	bearer := func(s string) string { return "Authorization: Bearer " + s }
	unauthorized := []int{401}
	for _, a := range []attack{
		{name: "session", request: get("/", acme, cookie+good), tenant: acmeID},
		{name: "session, secure cookie", request: get("/", acme, secure+good), tenant: acmeID},
		{name: "key", request: get("/", acme, "X-API-Key: "+key), tenant: acmeID},
		{name: "key as bearer", request: get("/", acme, bearer(key)), tenant: acmeID},
		{name: "token", request: get("/", acme, bearer(token)), tenant: acmeID},
		{name: "two of one kind that agree", request: get("/", acme, bearer(key), "X-API-Key: "+key), tenant: acmeID},
		{name: "session and token of one tenant", request: get("/", acme, cookie+good, bearer(token)), tenant: acmeID},

		{name: "session of another tenant", request: get("/", acme, cookie+bad), refused: []int{403}},
		{name: "key of another tenant", request: get("/", acme, "X-API-Key: "+theirKey), refused: []int{403}},
		{name: "session and key of two tenants", request: get("/", "Host: any.test", cookie+good, "X-API-Key: "+theirKey), refused: []int{403}},
		{name: "token and key of two tenants", request: get("/", "Host: any.test", bearer(token), "X-API-Key: "+theirKey), refused: []int{403}},
		{name: "session by another secret", request: get("/", acme, cookie+signedSession("another-secret-of-many-bytes", mine)), refused: unauthorized},
		{name: "session that nobody signed", request: get("/", acme, cookie+mine), refused: unauthorized},
		{name: "session with an empty signature", request: get("/", acme, cookie+mine+"."), refused: unauthorized},
		{name: "session's hash in its place", request: get("/", acme, cookie+signedSession(attackSessionSecret, hashed(mine))), refused: unauthorized},
		{name: "session of SQL", request: get("/", acme, cookie+signedSession(attackSessionSecret, "'OR'1'='1")), refused: unauthorized},
		{name: "one session's signature under another", request: get("/", acme, cookie+theirs+good[strings.Index(good, "."):]), refused: unauthorized},
		{name: "two cookies in a line", request: get("/", acme, cookie+good+"; better-auth.session_token="+bad), refused: unauthorized},
		{name: "two cookies in two lines", request: get("/", acme, cookie+bad, cookie+good), refused: unauthorized},
		{name: "cookies of both names", request: get("/", "Host: any.test", cookie+bad, secure+good), tenant: acmeID},
		{name: "cookies of both names, the secure one forged", request: get("/", acme, cookie+good, secure+mine+".x"), refused: unauthorized},
		{name: "cookie in another case", request: get("/", acme, "Cookie: Better-Auth.Session_Token="+good), refused: unauthorized},
		{name: "token as a session", request: get("/", acme, cookie+token), refused: unauthorized},
		{name: "token as a key", request: get("/", acme, "X-API-Key: "+token), refused: unauthorized},
		{name: "key as a session", request: get("/", acme, cookie+signedSession(attackSessionSecret, key)), refused: unauthorized},
		{name: "session as a key", request: get("/", acme, "X-API-Key: "+mine), refused: unauthorized},
		{name: "session as a token", request: get("/", acme, bearer(good)), refused: unauthorized},
		{name: "key's hash in its place", request: get("/", acme, "X-API-Key: "+hashed(key)), refused: unauthorized},
		{name: "key changed in one character", request: get("/", acme, "X-API-Key: "+string(flipped)), refused: unauthorized},
		{name: "key cut off", request: get("/", acme, "X-API-Key: "+key[:len(key)-1]), refused: unauthorized},
		{name: "key in another case", request: get("/", acme, "X-API-Key: "+strings.ToUpper(key)), refused: unauthorized},
		{name: "key with an escape", request: get("/", acme, "X-API-Key: "+strings.Replace(key, "_", "%5F", 1)), refused: unauthorized},
		{name: "two keys", request: get("/", acme, "X-API-Key: "+key, "X-API-Key: "+theirKey), refused: unauthorized},
		{name: "two keys in a list", request: get("/", acme, "X-API-Key: "+key+", "+theirKey), refused: unauthorized},
		{name: "two keys in two places", request: get("/", acme, "X-API-Key: "+key, bearer(theirKey)), refused: unauthorized},
		{name: "an empty key", request: get("/", acme, "X-API-Key:"), refused: unauthorized},
		{name: "key in the query", request: get("/?api_key="+key, acme), refused: unauthorized},
		{name: "key by Basic", request: get("/", acme, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(key+":"))), refused: unauthorized},
		{name: "a good key beside a bad session", request: get("/", acme, "X-API-Key: "+key, cookie+mine+".x"), refused: unauthorized},
		// A preflight of CORS carries no credentials (Fetch §3.2.2), and so is refused where they are required.
		{name: "preflight", request: lines("OPTIONS / HTTP/1.1", acme, "Origin: https://evil.test", "Access-Control-Request-Method: POST"), refused: unauthorized},
		{name: "WebSocket of another tenant", request: get("/", "Host: globex.app.test", cookie+good, "Connection: Upgrade", "Upgrade: websocket",
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "Origin: http://globex.app.test"), refused: []int{403}},
		{name: "WebSocket without credentials", request: get("/", acme, "Connection: Upgrade", "Upgrade: websocket",
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"), refused: unauthorized},
	} {
		a.run(t, g)
	}
	for _, secret := range []string{attackSessionSecret, hmacSecret, key, mine} {
		if strings.Contains(g.Log(t), secret) {
			t.Errorf("the log shows %s…", secret[:6])
		}
	}
}

// Promise: a user is a member under exactly one spelling of the id. No id that looks like it, or that some database
// would compare equal, gets in, nor one that carries a role or an environment along.
func TestAttackMembership(t *testing.T) {
	t.Parallel()
	g, w, b := startAttacked(t, "identify subdomain {tenant}.app.test\nidentify jwt {\nsecret "+hmacSecret+"\n}\nrequire role env_user", nil)
	db := harness.OpenSQL(t, b.url, b.token)
	insertMember(t, db, acmeProdID, "u1")
	insertMember(t, db, acmeProdID, "josé") // one code point for the é
	insertMember(t, db, acmeProdID, "Straße")
	insertMember(t, db, acmeDevID, "u2")
	as := func(host, user string) harness.Answer {
		token := tokenFor(t, jwt.SigningMethodHS256, []byte(hmacSecret), "", "tenant_id", "acme", "sub", user, "roles", []string{"env_admin"})
		return g.Send(t, withToken(host, token, "X-User-ID", "u1", "X-User-Role", "env_admin"))
	}
	for _, user := range []string{"u1", "josé", "Straße"} {
		if e := as("acme.app.test", user).Echo(t); fmt.Sprint(e.Values("X-User-Role")) != "[env_user]" || len(e.Values("X-User-ID")) != 1 {
			t.Errorf("%s: the upstream saw user %q with role %q", user, e.Values("X-User-ID"), e.Values("X-User-Role"))
		}
	}
	before := len(w.requests())
	for _, user := range []string{
		"U1", "u1 ", " u1", "u1\t", "u1\u00a0", "u1\u200b", "\ufeffu1", "u%31", "u1%00", "u1%20", "u\uff11", "\u057d1", "u1'--", "u1' OR '1'='1", "u1;", "u_", "u%", "u*", "u?",
		"jose\u0301", "jos\u00c9", "JOSÉ", "Strasse", "STRASSE", "straße", "u1/" + acmeProdID, acmeProdID + "/u1", acmeProdID, "u2", "1", "", "null", strings.Repeat("u", 256),
	} {
		if answer := as("acme.app.test", user); answer.Status != 403 && answer.Status != 401 {
			t.Errorf("user %q: status %d, %s", user, answer.Status, answer.Body)
		}
	}
	for _, environment := range []string{"dev", acmeDevID} { // where u1 is nobody
		token := tokenFor(t, jwt.SigningMethodHS256, []byte(hmacSecret), "", "tenant_id", "acme", "environment_id", environment, "sub", "u1")
		if answer := g.Send(t, withToken("acme.app.test", token)); answer.Status != 403 {
			t.Errorf("environment %s: status %d", environment, answer.Status)
		}
	}
	if got := w.requests()[before:]; len(got) != 0 {
		t.Errorf("the upstream saw %v", got)
	}
}
