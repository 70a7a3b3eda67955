package lane

import (
	"sync"
	"testing"
)

// Promise: a place is always one of those there are, and lanes given one after the other are in all of them.
func TestPlaces(t *testing.T) {
	for places := 1; places <= 64; places *= 2 {
		n, seen := next(), make(map[int]bool)
		for range places {
			place := n.Of(places)
			if n == 0 || place < 0 || place >= places {
				t.Fatalf("lane %d is place %d of %d", n, place, places)
			}
			seen[place] = true
			n = next()
		}
		if len(seen) != places {
			t.Errorf("%d places of %d", len(seen), places)
		}
	}
}

// Promise: no two moves end in the same lane, whoever moves at the same time.
func TestMovesApart(t *testing.T) {
	var (
		seen    sync.Map
		workers sync.WaitGroup
	)
	for range 8 {
		workers.Go(func() {
			for range 2000 {
				if n := Move(); n == 0 {
					t.Error("no lane")
				} else if _, taken := seen.LoadOrStore(n, true); taken {
					t.Errorf("lane %d was given twice", n)
				}
				if Mine() == 0 {
					t.Error("no lane")
				}
			}
		})
	}
	workers.Wait()
}
