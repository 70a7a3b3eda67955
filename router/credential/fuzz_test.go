package credential

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/registry"
)

// Promise: no text makes the verifier panic or pass, unless it is a token that was signed; an error is always a
// refusal, and never shows control characters.
func FuzzVerify(f *testing.F) {
	secret := strings.Repeat("a secret of 64 b", 4)
	good := sign(f, "HS256", "", []byte(secret), standardClaims())
	for _, seed := range []string{
		good, rfcHS256, rfcRS256, rfcES256, rfcES512, rfcNone, rfcEdDSA, rfcFlattened, "", ".", "..", "...", "a.b.c", good + ".", good[:len(good)-1], good[:len(good)-4] + "\r\n" + good[len(good)-4:],
		signRaw(f, "HS256", []byte(secret), `{"alg":"HS256","crit":["b64"],"b64":false}`, `{}`),
		signRaw(f, "HS256", []byte(secret), `{"alg":"HS256","alg":"none"}`, `{"exp":1e400,"aud":[null]}`),
	} {
		f.Add(seed)
	}
	v := newVerifier(f, VerifierOptions{Keys: secretKeys(f)})
	f.Fuzz(func(t *testing.T, token string) {
		id, err := verify(v, token)
		if err == nil {
			if token != good || id.Tenant != "acme" {
				t.Errorf("%q passed as %+v", token, id)
			}
			return
		}
		if id != nil || !errors.Is(err, ErrRefused) || strings.ContainsAny(err.Error(), "\x00\r\n") {
			t.Errorf("got %+v, %v", id, err)
		}
	})
}

// Promise: no header and no claims, however odd, make the verifier panic once they are signed; and what passes has
// the shape that its readers rely on.
func FuzzClaims(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"alg":"HS256"}`, toJSON(standardClaims())},
		{`{"alg":"HS256","kid":"x","typ":"at+jwt"}`, `{"exp":4e9,"aud":["a"],"roles":"a,b c","amr":["x"],"tenant_id":null}`},
		{`{"alg":"HS512"}`, `{"exp":4000000000.25,"nbf":0,"iat":0,"auth_time":1,"realm_access":{"roles":["x"]}}`},
		{`{"alg":"none"}`, `{"exp":-1}`},
		{`{"alg":"HS256","b64":true}`, `{"exp":4e9,"sub":"\ud800","sub\u0000":1}`},
	} {
		f.Add(seed[0], seed[1])
	}
	v := newVerifier(f, VerifierOptions{Keys: secretKeys(f), Claims: ClaimNames{Extra: []string{"realm_access.roles", "mfa"}}})
	f.Fuzz(func(t *testing.T, header, payload string) {
		token := signRaw(t, "HS256", testSecret, header+" ", payload+" ")
		id, err := verify(v, token)
		if err != nil {
			if !errors.Is(err, ErrRefused) {
				t.Errorf("got %v", err)
			}
			return
		}
		again, err := verify(v, token)
		if err != nil || again != id {
			t.Errorf("the second time: %v", err)
		}
		for _, s := range append([]string{id.Tenant, id.Environment, id.User, id.Issuer, id.Context}, id.Roles...) {
			if len(s) > maxText || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				t.Errorf("a claim says %q", s)
			}
		}
		if len(id.Roles) > maxList || !id.ExpiresAt.Add(DefaultLeeway).After(start) {
			t.Errorf("got %+v", id)
		}
	})
}

// Promise: no document makes the reader of key sets panic, and each key that it takes is fit to verify.
func FuzzParseKeys(f *testing.F) {
	for _, seed := range []string{
		keySetJSON(jwk(rsaKey(), "kid", "a", "use", "sig")), keySetJSON(jwk(p256Key()), jwk(edKey(), "alg", "EdDSA")),
		string(publicPEM(f, p256Key())), string(publicPEM(f, rsaKey())), rfcES512Key, rfcEdDSAKey, `{"keys":[{"kty":"oct","k":"AA"}]}`, `{"keys":[null,5]}`, "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		set, err := ParseKeys(file)
		if err != nil {
			return
		}
		if set.Len() == 0 {
			t.Error("an empty set without an error")
		}
		for _, k := range set.keys {
			fit := 0
			for _, a := range algorithms {
				if k.allows(a) {
					fit++
					if a.key == keySecret || a.method.Verify("x", make([]byte, 64), k.material) == nil {
						t.Errorf("a key for %s", a.name)
					}
				}
			}
			if fit == 0 {
				t.Error("a key for no algorithm")
			}
		}
	})
}

// Promise: a path that is read finds a claim that is there under its names, whatever they are.
func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"a", "a.b", "[a.b].c", "https://e.x/t", "[https://e.x/t].u", "", ".", "[", "]", "[]", "a..b", "[a]b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePath(text)
		if err != nil {
			return
		}
		var v any = "found"
		for i := len(p.names) - 1; i >= 0; i-- {
			if p.names[i] == "" || strings.ContainsAny(p.names[i], "[]") {
				t.Fatalf("%q has the name %q", text, p.names[i])
			}
			v = map[string]any{p.names[i]: v}
		}
		if got, err := p.find(v.(map[string]any)); got != "found" || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		// Written with brackets throughout, it is the same path.
		if again, err := ParsePath("[" + strings.Join(p.names, "].[") + "]"); err != nil || strings.Join(again.names, "\x00") != strings.Join(p.names, "\x00") {
			t.Errorf("%q: %q, %v", text, again.names, err)
		}
	})
}

// Promise: no cookie makes the session panic or pass, unless it is signed.
func FuzzSession(f *testing.F) {
	s := newSession(f, SessionOptions{})
	good := sessionValue(sessionTestSecret, "GoMj01zLQNrfIQoHqVRzvDZdYiVcpN89")
	for _, seed := range []string{good, "", ".", "a.b", "%", "%2", good + "%3D", strings.ToLower(good), "." + strings.Repeat("A", 43) + "="} {
		f.Add(seed)
	}
	plain, err := url.PathUnescape(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		token, _, err := s.Verify(value)
		if err == nil {
			if decoded, _ := url.PathUnescape(value); decoded != plain {
				t.Errorf("%q passed as %q", value, token)
			}
			return
		}
		if token != "" || !errors.Is(err, ErrRefused) {
			t.Errorf("got %q, %v", token, err)
		}
	})
}

// Promise: a text is a key exactly if it is built of a slug, 34 characters and their checksum.
func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{"tg_dev_", "tg__", "", "tg_dev_" + strings.Repeat("a", 40), "tg_a-b_" + strings.Repeat("0", 34)} {
		f.Add(seed)
		f.Add(withChecksum(seed))
	}
	f.Fuzz(func(t *testing.T, key string) {
		environment, err := ParseKey(key)
		if err != nil {
			if !errors.Is(err, ErrRefused) || environment != "" {
				t.Errorf("got %q, %v", environment, err)
			}
			return
		}
		body := key[:len(key)-keyChecksum]
		if !registry.ValidSlug(environment) || withChecksum(body) != key || len(body) != len("tg__")+len(environment)+keyRandom {
			t.Errorf("%q passed", key)
		}
	})
}

// Promise: whatever stands in a request's headers and query, what is extracted is one token, and after removal none
// is left; other cookies and parameters keep their values.
func FuzzExtract(f *testing.F) {
	for _, seed := range [][4]string{
		{"Bearer a.b.c", "jwt=a.b.c; a=1", "access_token=a.b.c&x=1", "bearer, a.b.c, chat"},
		{"bearer tg_x", `jwt="a"; keep=1`, "access%5ftoken=%61&keep=1", "base64url.bearer.authorization.k8s.io.YQ"},
		{"Basic x", "keep=1", "keep=1;&&=", " , bearer ,"},
		{"", "jwt", "access_token", "BEARER"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	x := extractor(f, "header", "cookie jwt", "query access_token", "subprotocol")
	keys, err := NewKeyExtractor("")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, authorization, cookie, query, protocol string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{
			"Authorization": {authorization}, "Cookie": {cookie}, subprotocolHeader: {protocol},
		}}
		kept, _ := findCookie(r.Header, "keep")
		token, _, err := x.Extract(r)
		if err != nil && (token != "" || !errors.Is(err, ErrRefused)) {
			t.Errorf("got %q, %v", token, err)
		}
		if key, err := keys.Extract(r); err == nil && key != "" && !strings.HasPrefix(key, KeyPrefix) {
			t.Errorf("the key %q", key)
		}
		x.Remove(r)
		if token, from, err := x.Extract(r); token != "" || err != nil {
			t.Errorf("left %q in %s, %v", token, from, err)
		}
		if still, _ := findCookie(r.Header, "keep"); still != kept {
			t.Errorf("another cookie was %q and is %q", kept, still)
		}
		keys.Remove(r)
		if key, err := keys.Extract(r); key != "" || err != nil {
			t.Errorf("left the key %q, %v", key, err)
		}
	})
}
