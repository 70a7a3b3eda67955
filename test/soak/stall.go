package main

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"time"
)

// A machine that is shared, or that is a virtual one and was paused, may stand still for seconds. What a request gets
// then says nothing of the gateway, and where nobody took note of it a run would say that the gateway hangs.
const (
	// stallStep is how often the program looks whether it runs and whether it can write, and stallMost what that may take.
	stallStep = 100 * time.Millisecond
	stallMost = time.Second
	// stallAfter is how long what has piled up meanwhile is excused.
	stallAfter = requestTimeout + 5*time.Second
)

// watchStalls notes until the context ends when this program did not run, or could not write to the disk that the
// registry is on.
func (s *system) watchStalls(ctx context.Context) {
	tick := time.NewTicker(stallStep)
	defer tick.Stop()
	path := filepath.Join(s.dir, "stall")
	for last, n := time.Now(), 0; ctx.Err() == nil; n++ {
		<-tick.C
		if n%10 == 0 {
			if f, err := os.Create(path); err == nil {
				_, _ = f.WriteString(time.Now().String())
				_ = f.Sync()
				_ = f.Close()
			}
		}
		now := time.Now()
		if now.Sub(last) > stallStep+stallMost {
			s.stalls.add(last, now)
		}
		last = now
	}
}

// watchRegistry notes until the context ends when sqld took too long to answer this program, which asks it past all
// gateways: then they cannot know better either.
func (s *system) watchRegistry(ctx context.Context, db *sql.DB) {
	for ctx.Err() == nil {
		began := time.Now()
		bounded, cancel := context.WithTimeout(ctx, requestTimeout)
		var one int
		err := db.QueryRowContext(bounded, "SELECT count(*) FROM sys_registry").Scan(&one)
		cancel()
		if now := time.Now(); err != nil || now.Sub(began) > stallMost {
			s.registryDown.add(began, now)
		}
		pause(ctx, stallStep)
	}
}

// stalled reports whether the machine stood still in a stretch of time, or shortly before.
func (s *system) stalled(from, to time.Time) bool { return s.stalls.touch(from, to, stallAfter) }
