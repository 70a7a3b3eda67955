package credential

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"sync"
	"testing"
)

const sessionTestSecret = "a secret of more than 32 characters"

// sessionValue is a cookie's value as better-auth makes it.
func sessionValue(secret, token string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(token))
	return strings.ReplaceAll(url.QueryEscape(token+"."+base64.StdEncoding.EncodeToString(mac.Sum(nil))), "+", "%20")
}

func newSession(t testing.TB, o SessionOptions) *Session {
	t.Helper()
	if o.Secrets == nil {
		o.Secrets = []string{sessionTestSecret}
	}
	s, err := NewSession(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Promise: the cookie is taken in its plain and in its __Secure- form, the latter first; two that differ are refused.
func TestSessionExtract(t *testing.T) {
	for _, row := range []struct {
		name, cookie, header, want string
		reason                     Reason
	}{
		{"none", "", "a=1", "", ""},
		{"plain", "", "better-auth.session_token=x", "x", ""},
		{"secure", "", "__Secure-better-auth.session_token=x", "x", ""},
		{"both", "", "better-auth.session_token=plain; __Secure-better-auth.session_token=secure", "secure", ""},
		{"secure one empty", "", "better-auth.session_token=plain; __Secure-better-auth.session_token=", "plain", ""},
		{"two plain ones", "", "better-auth.session_token=x; better-auth.session_token=y", "", ReasonConflict},
		{"two secure ones", "", "__Secure-better-auth.session_token=x; __Secure-better-auth.session_token=y; better-auth.session_token=z", "", ReasonConflict},
		{"another prefix", "acme.session_token", "acme.session_token=x; better-auth.session_token=y", "x", ""},
		{"only the secure one", "__Secure-acme.session_token", "acme.session_token=x; __Secure-acme.session_token=y", "y", ""},
		{"only the secure one, not there", "__Secure-acme.session_token", "acme.session_token=x", "", ""},
		{"the session data is another cookie", "", "better-auth.session_data=x", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSession(t, SessionOptions{Cookie: row.cookie})
			r := request("/", "Cookie: "+row.header)
			got, err := s.Extract(r)
			wantReason(t, err, row.reason)
			if got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
			s.Remove(r)
			if got, err := s.Extract(r); got != "" || err != nil {
				t.Errorf("still there: %q, %v", got, err)
			}
		})
	}
}

// Promise: a cookie counts only with the signature of one of the secrets, written in the one way that there is.
func TestSessionVerify(t *testing.T) {
	const token = "GoMj01zLQNrfIQoHqVRzvDZdYiVcpN89"
	good := sessionValue(sessionTestSecret, token)
	plain, err := url.QueryUnescape(good)
	if err != nil {
		t.Fatal(err)
	}
	dot := strings.LastIndexByte(plain, '.')
	for _, row := range []struct {
		name, value string
		want        Reason
	}{
		{"as better-auth makes it", good, ""},
		{"not encoded", plain, ""},
		{"another token", sessionValue(sessionTestSecret, "another"), ""},
		{"a token with a dot", sessionValue(sessionTestSecret, "a.b.c"), ""},
		{"the former secret", sessionValue("the former secret, also long enough", token), ""},
		{"another secret", sessionValue("another secret, also long enough", token), ReasonSignature},
		{"the default secret", sessionValue(defaultSecret, token), ReasonSignature},
		{"the token changed", "X" + good[1:], ReasonSignature},
		{"the token's case changed", strings.ToLower(token) + good[len(token):], ReasonSignature},
		{"empty", "", ReasonMalformed},
		{"garbage", "garbage", ReasonMalformed},
		{"no token", plain[dot:], ReasonMalformed},
		{"no signature", token + ".", ReasonMalformed},
		{"signature without padding", strings.TrimRight(plain, "="), ReasonMalformed},
		{"signature with more padding", plain + "=", ReasonMalformed},
		{"signature in base64url", token + "." + strings.NewReplacer("+", "-", "/", "_").Replace(strings.Repeat("+/A", 14)+"A="), ReasonMalformed},
		{"last bits of the signature changed", plain[:len(plain)-2] + changeLastBase64(plain[len(plain)-2]) + "=", ReasonMalformed},
		{"signature of 31 bytes", token + "." + base64.StdEncoding.EncodeToString(make([]byte, 31)), ReasonMalformed},
		{"signature of 33 bytes", token + "." + base64.StdEncoding.EncodeToString(make([]byte, 33)), ReasonMalformed},
		{"a line break in the signature", plain[:dot+5] + "\n" + plain[dot+5:len(plain)-1], ReasonMalformed},
		{"badly encoded", good + "%", ReasonMalformed},
		{"encoded twice", url.QueryEscape(good), ReasonMalformed},
		{"a control character in the token", sessionValue(sessionTestSecret, "a\nb"), ReasonMalformed},
		{"a space in the token", sessionValue(sessionTestSecret, "a b"), ReasonMalformed},
		{"the token too long", sessionValue(sessionTestSecret, strings.Repeat("a", maxSessionToken+1)), ReasonMalformed},
		{"too large", strings.Repeat("a", maxSessionValue+1), ReasonTooLarge},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSession(t, SessionOptions{Secrets: []string{sessionTestSecret, "the former secret, also long enough"}})
			got, _, err := s.Verify(row.value)
			wantReason(t, err, row.want)
			if (err == nil) != (got != "") {
				t.Errorf("got %q with %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), token[:8]) {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
	if got, _, err := newSession(t, SessionOptions{}).Verify(good); got != token || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// changeLastBase64 changes the bits of a last digit that say nothing.
func changeLastBase64(c byte) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	return digits[strings.IndexByte(digits, c)^1:][:1]
}

// Promise: options that would let anybody in are refused.
func TestSessionOptions(t *testing.T) {
	for _, row := range []struct {
		options SessionOptions
		want    string
	}{
		{SessionOptions{}, "no secret"},
		{SessionOptions{Secrets: []string{""}}, "0 bytes"},
		{SessionOptions{Secrets: []string{sessionTestSecret, "short"}}, "5 bytes"},
		{SessionOptions{Secrets: []string{defaultSecret}}, "default"},
		{SessionOptions{Secrets: []string{sessionTestSecret}, Cookie: "a b"}, "not the name"},
		{SessionOptions{Secrets: []string{sessionTestSecret}, Cookie: "a=b"}, "not the name"},
	} {
		if _, err := NewSession(row.options); err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), sessionTestSecret) {
			t.Errorf("got %v, want %q", err, row.want)
		}
	}
}

// Promise: many goroutines verify at once, and none gets another's answer.
func TestSessionConcurrently(t *testing.T) {
	s := newSession(t, SessionOptions{})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			token := strings.Repeat(string(rune('a'+n)), 32)
			good, bad := sessionValue(sessionTestSecret, token), sessionValue("another secret, also long enough", token)
			for range 500 {
				if got, _, err := s.Verify(good); err != nil || got != token {
					t.Errorf("got %q, %v", got, err)
				}
				if _, _, err := s.Verify(bad); err == nil {
					t.Error("a bad cookie passed")
				}
			}
		}()
	}
	wg.Wait()
}
