package credential

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

func hmacToken(t testing.TB, user string, members ...any) string {
	return sign(t, "HS256", "", testSecret, with(standardClaims(), append([]any{"sub", user}, members...)...))
}

// Promise: a token is remembered for exactly as long as it is good.
func TestRememberedUntilItExpires(t *testing.T) {
	v := newVerifier(t, VerifierOptions{Keys: secretKeys(t), Leeway: 10 * time.Second})
	token := hmacToken(t, "u", "iat", nil, "nbf", start.Unix(), "exp", start.Add(time.Minute).Unix())
	first, err := v.Verify(t.Context(), token, start)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		want  Reason
	}{
		{0, ""},
		{70*time.Second - 1, ""},
		{-10 * time.Second, ""},
		{-10*time.Second - 1, ReasonNotYetValid}, // a clock that was set back
		{0, ""},
		{70 * time.Second, ReasonExpired},
		{71 * time.Second, ReasonExpired},
	} {
		id, err := v.Verify(t.Context(), token, start.Add(step.after))
		wantReason(t, err, step.want)
		if step.want == "" && id.User != first.User {
			t.Errorf("after %s: %+v", step.after, id)
		}
	}
	if n := v.Remembered(); n != 0 {
		t.Errorf("%d expired tokens are remembered", n)
	}
}

// Promise: what is remembered of a token does not keep the request's headers in memory, and is one object for all.
func TestRememberedIsShared(t *testing.T) {
	v := newVerifier(t, VerifierOptions{Keys: secretKeys(t)})
	line := "Bearer " + hmacToken(t, "u")
	token := line[len("Bearer "):]
	first, err := verify(v, token)
	if err != nil {
		t.Fatal(err)
	}
	second, err := verify(v, strings.Clone(token))
	if err != nil || first != second {
		t.Errorf("not the same object: %v", err)
	}
	e, ok := v.remembered.entries.Load(token)
	if !ok || unsafe.StringData(e.token) == unsafe.StringData(token) {
		t.Error("the token was not cloned")
	}
}

// checkMemory checks what always holds of a memory.
func checkMemory(t *testing.T, m *memory) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	live, bytes := 0, 0
	for place, e := range m.ring {
		if e == nil {
			continue
		}
		live++
		bytes += len(e.token)
		if stored, ok := m.entries.Load(e.token); !ok || stored != e || e.place != place {
			t.Fatalf("place %d of the ring and the map disagree", place)
		}
	}
	if live != m.entries.Size() || bytes != m.bytes || live+len(m.free) != len(m.ring) || live > m.max || bytes > m.maxBytes {
		t.Fatalf("%d in the ring of %d (%d free), %d in the map, %d bytes counted as %d", live, len(m.ring), len(m.free), m.entries.Size(), bytes, m.bytes)
	}
}

// Promise: memory is bounded in number and in bytes, and tokens that are in use stay when others come and go.
func TestMemoryIsBounded(t *testing.T) {
	m := newMemory(100)
	k := publicKeys(t, p256Key()).keys[0]
	put := func(token string) { m.store(token, &Identity{}, k, start, start.Add(time.Hour)) }
	for n := range 50 {
		put(fmt.Sprint("in use ", n))
	}
	for n := range 10_000 {
		put(fmt.Sprint("seen once ", n))
		if n%20 == 0 {
			for u := range 50 {
				m.load(fmt.Sprint("in use ", u), start)
			}
		}
	}
	checkMemory(t, m)
	if m.len() != 100 {
		t.Errorf("%d tokens remembered, want 100", m.len())
	}
	for u := range 50 {
		if m.load(fmt.Sprint("in use ", u), start) == nil {
			t.Errorf("token %d was in use and is forgotten", u)
		}
	}
	for n := range 30 {
		put(fmt.Sprint("large ", n, strings.Repeat("x", 10*bytesPerToken)))
		checkMemory(t, m)
	}
	put(strings.Repeat("x", 100*bytesPerToken+1))
	checkMemory(t, m)
	k.gone.Store(true)
	for u := range 50 {
		if m.load(fmt.Sprint("in use ", u), start) != nil {
			t.Errorf("token %d of a withdrawn key is honoured", u)
		}
	}
	checkMemory(t, m)
}

// Promise: a flood of bad tokens evicts none of the good ones.
func TestBadTokensEvictNothing(t *testing.T) {
	v := newVerifier(t, VerifierOptions{Keys: secretKeys(t), Remember: 10})
	ids := make(map[string]*Identity)
	for n := range 10 {
		token := hmacToken(t, fmt.Sprint(n))
		id, err := verify(v, token)
		if err != nil {
			t.Fatal(err)
		}
		ids[token] = id
	}
	for n := range 5000 {
		bad := hmacToken(t, fmt.Sprint(n), "exp", 1)
		if n%2 == 0 {
			bad = bad[:len(bad)-4] + "AAAA"
		}
		if _, err := verify(v, bad); err == nil {
			t.Fatal("a bad token passed")
		}
	}
	for token, want := range ids {
		if got, err := verify(v, token); err != nil || got != want {
			t.Errorf("a good token was forgotten: %v", err)
		}
	}
}

// Promise: with nothing to remember, each token is verified each time.
func TestRememberNothing(t *testing.T) {
	v := newVerifier(t, VerifierOptions{Keys: secretKeys(t), Remember: -1})
	token := hmacToken(t, "u")
	first, err := verify(v, token)
	if err != nil {
		t.Fatal(err)
	}
	second, err := verify(v, token)
	if err != nil || first == second || v.Remembered() != 0 {
		t.Errorf("remembered, %v", err)
	}
}

// Promise: many goroutines at once, with tokens coming, expiring and being withdrawn, never see a wrong answer.
func TestMemoryUnderLoad(t *testing.T) {
	m := newMemory(64)
	keys := make([]*key, 8)
	for n := range keys {
		keys[n] = newSecretKey(testSecret)
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 5000 {
				n := random.IntN(200)
				token, now := fmt.Sprint("token ", n), start.Add(time.Duration(random.IntN(100))*time.Second)
				if id := m.load(token, now); id != nil {
					if id.User != token || !now.Before(id.ExpiresAt) {
						t.Errorf("asked for %s at %s, got %+v", token, now, id)
					}
					continue
				}
				expires := start.Add(time.Duration(n) * time.Second)
				if now.Before(expires) {
					m.store(token, &Identity{User: token, ExpiresAt: expires}, keys[n%len(keys)], start, expires)
				}
			}
		}()
	}
	wg.Wait()
	checkMemory(t, m)
}

// Promise: times that 64 bits of nanoseconds cannot hold count as the ends of what they can.
func TestUnixNano(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(maxTime, 0), time.Unix(-maxTime, 0), start} {
		switch got := unixNano(at); {
		case at.Equal(start) && got != at.UnixNano(), at.After(start) && got != 1<<63-1, at.Before(start) && got != -1<<63+1:
			t.Errorf("%s: %d", at, got)
		}
	}
}
