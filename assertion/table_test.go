package assertion

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestBounded keeps the promise that tokens are bounded in number and in bytes.
func TestBounded(t *testing.T) {
	const size = 100
	s := testSigner(t, Options{Keys: secretSet(t), Size: size})
	for n := range 1000 {
		mustToken(t, s, Facts{Resolved: resolved(1, 1), User: strconv.Itoa(n)}, noon)
		if got := s.Stats().Kept; got != min(n+1, size) || s.table.entries.Size() != got {
			t.Fatalf("after %d users %d tokens are kept, %d can be found", n+1, got, s.table.entries.Size())
		}
	}
	for n := range 1000 {
		mustToken(t, s, Facts{Resolved: resolved(1, 1), User: strconv.Itoa(n) + strings.Repeat("x", 10_000)}, noon)
		if s.table.bytes > size*bytesPerToken {
			t.Fatalf("%d bytes are kept", s.table.bytes)
		}
	}
	sum := 0
	for _, e := range s.table.list {
		sum += len(e.token.Load().text)
	}
	if sum != s.table.bytes || s.table.byTenant[resolved(1, 1).Tenant.ID] != len(s.table.list) {
		t.Errorf("the table counts %d bytes, and has %d", s.table.bytes, sum)
	}
	for _, e := range append([]*entry(nil), s.table.list...) {
		s.table.remove(e)
		s.table.remove(e)
	}
	if s.table.bytes != 0 || len(s.table.byTenant) != 0 || s.table.entries.Size() != 0 {
		t.Errorf("the empty table counts %d bytes and %v", s.table.bytes, s.table.byTenant)
	}
}

// TestFairness keeps the promise that a tenant with any number of users takes places from itself: others keep nearly
// all of their tokens, and so sign nothing again.
func TestFairness(t *testing.T) {
	const size, tenants = 1000, 100
	s := testSigner(t, Options{Keys: secretSet(t), Size: size})
	small := func(n int, now time.Time) Facts { return Facts{Resolved: resolved(byte(n+1), 1), User: "u1"} }
	for n := range tenants {
		mustToken(t, s, small(n, noon), noon)
	}
	big := resolved(200, 1)
	for n := range 20 * size {
		// The small ones are the oldest, so that age alone would let them go first.
		mustToken(t, s, Facts{Resolved: big, User: strconv.Itoa(n)}, noon.Add(time.Second))
	}
	before := s.Stats().Signed
	for n := range tenants {
		mustToken(t, s, small(n, noon), noon)
	}
	if again := s.Stats().Signed - before; again > tenants/20 {
		t.Errorf("%d of %d small tenants have lost their token", again, tenants)
	}
}

// TestOldestFirst keeps the promise that among a tenant's own tokens those in use stay.
func TestOldestFirst(t *testing.T) {
	const size, hot = 1000, 100
	s := testSigner(t, Options{Keys: secretSet(t), Size: size, Lifetime: MaxLifetime})
	r := resolved(1, 1)
	now := noon
	signedHot := int64(0)
	for n := range 5 * size {
		if n%500 == 0 {
			now = now.Add(MaxLifetime/useSteps + time.Second)
			before := s.Stats().Signed
			for u := range hot {
				mustToken(t, s, Facts{Resolved: r, User: "hot" + strconv.Itoa(u)}, now)
			}
			signedHot += s.Stats().Signed - before
			now = now.Add(-MaxLifetime / useSteps)
		}
		mustToken(t, s, Facts{Resolved: r, User: strconv.Itoa(n)}, now)
	}
	if signedHot > hot*2 {
		t.Errorf("%d tokens in use were signed %d times", hot, signedHot)
	}
}
