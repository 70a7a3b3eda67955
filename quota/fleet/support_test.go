package fleet

import (
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/test/redis"
)

// patience bounds what a test waits for.
const patience = 20 * time.Second

// newStore returns a store that is connected, with a timeout that a busy machine does not run into.
func newStore(t testing.TB, server *redis.Server, change func(*Options)) *Store {
	t.Helper()
	return newStoreAt(t, server.URL(), change)
}

func newStoreAt(t testing.TB, url string, change func(*Options)) *Store {
	t.Helper()
	address, err := ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Address: address, Timeout: 2 * time.Second}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	eventually(t, func() bool { return s.Stats().Up })
	return s
}

// eventually waits for a condition.
func eventually(t testing.TB, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}

func mustRate(t testing.TB, requests int64, period time.Duration, burst int64) quota.Rate {
	t.Helper()
	r, err := quota.NewRate(requests, period, burst)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
