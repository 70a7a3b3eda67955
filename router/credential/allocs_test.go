//go:build !race

package credential

import "testing"

// Promise: what each request does costs these allocations and no more. (Under the race detector AllocsPerRun counts
// the detector's own.)
func TestAllocations(t *testing.T) {
	v := newVerifier(t, VerifierOptions{Keys: publicKeys(t, rsaKey())})
	token := benchToken(t, "RS256", rsaKey(), "user-1")
	if _, err := verify(v, token); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	r := benchRequest()
	x, s := extractor(t, "header", "cookie jwt", "query access_token", "subprotocol"), newSession(t, SessionOptions{})
	forgetful := newSession(t, SessionOptions{Remember: -1})
	value, err := s.Extract(r)
	if err != nil {
		t.Fatal(err)
	}
	key, err := GenerateKey("production", nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := NewKeyExtractor("")
	if err != nil {
		t.Fatal(err)
	}
	withKey := request("/", "Authorization: Bearer "+key)
	for _, c := range []struct {
		name string
		want float64
		do   func()
	}{
		{"a remembered token", 0, func() { _, _ = v.Verify(ctx, token, start) }},
		{"finding a token", 0, func() { _, _, _ = x.Extract(r) }},
		{"finding a session cookie", 0, func() { _, _ = s.Extract(r) }},
		{"a remembered session cookie", 0, func() { _, _, _ = s.Verify(value) }},
		{"a session cookie (its decoded value, its lookup key)", 2, func() { _, _, _ = forgetful.Verify(value) }},
		{"finding an API key", 0, func() { _, _ = keys.Extract(withKey) }},
		{"the form of an API key", 0, func() { _, _ = ParseKey(key) }},
		{"a lookup key (itself)", 1, func() { _ = LookupKey(key) }},
		{"comparing lookup keys", 0, func() { _ = EqualLookupKeys(value, value) }},
	} {
		if got := testing.AllocsPerRun(1000, c.do); got != c.want {
			t.Errorf("%s: %v allocations, want %v", c.name, got, c.want)
		}
	}
}
