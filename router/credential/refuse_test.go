package credential

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"
)

// strictOptions ask for everything that a token can be asked for.
func strictOptions(keys KeySource) VerifierOptions {
	return VerifierOptions{Keys: keys, Issuers: []string{"https://id.example.com"}, Audiences: []string{"app", "api"}}
}

func publicPEM(t testing.TB, k crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// Promise: every way for a token to be wrong has its reason, and no wrong token passes or is remembered.
func TestWrongTokens(t *testing.T) {
	good := standardClaims()
	es256 := func(payload any) string { return sign(t, "ES256", "", p256Key(), payload) }
	header := func(members ...any) string {
		return signRaw(t, "ES256", p256Key(), with(map[string]any{"alg": "ES256"}, members...), good)
	}
	claim := func(members ...any) string { return es256(with(good, members...)) }
	parts := strings.Split(es256(good), ".")
	der, err := x509.MarshalPKIXPublicKey(p256Key().Public())
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) int64 { return start.Add(d).Unix() }
	rows := []struct {
		name, token string
		want        Reason
	}{
		// Not a token.
		{"empty", "", ReasonMalformed},
		{"garbage", "garbage", ReasonMalformed},
		{"two parts", parts[0] + "." + parts[1], ReasonMalformed},
		{"four parts", parts[0] + "." + parts[1] + "." + parts[2] + ".", ReasonMalformed},
		{"five parts, as of JWE", "a.b.c.d.e", ReasonMalformed},
		{"three empty parts", "..", ReasonMalformed},
		{"spaces in it", parts[0] + "." + parts[1] + " ." + parts[2], ReasonSignature},
		{"a tab before it", "\t" + es256(good), ReasonMalformed},
		{"something after it", es256(good) + ", Basic x", ReasonMalformed},
		{"a line break in it", parts[0] + "." + parts[1] + "." + parts[2][:10] + "\n" + parts[2][10:], ReasonMalformed},
		{"header not base64url", "a+b." + parts[1] + "." + parts[2], ReasonMalformed},
		{"header padded", parts[0] + "=." + parts[1] + "." + parts[2], ReasonMalformed},
		{"signature not base64url", parts[0] + "." + parts[1] + ".a+b", ReasonMalformed},
		{"header not JSON", b64([]byte("{")) + "." + parts[1] + "." + parts[2], ReasonMalformed},
		{"header an array", b64([]byte("[]")) + "." + parts[1] + "." + parts[2], ReasonMalformed},
		{"header not UTF-8", b64([]byte("{\"alg\":\"ES256\",\"x\":\"\xff\"}")) + "." + parts[1] + "." + parts[2], ReasonMalformed},
		{"too large", parts[0] + "." + strings.Repeat("A", MaxToken) + "." + parts[2], ReasonTooLarge},
		{"header too large", header("x", strings.Repeat("x", maxHeader)), ReasonTooLarge},
		{"key id too long", header("kid", strings.Repeat("k", maxKeyID+1)), ReasonTooLarge},

		// The header.
		{"no algorithm", header("alg", nil), ReasonAlgorithm},
		{"algorithm not a string", header("alg", 5), ReasonMalformed},
		{"none", b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", ReasonAlgorithm},
		{"none with a signature", header("alg", "none"), ReasonAlgorithm},
		{"nOnE", b64([]byte(`{"alg":"nOnE"}`)) + "." + parts[1] + ".", ReasonAlgorithm},
		{"unknown algorithm", header("alg", "ES256K"), ReasonAlgorithm},
		{"algorithm in lower case", header("alg", "es256"), ReasonAlgorithm},
		{"algorithm of a longer curve", header("alg", "ES512"), ReasonAlgorithm},
		{"HMAC with the public key in PEM as secret", sign(t, "HS256", "", publicPEM(t, p256Key()), good), ReasonAlgorithm},
		{"HMAC with the public key in DER as secret", sign(t, "HS256", "", der, good), ReasonAlgorithm},
		{"HMAC with an empty secret", sign(t, "HS256", "", []byte{}, good), ReasonAlgorithm},
		{"RSA where the key is EC", sign(t, "RS256", "", rsaKey(), good), ReasonAlgorithm},
		{"crit", header("crit", []string{"exp"}, "exp", at(time.Hour)), ReasonMalformed},
		{"crit empty", header("crit", []string{}), ReasonMalformed},
		{"b64 false", header("b64", false), ReasonMalformed},
		{"b64 false and crit", header("b64", false, "crit", []string{"b64"}), ReasonMalformed},
		{"b64 a string", header("b64", "true"), ReasonMalformed},
		{"kid not a string", header("kid", 7), ReasonMalformed},
		{"typ not a string", header("typ", 7), ReasonMalformed},
		{"typ of a logout", header("typ", "logout+jwt"), ReasonTokenType},
		{"typ of DPoP", header("typ", "dpop+jwt"), ReasonTokenType},
		{"alg twice", signRaw(t, "ES256", p256Key(), `{"alg":"none","alg":"ES256"}`, good), ReasonMalformed},
		{"alg twice, once escaped", signRaw(t, "ES256", p256Key(), `{"alg":"ES256","\u0061lg":"ES256"}`, good), ReasonMalformed},
		{"something after the header", signRaw(t, "ES256", p256Key(), `{"alg":"ES256"}{}`, good), ReasonMalformed},

		// The signature.
		{"another key", sign(t, "ES256", "", otherKey(), good), ReasonSignature},
		{"another key, given in jwk", signRaw(t, "ES256", otherKey(), with(map[string]any{"alg": "ES256"}, "jwk", jwk(otherKey())), good), ReasonSignature},
		{"another key, given in jku and x5u", signRaw(t, "ES256", otherKey(), map[string]any{"alg": "ES256", "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"}, good), ReasonSignature},
		{"no signature", parts[0] + "." + parts[1] + ".", ReasonSignature},
		{"signature of zeros", parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)), ReasonSignature},
		{"signature too short", parts[0] + "." + parts[1] + "." + parts[2][:80], ReasonSignature},
		{"payload changed", parts[0] + "." + b64([]byte(toJSON(with(good, "tenant_id", "other")))) + "." + parts[2], ReasonSignature},
		{"header changed", b64([]byte(`{"alg":"ES256"}`)) + "." + parts[1] + "." + parts[2], ReasonSignature},
		{"last bits of the signature changed", parts[0] + "." + parts[1] + "." + changeLastBits(parts[2]), ReasonMalformed},

		// The payload as a whole.
		{"payload not JSON", es256("not JSON"), ReasonMalformed},
		{"payload an array", es256("[]"), ReasonMalformed},
		{"payload null", es256("null"), ReasonMalformed},
		{"payload not UTF-8", es256("{\"sub\":\"\xff\"}"), ReasonMalformed},
		{"claim twice", es256(`{"exp":4000000000,"tenant_id":"acme","tenant_id":"other"}`), ReasonMalformed},
		{"claim twice further down", es256(`{"exp":4000000000,"x":[{"a":1,"a":2}]}`), ReasonMalformed},
		{"something after the claims", es256(`{"exp":4000000000} {}`), ReasonMalformed},
		{"deep", es256(`{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`), ReasonMalformed},

		// Times.
		{"exp missing", claim("exp", nil), ReasonClaimMissing},
		{"exp null", es256(`{"exp":null}`), ReasonClaimMissing},
		{"exp a string", claim("exp", "4000000000"), ReasonClaimType},
		{"exp negative", claim("exp", -1), ReasonClaimType},
		{"exp too large for a time", es256(`{"exp":1e300}`), ReasonClaimType},
		{"exp too large for a number", es256(`{"exp":1e400}`), ReasonClaimType},
		{"exp zero", claim("exp", 0), ReasonExpired},
		{"expired", claim("exp", at(-31*time.Second)), ReasonExpired},
		{"expired to the second", claim("exp", at(-30*time.Second)), ReasonExpired},
		{"expired long ago", claim("exp", 1), ReasonExpired},
		{"nbf to come", claim("nbf", at(31*time.Second)), ReasonNotYetValid},
		{"nbf a string", claim("nbf", "x"), ReasonClaimType},
		{"iat to come", claim("iat", at(31*time.Second)), ReasonNotYetValid},
		{"iat an object", claim("iat", map[string]any{}), ReasonClaimType},
		{"auth_time a string", claim("auth_time", "now"), ReasonClaimType},

		// Whose it is and for whom.
		{"iss missing", claim("iss", nil), ReasonClaimMissing},
		{"iss wrong", claim("iss", "https://id.example.com/"), ReasonIssuer},
		{"iss an array", claim("iss", []string{"https://id.example.com"}), ReasonClaimType},
		{"aud missing", claim("aud", nil), ReasonClaimMissing},
		{"aud empty", claim("aud", ""), ReasonClaimMissing},
		{"aud an empty array", claim("aud", []string{}), ReasonClaimMissing},
		{"aud wrong", claim("aud", "another app"), ReasonAudience},
		{"aud in upper case", claim("aud", "APP"), ReasonAudience},
		{"aud an array of others", claim("aud", []string{"x", "y"}), ReasonAudience},
		{"aud a number", claim("aud", 5), ReasonClaimType},
		{"aud an array with a number", claim("aud", []any{"app", 5}), ReasonClaimType},

		// The claims that name somebody.
		{"tenant a number", claim("tenant_id", 5), ReasonClaimType},
		{"tenant an array", claim("tenant_id", []string{"acme"}), ReasonClaimType},
		{"tenant an object", claim("tenant_id", map[string]any{"id": "acme"}), ReasonClaimType},
		{"tenant true", claim("tenant_id", true), ReasonClaimType},
		{"tenant with a line break", claim("tenant_id", "acme\r\nX-Tenant-ID: other"), ReasonClaimType},
		{"tenant with a null byte", claim("tenant_id", "acme\x00"), ReasonClaimType},
		{"tenant too long", claim("tenant_id", strings.Repeat("a", maxText+1)), ReasonClaimType},
		{"environment a number", claim("environment_id", 5), ReasonClaimType},
		{"user a number", claim("sub", 5), ReasonClaimType},
		{"user with a delete character", claim("sub", "u\x7f"), ReasonClaimType},
		{"roles a number", claim("roles", 5), ReasonClaimType},
		{"roles an object", claim("roles", map[string]any{}), ReasonClaimType},
		{"roles an array of numbers", claim("roles", []int{1}), ReasonClaimType},
		{"roles with a null", claim("roles", []any{"a", nil}), ReasonClaimType},
		{"roles too many", claim("roles", make([]string, maxList+1)), ReasonClaimType},
		{"roles too many words", claim("roles", strings.Repeat("a ", maxList+1)), ReasonClaimType},
		{"amr an object", claim("amr", map[string]any{}), ReasonClaimType},
		{"acr an array", claim("acr", []string{"x"}), ReasonClaimType},
	}
	v := newVerifier(t, strictOptions(publicKeys(t, p256Key(), p384Key())))
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			id, err := verify(v, row.token)
			wantReason(t, err, row.want)
			if id != nil {
				t.Errorf("got %+v with the error", id)
			}
			if err != nil && (strings.Contains(err.Error(), "acme") || strings.ContainsAny(err.Error(), "\r\n\x00")) {
				t.Errorf("the error shows a claim or a control character: %q", err)
			}
		})
	}
	if n := v.Remembered(); n != 0 {
		t.Errorf("%d wrong tokens are remembered", n)
	}
	if _, err := verify(v, es256(good)); err != nil {
		t.Errorf("the good token: %v", err)
	}
}

// changeLastBits changes the bits of a base64url text that say nothing.
func changeLastBits(text string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(digits, text[len(text)-1])
	return text[:len(text)-1] + digits[last^1:last^1+1]
}

// Promise: leeway widens the times by exactly itself, and what is right passes.
func TestRightTokens(t *testing.T) {
	good := standardClaims()
	at := func(d time.Duration) int64 { return start.Add(d).Unix() }
	for _, row := range []struct {
		name    string
		header  map[string]any
		members []any
	}{
		{"as it is", nil, nil},
		{"expired within the leeway", nil, []any{"exp", at(-29 * time.Second)}},
		{"nbf within the leeway", nil, []any{"nbf", at(30 * time.Second)}},
		{"iat within the leeway", nil, []any{"iat", at(30 * time.Second)}},
		{"no iat", nil, []any{"iat", nil}},
		{"exp with a fraction", nil, []any{"exp", float64(at(time.Minute)) + 0.5}},
		{"one audience of several", nil, []any{"aud", []string{"x", "api"}}},
		{"typ in any case", map[string]any{"typ": "jWt"}, nil},
		{"typ as a media type", map[string]any{"typ": "application/at+JWT"}, nil},
		{"b64 true", map[string]any{"b64": true}, nil},
		{"a key id where the key has none", map[string]any{"kid": "some"}, nil},
		{"keys in the header are not looked at", map[string]any{"jku": 5, "jwk": "x", "x5c": nil, "x5u": "y"}, nil},
		{"tenant missing", nil, []any{"tenant_id", nil}},
	} {
		t.Run(row.name, func(t *testing.T) {
			header := map[string]any{"alg": "ES256"}
			for name, v := range row.header {
				header[name] = v
			}
			token := signRaw(t, "ES256", p256Key(), header, with(good, row.members...))
			if _, err := verify(newVerifier(t, strictOptions(publicKeys(t, p256Key()))), token); err != nil {
				t.Error(err)
			}
		})
	}
}

// Promise: each key verifies the algorithms of its own type and no others, whatever a token says.
func TestAlgorithmIsPinnedToTheKey(t *testing.T) {
	signers := map[keyType]any{
		keySecret: testSecret, keyRSA: rsaKey(), keyP256: p256Key(), keyP384: p384Key(), keyP521: p521Key(), keyEd25519: edKey(),
	}
	sets := map[keyType]*KeySet{keySecret: secretKeys(t)}
	for typ, k := range signers {
		if typ != keySecret {
			sets[typ] = publicKeys(t, k.(crypto.Signer))
		}
	}
	for _, a := range algorithms {
		token := sign(t, a.name, "", signers[a.key], standardClaims())
		for typ, set := range sets {
			want := ReasonAlgorithm
			if typ == a.key {
				want = ""
			}
			_, err := verify(newVerifier(t, VerifierOptions{Keys: set}), token)
			if ReasonOf(err) != want {
				t.Errorf("%s by a key of type %s: %v", a.name, typ, err)
			}
		}
	}
	// A key that its issuer made for one algorithm verifies no other of its type.
	pinned, err := ParseKeys([]byte(keySetJSON(jwk(rsaKey(), "alg", "PS256"))))
	if err != nil {
		t.Fatal(err)
	}
	v := newVerifier(t, VerifierOptions{Keys: pinned})
	_, err = verify(v, sign(t, "RS256", "", rsaKey(), standardClaims()))
	wantReason(t, err, ReasonAlgorithm)
	_, err = verify(v, sign(t, "PS256", "", rsaKey(), standardClaims()))
	wantReason(t, err, "")
	// An algorithm that is not configured is refused though the key could verify it.
	v = newVerifier(t, VerifierOptions{Keys: publicKeys(t, rsaKey()), Algorithms: []string{"PS512"}})
	_, err = verify(v, sign(t, "RS256", "", rsaKey(), standardClaims()))
	wantReason(t, err, ReasonAlgorithm)
	// A secret verifies only what it is long enough for.
	short, err := SecretKeys(testSecret[:48])
	if err != nil {
		t.Fatal(err)
	}
	v = newVerifier(t, VerifierOptions{Keys: short})
	for alg, want := range map[string]Reason{"HS256": "", "HS384": "", "HS512": ReasonAlgorithm} {
		_, err = verify(v, sign(t, alg, "", testSecret[:48], standardClaims()))
		wantReason(t, err, want)
	}
}

// Promise: options that contradict each other, or are weak, are refused before the first request.
func TestVerifierOptions(t *testing.T) {
	ec, secret := publicKeys(t, p256Key()), secretKeys(t)
	short, err := SecretKeys(testSecret[:32])
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name    string
		options VerifierOptions
		want    string
	}{
		{"no keys", VerifierOptions{}, "no keys"},
		{"none", VerifierOptions{Keys: ec, Algorithms: []string{"none"}}, "proves nothing"},
		{"unknown algorithm", VerifierOptions{Keys: ec, Algorithms: []string{"RS257"}}, "not known"},
		{"algorithm not for the key", VerifierOptions{Keys: ec, Algorithms: []string{"RS256"}}, "no key that is given"},
		{"HMAC with a public key", VerifierOptions{Keys: ec, Algorithms: []string{"HS256"}}, "no key that is given"},
		{"public key algorithm with a secret", VerifierOptions{Keys: secret, Algorithms: []string{"ES256"}}, "no key that is given"},
		{"secret too short for the algorithm", VerifierOptions{Keys: short, Algorithms: []string{"HS256", "HS512"}}, "64 bytes"},
		{"HMAC with an issuer's keys", VerifierOptions{Keys: new(JWKS), Algorithms: []string{"RS256", "HS256"}}, "publishes none"},
		{"leeway too long", VerifierOptions{Keys: ec, Leeway: time.Hour}, "leeway"},
		{"empty issuer", VerifierOptions{Keys: ec, Issuers: []string{""}}, "empty issuer"},
		{"empty audience", VerifierOptions{Keys: ec, Audiences: []string{""}}, "empty audience"},
		{"bad claim path", VerifierOptions{Keys: ec, Claims: ClaimNames{Roles: "a..b"}}, "empty"},
		{"claim twice", VerifierOptions{Keys: ec, Claims: ClaimNames{Extra: []string{"a", "a"}}}, "twice"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := NewVerifier(row.options); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}
