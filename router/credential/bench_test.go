package credential

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// benchToken is a token of everyday size: some 20 claims under RS256.
func benchToken(b testing.TB, alg string, key any, user string) string {
	return sign(b, alg, "2026-01-signing-key", key, with(standardClaims(),
		"sub", user, "jti", "5f0c7a52-6f0e-4a55-9d0f-6f2f0a9a3c11", "email", "somebody@example.com", "email_verified", true,
		"roles", []string{"env_user", "env_maker"}, "amr", []string{"pwd", "otp"}, "acr", "urn:example:acr:strong",
		"environment_id", "0190a000-0000-7000-8000-000000000011", "nbf", start.Unix(), "auth_time", start.Unix()))
}

// BenchmarkVerifyWarm is a request with a token that is remembered, among 10,000.
func BenchmarkVerifyWarm(b *testing.B) {
	for _, c := range []struct {
		name, alg string
		key       any
		set       *KeySet
	}{
		{"HS256", "HS256", testSecret, secretKeys(b)},
		{"ES256", "ES256", p256Key(), publicKeys(b, p256Key())},
		{"RS256", "RS256", rsaKey(), publicKeys(b, rsaKey())},
	} {
		v := newVerifier(b, VerifierOptions{Keys: c.set})
		var tokens []string
		for n := range 64 {
			tokens = append(tokens, benchToken(b, c.alg, c.key, fmt.Sprint("user-", n)))
			if _, err := verify(v, tokens[n]); err != nil {
				b.Fatal(err)
			}
		}
		k := c.set.keys[0]
		for n := v.Remembered(); n < DefaultRemember; n++ {
			v.remembered.store(fmt.Sprint(n, tokens[0]), &Identity{}, k, start, start.Add(3600e9))
		}
		b.Run(fmt.Sprintf("%s/%d bytes", c.name, len(tokens[0])), func(b *testing.B) {
			b.ReportAllocs()
			ctx := b.Context()
			for n := 0; b.Loop(); n++ {
				if _, err := v.Verify(ctx, tokens[n%64], start); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%s/%d bytes/parallel", c.name, len(tokens[0])), func(b *testing.B) {
			b.ReportAllocs()
			ctx := b.Context()
			b.RunParallel(func(pb *testing.PB) {
				for n := 0; pb.Next(); n++ {
					if _, err := v.Verify(ctx, tokens[n%64], start); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkVerifyCold is the first request with a token: one signature.
func BenchmarkVerifyCold(b *testing.B) {
	for _, c := range []struct {
		alg string
		key any
		set *KeySet
	}{
		{"HS256", testSecret, secretKeys(b)},
		{"RS256", rsaKey(), publicKeys(b, rsaKey())},
		{"PS256", rsaKey(), publicKeys(b, rsaKey())},
		{"ES256", p256Key(), publicKeys(b, p256Key())},
		{"ES384", p384Key(), publicKeys(b, p384Key())},
		{"ES512", p521Key(), publicKeys(b, p521Key())},
		{"EdDSA", edKey(), publicKeys(b, edKey())},
	} {
		token := benchToken(b, c.alg, c.key, "user-1")
		v := newVerifier(b, VerifierOptions{Keys: c.set, Remember: -1})
		b.Run(c.alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verify(v, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkVerifyStore is what remembering costs when the memory is full.
func BenchmarkVerifyStore(b *testing.B) {
	m := newMemory(DefaultRemember)
	k := publicKeys(b, p256Key()).keys[0]
	var tokens []string
	for n := range 4 * DefaultRemember {
		tokens = append(tokens, fmt.Sprint(n, strings.Repeat("x", 700)))
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		m.store(tokens[n%len(tokens)], &Identity{}, k, start, start.Add(3600e9))
	}
}

// requests as they come.
func benchRequest() *http.Request {
	return request("/api/tasks?page=2&sort=name", "Authorization: Bearer "+rfcRS256, "Cookie: theme=dark; a=b; better-auth.session_token="+
		sessionValue(sessionTestSecret, "GoMj01zLQNrfIQoHqVRzvDZdYiVcpN89"), "Sec-WebSocket-Protocol: chat, v2")
}

// BenchmarkExtract is finding the token of a request.
func BenchmarkExtract(b *testing.B) {
	for name, texts := range map[string][]string{
		"header": {"header"}, "all places": {"header", "cookie jwt", "query access_token", "subprotocol"},
	} {
		x, r := extractor(b, texts...), benchRequest()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := x.Extract(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSession is a request with a session cookie, up to what the registry is asked for: a cookie that is
// remembered, and one that is not.
func BenchmarkSession(b *testing.B) {
	for name, o := range map[string]SessionOptions{"warm": {}, "cold": {Remember: -1}} {
		b.Run(name, func(b *testing.B) {
			s, r := newSession(b, o), benchRequest()
			b.ReportAllocs()
			for b.Loop() {
				value, err := s.Extract(r)
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := s.Verify(value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkKey is a request with an API key, up to what the registry is asked for.
func BenchmarkKey(b *testing.B) {
	key, err := GenerateKey("production", nil)
	if err != nil {
		b.Fatal(err)
	}
	x, err := NewKeyExtractor("")
	if err != nil {
		b.Fatal(err)
	}
	r := request("/", "X-API-Key: "+key)
	b.ReportAllocs()
	for b.Loop() {
		key, err := x.Extract(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := ParseKey(key); err != nil {
			b.Fatal(err)
		}
		_ = LookupKey(key)
	}
}
