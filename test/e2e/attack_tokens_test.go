package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tenantgate/tenantgate/test/harness"
)

// rawToken signs a header and claims that no library would write.
func rawToken(header, claims string, sign func(signed string) []byte) string {
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(header)) + "." + b64([]byte(claims))
	return signed + "." + b64(sign(signed))
}

func hmacOf(secret []byte) func(string) []byte {
	return func(signed string) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		return mac.Sum(nil)
	}
}

func ecdsaOf(t *testing.T, key *ecdsa.PrivateKey) func(string) []byte {
	return func(signed string) []byte {
		signature, err := jwt.SigningMethodES256.Sign(signed, key)
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
}

// canary is a listener that nobody may ask: what a token names as the place of its key.
func startCanary(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int64)
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(ln) // until it is closed
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return "http://" + ln.Addr().String() + "/keys", asked
}

// Promise: a token is good only if a key of the configuration signed it with an algorithm of that key. What a token says
// about how or by what it is to be checked is not followed, and a token that two parsers could read in two ways is none.
func TestAttackTokens(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	file := harness.WriteFile(t, t.TempDir(), "key.pem", string(public))
	g, w, _ := startAttacked(t, "identify subdomain {tenant}.app.test\nidentify jwt {\nkey_file "+file+"\nissuer https://id.test\naudience app\nfrom header\nfrom cookie token\nfrom query token\n}\nrequire authenticated", nil)

	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	claims := func(more string) string {
		return fmt.Sprintf(`{"iss":"https://id.test","aud":"app","sub":"u1","tenant_id":"acme","exp":%d%s}`, at(time.Hour), more)
	}
	good, head, ours := claims(""), `{"alg":"ES256","typ":"JWT"}`, ecdsaOf(t, key)
	valid := rawToken(head, good, ours)
	url, asked := startCanary(t)
	point, err := other.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	jwk := fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":%q,"y":%q}`, b64(point[1:33]), b64(point[33:]))
	withHeader := func(fields string) string { return rawToken(`{"alg":"ES256",`+fields+`}`, good, ecdsaOf(t, other)) }
	stamped := func(value string) string {
		return rawToken(head, fmt.Sprintf(`{"iss":"https://id.test","aud":"app","sub":"u1","tenant_id":"acme","exp":%s}`, value), ours)
	}
	parts := strings.Split(valid, ".")
	nothing := func(string) []byte { return nil }
	tokens := map[string]string{
		"none":                      rawToken(`{"alg":"none"}`, good, nothing),
		"None":                      rawToken(`{"alg":"None"}`, good, nothing),
		"none with a signature":     rawToken(`{"alg":"none"}`, good, ours),
		"no algorithm":              rawToken(`{"typ":"JWT"}`, good, ours),
		"algorithm twice":           rawToken(`{"alg":"none","alg":"ES256"}`, good, ours),
		"algorithm as a list":       rawToken(`{"alg":["ES256","none"]}`, good, ours),
		"algorithm in lower case":   rawToken(`{"alg":"es256"}`, good, ours),
		"HMAC by the public key":    rawToken(`{"alg":"HS256"}`, good, hmacOf(public)),
		"HMAC by the key's DER":     rawToken(`{"alg":"HS256"}`, good, hmacOf(der)),
		"HMAC by nothing":           rawToken(`{"alg":"HS256"}`, good, hmacOf(nil)),
		"signature of zeros":        rawToken(head, good, func(string) []byte { return make([]byte, 64) }),
		"signature of ASN.1":        rawToken(head, good, func(s string) []byte { return append([]byte{0x30, 62}, ours(s)[:62]...) }),
		"signature empty":           rawToken(head, good, nothing),
		"another key":               rawToken(head, good, ecdsaOf(t, other)),
		"key in the header":         withHeader(`"jwk":` + jwk),
		"key at an address":         withHeader(`"jku":"` + url + `"`),
		"certificate at an address": withHeader(`"x5u":"` + url + `"`),
		"certificate in the header": withHeader(`"x5c":["` + base64.StdEncoding.EncodeToString(der) + `"]`),
		"key id of a path":          withHeader(`"kid":"../../../../dev/null"`),
		"key id of SQL":             withHeader(`"kid":"' UNION SELECT 'key' --"`),
		"key id of a command":       withHeader(`"kid":"|/bin/true"`),
		"key id of an address":      withHeader(`"kid":"` + url + `"`),
		"key id as a number":        withHeader(`"kid":1`),
		"key id of many bytes":      withHeader(`"kid":"` + strings.Repeat("k", 3000) + `"`),
		"critical extension":        rawToken(`{"alg":"ES256","crit":["exp"],"exp":1}`, good, ours),
		"payload not encoded":       rawToken(`{"alg":"ES256","b64":false}`, good, ours),
		"nested":                    rawToken(`{"alg":"ES256","cty":"JWT"}`, `"`+valid+`"`, ours),
		"encrypted":                 "eyJhbGciOiJkaXIifQ..AAAA.AAAA.AAAA",
		"another type":              rawToken(`{"alg":"ES256","typ":"tenant-context+jwt"}`, good, ours),
		"claim twice":               rawToken(head, claims(`,"tenant_id":"globex"`), ours),
		"claim twice, one escaped":  rawToken(head, claims(`,"tenant\u005fid":"globex"`), ours),
		"claim as a list":           rawToken(head, strings.Replace(good, `"acme"`, `["acme","globex"]`, 1), ours),
		"claim as an object":        rawToken(head, strings.Replace(good, `"acme"`, `{"id":"acme"}`, 1), ours),
		"claim with a NUL":          rawToken(head, strings.Replace(good, `"acme"`, `"acme\u0000globex"`, 1), ours),
		"claim with a blank":        rawToken(head, strings.Replace(good, `"acme"`, `"acme "`, 1), ours),
		"two claims objects":        rawToken(head, good+good, ours),
		"claims nested deep":        rawToken(head, claims(`,"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)), ours),
		"claims not UTF-8":          rawToken(head, claims(",\"x\":\"\xff\""), ours),
		"expiry as text":            stamped(`"9999999999"`),
		"expiry huge":               stamped(`1e400`),
		"expiry beyond 64 bits":     stamped(`99999999999999999999999`),
		"expiry negative":           stamped(`-1`),
		"expiry null":               stamped(`null`),
		"expiry a boolean":          stamped(`true`),
		"expiry a list":             stamped(`[9999999999]`),
		"no expiry":                 rawToken(head, `{"iss":"https://id.test","aud":"app","sub":"u1","tenant_id":"acme"}`, ours),
		"not yet":                   rawToken(head, claims(fmt.Sprintf(`,"nbf":%d`, at(time.Hour))), ours),
		"another issuer":            rawToken(head, strings.Replace(good, "https://id.test", "https://id.test.evil.test", 1), ours),
		"another issuer by a slash": rawToken(head, strings.Replace(good, "https://id.test", "https://id.test/", 1), ours),
		"another audience":          rawToken(head, strings.Replace(good, `"aud":"app"`, `"aud":"app2"`, 1), ours),
		"parts of two tokens":       parts[0] + "." + b64([]byte(strings.Replace(good, "acme", "globex", 1))) + "." + parts[2],
		"padding":                   parts[0] + "." + parts[1] + "." + parts[2] + "==",
		"a line break within":       parts[0] + "." + parts[1][:4] + "%0a" + parts[1][4:] + "." + parts[2],
		"four parts":                valid + ".AAAA",
		"an API key":                "tg_production_" + strings.Repeat("A", 40),
		"nothing but dots":          "..",
	}
	for name, token := range tokens {
		answer := g.Send(t, withToken("acme.app.test", token))
		if p := answer.Problem(t); answer.Status != 401 || p.Code != "credentials_invalid" {
			t.Errorf("%s: %d %s", name, answer.Status, p.Code)
		}
		if strings.Contains(answer.Body, token) || answer.Header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` && answer.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: %q, %s", name, answer.Header.Get("WWW-Authenticate"), answer.Body)
		}
	}
	globex := rawToken(head, strings.Replace(good, "acme", "globex", 1), ours)
	for _, a := range []attack{
		{name: "the valid token", request: get("/", "Host: acme.app.test", "Authorization: Bearer "+valid), tenant: acmeID},
		{name: "of many bytes", request: get("/", "Host: acme.app.test", "Authorization: Bearer "+rawToken(head, claims(`,"x":"`+strings.Repeat("x", 20_000)+`"`), ours)), refused: []int{401, 431}},
		{name: "in two places", request: get("/?token="+globex, "Host: acme.app.test", "Authorization: Bearer "+valid), refused: []int{401}},
		{name: "in the header twice", request: get("/", "Host: acme.app.test", "Authorization: Bearer "+valid, "Authorization: Bearer "+globex), refused: []int{401}},
		{name: "in two cookies", request: get("/", "Host: acme.app.test", "Cookie: token="+valid+"; token="+globex), refused: []int{401}},
		{name: "in the query twice", request: get("/?token="+valid+"&token="+globex, "Host: acme.app.test"), refused: []int{401}},
		{name: "of another tenant", request: get("/", "Host: acme.app.test", "Authorization: Bearer "+globex), refused: []int{403}},
		{name: "of another tenant, by its id in the header", request: get("/", "Host: acme.app.test", "Authorization: Bearer "+globex, "X-Tenant-ID: "+acmeID), refused: []int{403}},
	} {
		a.run(t, g)
	}
	if asked.Load() != 0 {
		t.Errorf("an address in a token was asked %d times", asked.Load())
	}
	for _, e := range w.requests() {
		if got := e.Values("X-User-ID"); len(got) != 1 || got[0] != "u1" {
			t.Errorf("the upstream saw user %q", got)
		}
	}
	if !json.Valid([]byte(jwk)) {
		t.Error("the key in the header is none")
	}
}

// Promise: with proof required, who proves nothing learns nothing: a name that is somebody's and one that is nobody's get
// the same answer. Nor does a token of one tenant tell which others there are.
func TestAttackWhoIsThere(t *testing.T) {
	t.Parallel()
	g, _, _ := startAttacked(t, "identify subdomain {tenant}.app.test\nidentify domain\nidentify jwt {\nsecret "+hmacSecret+"\n}\nrequire authenticated", func(d *document) {
		d.Tenants = append(d.Tenants, tenant{Slug: "initech", Name: "Initech", Plan: "pro", Status: "suspended"})
	})
	token := tokenFor(t, jwt.SigningMethodHS256, []byte(hmacSecret), "", "tenant_id", "acme")
	for name, sent := range map[string]string{"nothing": "", "another tenant's token": token} {
		var first harness.Answer
		for i, host := range []string{"globex.app.test", "nobody.app.test", "initech.app.test"} {
			answer := g.Send(t, withToken(host, sent))
			answer.Header.Del("Date")
			if i == 0 {
				first = answer
				continue
			}
			if answer.Status != first.Status || answer.Body != first.Body || fmt.Sprint(answer.Header) != fmt.Sprint(first.Header) {
				t.Errorf("with %s, %s: %d %s, and globex: %d %s", name, host, answer.Status, answer.Body, first.Status, first.Body)
			}
		}
	}
}
