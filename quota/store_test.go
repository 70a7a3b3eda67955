package quota

import (
	"math/big"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Every store has to pass testStore. It is run over Local and over modelStore, which shows that the suite asks for
// the contract and not for the way in which Local keeps it.
func TestStores(t *testing.T) {
	t.Run("Local", func(t *testing.T) {
		testStore(t, func(now func() time.Time) Store { return NewLocal(LocalOptions{Now: now}) })
	})
	t.Run("model", func(t *testing.T) {
		testStore(t, func(func() time.Time) Store { return &modelStore{buckets: make(map[Key]*bucketModel)} })
	})
}

// modelStore is the contract of Store over exact buckets, behind one lock.
type modelStore struct {
	mu      sync.Mutex
	buckets map[Key]*bucketModel
}

func (s *modelStore) Take(now time.Time, cost int64, limits []Limit, out []Status) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spend(now, cost, limits, out) {
		return true
	}
	refused := make([]Status, len(limits))
	copy(refused, out)
	s.spend(now, 0, limits, out) // what is left after nothing was spent
	for i := range refused {
		if refused[i].Exceeded {
			out[i] = refused[i]
		}
	}
	return false
}

// spend takes from each bucket in turn and puts everything back if one refuses.
func (s *modelStore) spend(now time.Time, cost int64, limits []Limit, out []Status) bool {
	allowed := true
	var back []func()
	for i := range limits {
		if limits[i].Rate.IsZero() {
			out[i] = unlimited()
			continue
		}
		b := s.buckets[limits[i].Key]
		if b == nil {
			b = newBucketModel(limits[i].Rate, now)
			s.buckets[limits[i].Key] = b
		}
		b.refill(now)
		before, ok := new(big.Rat).Set(b.tokens), false
		if out[i], ok = b.take(now, cost); ok {
			back = append(back, func() { b.tokens = before })
		}
		allowed = allowed && ok
	}
	if !allowed {
		for i := len(back) - 1; i >= 0; i-- {
			back[i]()
		}
	}
	return allowed
}

func (s *modelStore) Refund(time.Time, int64, []Limit) {}
func (s *modelStore) Release([]Limit)                  {}

// testStore checks the contract of Store. newStore makes an empty store that lives by the given clock.
func testStore(t *testing.T, newStore func(now func() time.Time) Store) {
	free := mustRate(t, 60, time.Minute, 20)
	small := mustRate(t, 10, time.Second, 5)

	t.Run("no limits", func(t *testing.T) {
		clk := newClock()
		if !newStore(clk.Now).Take(clk.Now(), 1, nil, nil) {
			t.Error("refused without a limit")
		}
	})

	t.Run("the burst at once, then one per interval", func(t *testing.T) {
		clk := newClock()
		s, limits, out := newStore(clk.Now), one(free), make([]Status, 1)
		for i := range 20 {
			if !s.Take(clk.Now(), 1, limits, out) || out[0].Remaining != int64(19-i) || out[0].Exceeded {
				t.Fatalf("request %d: %+v", i+1, out[0])
			}
		}
		for range 3 { // being refused costs nothing
			if s.Take(clk.Now(), 1, limits, out) {
				t.Fatal("request 21 passed")
			}
			if want := (Status{Next: time.Second, Reset: 20 * time.Second, RetryAfter: time.Second, Exceeded: true}); out[0] != want {
				t.Fatalf("got %+v, want %+v", out[0], want)
			}
		}
		if now := clk.Add(time.Second - 1); s.Take(now, 1, limits, out) {
			t.Fatal("passed before RetryAfter")
		}
		if now := clk.Add(1); !s.Take(now, 1, limits, out) {
			t.Fatal("refused after RetryAfter")
		}
		if now := clk.Add(time.Hour); !s.Take(now, 20, limits, out) || out[0].Remaining != 0 {
			t.Fatalf("the bucket is not full after an hour: %+v", out[0])
		}
	})

	t.Run("a refused request spends from no limit", func(t *testing.T) {
		clk := newClock()
		s := newStore(clk.Now)
		limits := []Limit{
			{Name: "requests", Key: tenantKey(1), Rate: free},
			{Name: "environment", Key: Key{Scope: ScopeEnvironment, ID: tenantKey(1).ID}, Rate: small},
		}
		for _, order := range [][]Limit{limits, {limits[1], limits[0]}} {
			now := clk.Add(time.Hour)
			out := make([]Status, 2)
			if !s.Take(now, 5, order, out) {
				t.Fatal("refused from full buckets")
			}
			for range 10 {
				if s.Take(now, 1, order, out) {
					t.Fatal("passed an empty bucket")
				}
			}
			for i := range order {
				if tenant := order[i].Name == "requests"; tenant && (out[i].Exceeded || out[i].Remaining != 15 || out[i].RetryAfter != 0) ||
					!tenant && (!out[i].Exceeded || out[i].Remaining != 0 || out[i].RetryAfter != 100*time.Millisecond) {
					t.Errorf("%s: %+v", order[i].Name, out[i])
				}
			}
		}
	})

	t.Run("every limit that refuses says so", func(t *testing.T) {
		clk := newClock()
		s := newStore(clk.Now)
		limits := []Limit{
			{Name: "a", Key: tenantKey(1), Rate: small},
			{Name: "b", Key: tenantKey(2), Rate: free},
			{Name: "c", Key: tenantKey(3), Rate: small},
		}
		out := make([]Status, 3)
		if s.Take(clk.Now(), 6, limits, out) {
			t.Fatal("passed with a cost above the burst")
		}
		if !out[0].Exceeded || out[1].Exceeded || !out[2].Exceeded || out[0].RetryAfter != Never || RetryAfter(out) != Never {
			t.Errorf("%+v", out)
		}
		if !s.Take(clk.Now(), 5, limits, out) || out[0].Remaining != 0 || out[1].Remaining != 15 || out[2].Remaining != 0 {
			t.Errorf("something was spent before: %+v", out)
		}
	})

	t.Run("a cost below one only reads", func(t *testing.T) {
		clk := newClock()
		s, limits, out := newStore(clk.Now), one(small), make([]Status, 1)
		for _, cost := range []int64{0, -1, -1 << 63} {
			if !s.Take(clk.Now(), cost, limits, out) || out[0] != (Status{Remaining: 5}) {
				t.Fatalf("cost %d: %+v", cost, out[0])
			}
		}
		s.Take(clk.Now(), 5, limits, out)
		if !s.Take(clk.Now(), 0, limits, out) || out[0] != (Status{Next: 100 * time.Millisecond, Reset: 500 * time.Millisecond}) {
			t.Fatalf("%+v", out[0])
		}
	})

	t.Run("the largest cost", func(t *testing.T) {
		clk := newClock()
		s, limits, out := newStore(clk.Now), one(small), make([]Status, 1)
		if s.Take(clk.Now(), 1<<63-1, limits, out) || out[0].RetryAfter != Never || out[0].Remaining != 5 {
			t.Errorf("%+v", out[0])
		}
	})

	t.Run("the zero rate is no limit", func(t *testing.T) {
		clk := newClock()
		s := newStore(clk.Now)
		limits := []Limit{{Name: "none"}, {Name: "requests", Key: tenantKey(1), Rate: small}, {Name: "none"}}
		out := make([]Status, 3)
		if !s.Take(clk.Now(), 5, limits, out) || out[1].Remaining != 0 {
			t.Fatalf("%+v", out)
		}
		if s.Take(clk.Now(), 1, limits, out) || out[0].Exceeded || !out[1].Exceeded || out[2].Exceeded || out[0].Remaining != MaxRequests {
			t.Fatalf("%+v", out)
		}
		if !s.Take(clk.Now(), 1<<62, limits[:1], out) {
			t.Fatal("refused by no limit")
		}
	})

	t.Run("keys are apart", func(t *testing.T) {
		clk := newClock()
		s, out := newStore(clk.Now), make([]Status, 1)
		id := tenantKey(1).ID
		for _, k := range []Key{{ScopeTenant, id}, {ScopeEnvironment, id}, {ScopeTenant, tenantKey(2).ID}, {}} {
			if !s.Take(clk.Now(), 5, []Limit{{Key: k, Rate: small}}, out) {
				t.Errorf("%v finds its bucket spent", k)
			}
		}
	})

	t.Run("the same key twice spends twice", func(t *testing.T) {
		clk := newClock()
		s, out := newStore(clk.Now), make([]Status, 2)
		limits := []Limit{{Name: "a", Key: tenantKey(1), Rate: small}, {Name: "b", Key: tenantKey(1), Rate: small}}
		for i := range 2 {
			if !s.Take(clk.Now(), 1, limits, out) || out[1].Remaining != int64(3-2*i) {
				t.Fatalf("%+v", out)
			}
		}
		for range 3 { // one is left: the first has room, the second then has none, and gives the first's back
			if s.Take(clk.Now(), 1, limits, out) || !out[1].Exceeded {
				t.Fatalf("%+v", out)
			}
		}
		if !s.Take(clk.Now(), 1, limits[:1], out) || out[0].Remaining != 0 {
			t.Fatalf("the last one is gone: %+v", out[0])
		}
	})

	t.Run("more limits than anybody has", func(t *testing.T) {
		clk := newClock()
		s, limits, out := newStore(clk.Now), make([]Limit, 30), make([]Status, 31)
		for i := range limits {
			limits[i] = Limit{Key: tenantKey(i), Rate: free}
		}
		limits[29].Rate = small
		for i := range 6 {
			if s.Take(clk.Now(), 1, limits, out) != (i < 5) {
				t.Fatalf("request %d: %+v", i, out[29])
			}
		}
		if out[0].Remaining != 15 || !out[29].Exceeded {
			t.Fatalf("%+v", out)
		}
	})

	t.Run("many at once get no more than the burst", func(t *testing.T) {
		clk := newClock()
		s := newStore(clk.Now)
		limits := []Limit{
			{Name: "requests", Key: tenantKey(1), Rate: mustRate(t, 1000, time.Minute, 700)},
			{Name: "environment", Key: tenantKey(2), Rate: mustRate(t, 1000, time.Minute, 500)},
		}
		results := make(chan int)
		for range 8 {
			go func() {
				out, n := make([]Status, 2), 0
				for range 200 {
					if s.Take(clk.Now(), 1, limits, out) {
						n++
					}
				}
				results <- n
			}()
		}
		total := 0
		for range 8 {
			total += <-results
		}
		out := make([]Status, 2)
		s.Take(clk.Now(), 0, limits, out)
		if total != 500 || out[0].Remaining != 200 || out[1].Remaining != 0 {
			t.Errorf("%d passed; %+v", total, out)
		}
	})

	t.Run("random schedules of several limits", func(t *testing.T) {
		rates := someRates(t)
		for seed := range uint64(100) {
			rnd := rand.New(rand.NewPCG(seed, 2))
			clk := newClock()
			s := newStore(clk.Now)
			want := &modelStore{buckets: make(map[Key]*bucketModel)}
			pool := make([]Limit, 6)
			for i := range pool {
				pool[i] = Limit{Key: tenantKey(i), Rate: rates[rnd.IntN(len(rates))]}
			}
			for range 100 {
				limits := make([]Limit, rnd.IntN(4))
				for i, p := range rnd.Perm(len(pool))[:len(limits)] {
					limits[i] = pool[p]
				}
				cost := int64(1)
				if len(limits) > 0 {
					cost = randomCost(rnd, limits[0].Rate)
				}
				now := clk.Add(randomStep(rnd, pool[0].Rate))
				got, model := make([]Status, len(limits)), make([]Status, len(limits))
				allowed, wantAllowed := s.Take(now, cost, limits, got), want.Take(now, cost, limits, model)
				if allowed != wantAllowed {
					t.Fatalf("cost %d of %v: %v %+v, want %v %+v", cost, limits, allowed, got, wantAllowed, model)
				}
				for i := range got {
					if got[i] != model[i] {
						t.Fatalf("cost %d of %v: %+v, want %+v", cost, limits[i], got[i], model[i])
					}
				}
			}
		}
	})
}
