package assertion

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestNeverLate keeps the promises of renewal, over hours of a moved clock and requests at random: a token that a
// request gets has a quarter of its life left, and no request signs whose tenant is busy.
func TestNeverLate(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		lifetime := MinLifetime + time.Duration(random.Int64N(int64(MaxLifetime-MinLifetime)))
		s := testSigner(t, Options{Lifetime: lifetime})
		busy, rare := Facts{Resolved: resolved(1, 1)}, Facts{Resolved: resolved(2, 1), User: "u1"}
		now, round := noon, noon
		mustToken(t, s, busy, now)
		for range 2000 {
			now = now.Add(time.Duration(random.Int64N(int64(lifetime / 10))))
			for step := lifetime / renewSteps; now.Sub(round) >= step; {
				round = round.Add(step)
				s.Renew(round)
			}
			ask := func(f Facts) {
				// "exp" is in whole seconds.
				if left := expiry(t, mustToken(t, s, f, now)).Sub(now); left < lifetime/4-time.Second || left > lifetime {
					t.Fatalf("lifetime %s: %s are left", lifetime, left)
				}
			}
			before := s.Stats()
			ask(busy)
			if after := s.Stats(); after.Signed != before.Signed {
				t.Fatalf("lifetime %s: a request of a busy tenant has signed", lifetime)
			}
			if random.IntN(30) == 0 {
				ask(rare)
			}
		}
		if got := s.Stats(); got.Renewed == 0 || got.Kept > 2 {
			t.Errorf("%+v", got)
		}
	}
}

// TestUnused keeps the promise that nobody's token is renewed: after its last use it is renewed once at most, and then
// forgotten.
func TestUnused(t *testing.T) {
	s := testSigner(t, Options{Lifetime: time.Minute})
	never, once := Facts{Resolved: resolved(1, 1)}, Facts{Resolved: resolved(1, 2)}
	mustToken(t, s, never, noon)
	mustToken(t, s, once, noon)
	mustToken(t, s, once, noon.Add(10*time.Second))
	for now := noon; now.Before(noon.Add(time.Hour)); now = now.Add(3 * time.Second) {
		s.Renew(now)
	}
	if got := s.Stats(); got.Signed != 3 || got.Renewed != 1 || got.Kept != 0 || s.table.entries.Size() != 0 {
		t.Errorf("%+v", got)
	}
}

// TestClockBack keeps the promise that a token which is not valid yet is not given out when the clock has gone back.
func TestClockBack(t *testing.T) {
	s := testSigner(t, Options{})
	f := Facts{Resolved: resolved(1, 1)}
	text := mustToken(t, s, f, noon)
	if mustToken(t, s, f, noon.Add(-backdate)) != text || mustToken(t, s, f, noon.Add(-backdate-time.Second)) == text {
		t.Error("the token has to be used from 30 seconds before it was signed, and not before that")
	}
	s.Renew(noon.Add(-time.Hour))
	if s.Stats().Kept != 0 {
		t.Error("a token of the future is kept")
	}
}

// TestRotationWhileRunning keeps the promise that a signer in use goes over to the next key of its directory, without a
// token whose key is not published.
func TestRotationWhileRunning(t *testing.T) {
	s := testSigner(t, Options{KeyDir: NewKeyDir(t.TempDir(), DefaultLifetime)})
	f := Facts{Resolved: resolved(1, 1)}
	signers := map[string]bool{}
	for now := noon; now.Before(noon.Add(2*rotateEvery + time.Hour)); now = now.Add(time.Hour) {
		s.Renew(now)
		text := mustToken(t, s, f, now)
		verified(t, s, text, now)
		signers[signerOf(t, text)] = true
	}
	if len(signers) != 3 {
		t.Errorf("%d keys have signed", len(signers))
	}
}

// TestRun keeps the promise that renewal runs by itself, by the clock, and ends with its context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSigner(t, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			s.Run(ctx)
			close(ended)
		}()
		f := Facts{Resolved: resolved(1, 1)}
		mustToken(t, s, f, time.Now())
		for range 100 {
			time.Sleep(20 * time.Second)
			before := s.Stats()
			mustToken(t, s, f, time.Now())
			if after := s.Stats(); after.Signed != before.Signed {
				t.Fatal("a request has signed")
			}
		}
		if s.Stats().Renewed < 2000/188 {
			t.Errorf("%+v", s.Stats())
		}
		cancel()
		<-ended
	})
}

// TestRace has everything happen at once, for the race detector, and checks every token.
func TestRace(t *testing.T) {
	s := testSigner(t, Options{Lifetime: MinLifetime, Size: 20})
	var wait sync.WaitGroup
	for worker := range 6 {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 3))
			now := noon
			for range 300 {
				now = now.Add(100 * time.Millisecond)
				r := resolved(byte(random.IntN(3)), 1)
				r.Tenant.Plan = "plan-" + strconv.Itoa(random.IntN(2))
				f := Facts{Resolved: r, User: "u" + strconv.Itoa(random.IntN(20))}
				claims := verified(t, s, mustToken(t, s, f, now), now)
				tenant := claims["tenant"].(map[string]any)
				if claims["sub"] != f.User || tenant["plan"] != r.Tenant.Plan || tenant["id"] != r.Tenant.ID.String() {
					t.Errorf("%v for %s of %s", claims, f.User, r.Tenant.ID)
				}
				if worker == 0 {
					s.Renew(now)
				}
			}
		})
	}
	wait.Wait()
	if kept := s.Stats().Kept; kept > 20 || kept != s.table.entries.Size() {
		t.Errorf("%d tokens are kept, %d can be found", kept, s.table.entries.Size())
	}
}
