package collector

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// Promise: the heap may grow to the floor, and by the percentage where that is more.
func TestGrowth(t *testing.T) {
	const mb = 1 << 20
	for _, tt := range []struct {
		live, other uint64
		want        int
	}{
		{0, 0, 3200},
		{mb, 0, 3175},
		{4 * mb, 0, 3100},
		{4 * mb, 4 * mb, 1550},
		{8 * mb, 0, 1500},
		{25 * mb, 0, 412},
		{26 * mb, 0, 400},
		{20 * mb, 20 * mb, 400},
		{100 * mb, 0, 400},
		{128 * mb, 0, 400},
		{1 << 40, 0, 400},
	} {
		if got := growth(400, 128*mb, tt.live, tt.other); got != tt.want {
			t.Errorf("with %d MB live and %d MB else: %d, want %d", tt.live/mb, tt.other/mb, got, tt.want)
		}
	}
}

// percent is what is set.
func percent() uint64 { return read("/gc/gogc:percent") }

func read(name string) uint64 {
	s := []metrics.Sample{{Name: name}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// Promise: the pace follows the heap from collection to collection, and is gone after stop.
func TestPace(t *testing.T) {
	const floor = 64 << 20
	before := percent()
	stop := Pace(400, floor)
	ended := false
	defer func() {
		if !ended {
			stop()
		}
	}()
	reaches := func(what string, ok func(goal, set uint64) bool) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			runtime.GC()
			goal, set := read("/gc/heap/goal:bytes"), percent()
			if ok(goal, set) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the goal is %d bytes by %d %%", what, goal, set)
			}
			time.Sleep(time.Millisecond) // the finalizer has a goroutine of its own
		}
	}
	reaches("a small heap", func(goal, set uint64) bool { return set > 400 && goal > floor*3/4 && goal < floor*3/2 })
	keep := make([]byte, 32<<20)
	reaches("a larger one", func(goal, set uint64) bool { return set == 400 && goal > 4*32<<20 })
	runtime.KeepAlive(keep)
	keep = nil
	reaches("a small one again", func(_, set uint64) bool { return set > 400 })
	_ = keep
	stop()
	ended = true
	runtime.GC()
	if now := debug.SetGCPercent(int(before)); now != int(before) {
		t.Errorf("afterwards %d %%, before %d %%", now, before)
	}
}
