package fleet

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/redis"
)

// Promise: a hint reaches every other gateway of the same registry within a moment, those of other registries never, and
// after Redis was gone hints arrive again.
func TestHints(t *testing.T) {
	server := redis.Start(t, redis.Options{})
	address, err := ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer func() { cancel(); all.Wait() }()
	counts := make([]atomic.Int64, 3)
	hints := make([]*Hints, 3)
	for i := range hints {
		registry := "r1"
		if i == 2 {
			registry = "r2"
		}
		if hints[i], err = NewHints(Options{Address: address}, registry, func() { counts[i].Add(1) }); err != nil {
			t.Fatal(err)
		}
		all.Go(func() { hints[i].Run(ctx) })
	}
	for i := range counts { // one for the connection itself
		eventually(t, func() bool { return counts[i].Load() >= 1 })
	}
	before, own, other := counts[1].Load(), counts[0].Load(), counts[2].Load()
	began := time.Now()
	hints[0].Publish()
	eventually(t, func() bool { return counts[1].Load() > before })
	t.Logf("after %v", time.Since(began))
	if counts[0].Load() != own || counts[2].Load() != other {
		t.Errorf("the sender got %d, another registry %d", counts[0].Load()-own, counts[2].Load()-other)
	}

	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return counts[1].Load() > before+1 && counts[0].Load() > own }) // connected again
	before = counts[1].Load()
	eventually(t, func() bool { hints[0].Publish(); return counts[1].Load() > before })
}

// Promise: a channel's name says how long the registry's is, so that no two registries share one.
func TestHintsNames(t *testing.T) {
	address := Address{Hosts: []string{"127.0.0.1:1"}}
	for _, registry := range []string{"", string(make([]byte, 129))} {
		if _, err := NewHints(Options{Address: address}, registry, func() {}); err == nil {
			t.Errorf("%q is accepted", registry)
		}
	}
	h, err := NewHints(Options{Address: address, Prefix: "p:"}, "abc", func() {})
	if err != nil || h.channel != "p:changed:3:abc" {
		t.Errorf("%v, %v", h, err)
	}
}
