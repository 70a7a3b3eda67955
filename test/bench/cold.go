package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// coldLookups is how many lookups are timed for each number of workers.
const coldLookups = 20_000

// coldLookup times what a cache miss costs: [registry.Store.Resolve] of random tenants of the big registry.
func coldLookup(ctx context.Context, b *bench) error {
	url, err := b.registryOf(ctx, b.Tenants)
	if err != nil {
		return err
	}
	store, err := registry.Open(registry.Options{URL: url})
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // nothing was written
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	if _, err := timeLookups(ctx, store, b.Tenants, 1, 1000); err != nil { // opens connections, prepares statements
		return err
	}
	b.report.section("Cold lookup", fmt.Sprintf("`registry.Store.Resolve` of random slugs in a `file:` registry of %d environments.", b.Tenants))
	t := table{Header: []string{"workers", "lookups/s", "p50 µs", "p99 µs", "longest µs"}}
	var p99 time.Duration
	for _, workers := range []int{1, 8} {
		began := time.Now()
		took, err := timeLookups(ctx, store, b.Tenants, workers, coldLookups)
		if err != nil {
			return err
		}
		rate := float64(len(took)) / time.Since(began).Seconds()
		slices.Sort(took)
		if workers == 1 {
			p99 = percentile(took, 99)
		}
		t.Rows = append(t.Rows, []string{
			fmt.Sprint(workers), fmt.Sprintf("%.0f", rate),
			fmt.Sprint(percentile(took, 50).Microseconds()), fmt.Sprint(percentile(took, 99).Microseconds()),
			fmt.Sprint(took[len(took)-1].Microseconds()),
		})
	}
	b.report.table(t)
	b.report.budget(fmt.Sprintf("cold lookup, one worker: p99 %d µs, budget at most 1000 µs", p99.Microseconds()), p99 <= time.Millisecond)
	return nil
}

// timeLookups looks up n random tenants, divided among workers, and returns how long each took.
func timeLookups(ctx context.Context, store *registry.Store, tenants, workers, n int) ([]time.Duration, error) {
	took := make([]time.Duration, n)
	failures := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1)) // the same tenants in every run
			for i := w; i < n; i += workers {
				ref := registry.Reference{Kind: registry.KindSlug, Key: fmt.Sprintf("t%07d", random.IntN(tenants))}
				began := time.Now()
				if _, err := store.Resolve(ctx, ref); err != nil {
					failures[w] = fmt.Errorf("looking up %s: %w", ref.Key, err)
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	group.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}
