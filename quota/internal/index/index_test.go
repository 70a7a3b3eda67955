package index

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// item is an entry that counts.
type item struct {
	key   uint64
	count atomic.Int64
}

const dead = -1 << 62

func (i *item) Has(k uint64) bool { return i.key == k }
func (i *item) Dead() bool        { return i.count.Load() == dead }

// hashes of keys: one that spreads them well, and some that spread them badly.
var hashes = map[string]func(uint64) uint64{
	"good":       func(k uint64) uint64 { return k*0x9e3779b97f4a7c15 ^ k<<57 },
	"all equal":  func(uint64) uint64 { return 1<<64 - 1 },
	"one shard":  func(k uint64) uint64 { return k * 0x9e3779b97f4a7c15 >> shardBits },
	"last place": func(k uint64) uint64 { return k<<(64-shardBits) | 1<<(64-shardBits) - 1 },
}

// Promise: an index is a map from which the dead are gone, whatever the hashes.
func TestIndexAgainstMap(t *testing.T) {
	for name, hash := range hashes {
		for seed := range uint64(5) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			x, model := New[uint64, item](), make(map[uint64]*item)
			for range 5000 {
				k := rnd.Uint64N(300)
				switch rnd.IntN(10) {
				case 0:
					if i := model[k]; i != nil {
						i.count.Store(dead)
						delete(model, k)
					}
				case 1:
					x.Sweep(rnd.IntN(Shards), func(i *item) bool {
						if rnd.IntN(4) > 0 || i.Dead() {
							return false
						}
						i.count.Store(dead)
						delete(model, i.key)
						return true
					})
				case 2, 3, 4:
					made := false
					got := x.Revive(hash(k), k, func() *item { made = true; return &item{key: k} })
					if want := model[k]; want != nil && got != want || made != (want == nil) || got.key != k {
						t.Fatalf("%s, seed %d: revived %v, have %v", name, seed, got, want)
					}
					model[k] = got
				}
				got := x.Find(hash(k), k)
				if want := model[k]; want != nil && got != want || want == nil && got != nil && !got.Dead() {
					t.Fatalf("%s, seed %d: found %v, want %v", name, seed, got, want)
				}
				first := x.First(hash(k))
				if first == nil && got != nil || first != nil && (hash(first.key) != hash(k) || first.key == k && first != got) {
					t.Fatalf("%s, seed %d: first is %v, found %v", name, seed, first, got)
				}
			}
			n := 0
			x.Range(func(i *item) bool {
				if !i.Dead() {
					if n++; model[i.key] != i {
						t.Errorf("%s, seed %d: %v is there", name, seed, i)
					}
				}
				return true
			})
			if n != len(model) || x.Len() < n {
				t.Errorf("%s, seed %d: %d of %d are there, %d in all", name, seed, n, len(model), x.Len())
			}
			for s := range Shards {
				x.Sweep(s, func(i *item) bool { i.count.Store(dead); return true })
			}
			if x.Len() != 0 {
				t.Errorf("%s, seed %d: %d are left", name, seed, x.Len())
			}
		}
	}
}

// Promise: whoever raises a living entry by compare-and-swap is not lost, with many at once, with sweeps that kill what they
// have read, and with tables that grow and shrink.
func TestStressIndex(t *testing.T) {
	const workers, each, keys = 8, 4000, 200
	for name, hash := range hashes {
		x := New[uint64, item]()
		var swept atomic.Int64
		var stop atomic.Bool
		var sweeper, wg sync.WaitGroup
		sweep := func() {
			for s := range Shards {
				x.Sweep(s, func(i *item) bool {
					n := i.count.Load()
					if n == dead || !i.count.CompareAndSwap(n, dead) {
						return false
					}
					swept.Add(n)
					return true
				})
			}
		}
		sweeper.Go(func() {
			for !stop.Load() {
				sweep()
				runtime.Gosched()
			}
		})
		for w := range workers {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(w), 2))
				for range each {
					k := rnd.Uint64N(keys)
					i := x.Find(hash(k), k)
					for done := false; !done; {
						if i == nil || i.Dead() {
							i = x.Revive(hash(k), k, func() *item { return &item{key: k} })
						}
						n := i.count.Load()
						done = n != dead && i.count.CompareAndSwap(n, n+1)
					}
				}
			})
		}
		wg.Wait()
		stop.Store(true)
		sweeper.Wait()
		if sweep(); swept.Load() != workers*each || x.Len() != 0 {
			t.Errorf("%s: %d of %d were counted, %d entries are left", name, swept.Load(), workers*each, x.Len())
		}
	}
}

// Promise: what is not used any more costs nothing: a table shrinks with its entries. And an entry costs at most 27 bytes of index, but for 80 bytes a shard, whatever their number; a table is never more than three quarters full.
func TestIndexSize(t *testing.T) {
	x := New[uint64, item]()
	for k := range uint64(200_000) {
		x.Revive(hashes["good"](k), k, func() *item { return &item{key: k} })
		if k%997 != 0 && k != 200_000-1 {
			continue
		}
		slots, used := 0, 0
		for i := range x.shards {
			table := *x.shards[i].table.Load()
			n := int(x.shards[i].entries.Load())
			slots += len(table)
			if used += n; 4*n > 3*len(table) {
				t.Fatalf("%d entries in %d slots", n, len(table))
			}
		}
		if slots*16 > 27*used+Shards*5*16 {
			t.Fatalf("%d slots for %d entries", slots, used)
		}
	}
	for i := range Shards {
		if x.Sweep(i, func(i *item) bool { i.count.Store(dead); return true }); len(*x.shards[i].table.Load()) > 4 {
			t.Errorf("%d slots are left", len(*x.shards[i].table.Load()))
		}
	}
}
