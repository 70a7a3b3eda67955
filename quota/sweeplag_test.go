package quota

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenantgate/tenantgate/quota/internal/index"
)

// Promise: a request that read the clock a little before a sweep, and spends after it, passes a limit that allows one
// request at once.
func TestSweepBetweenClockAndSpend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLocal(LocalOptions{SweepInterval: index.Shards * time.Millisecond})
		go l.Run(t.Context())
		rate, err := NewRate(1, time.Minute, 1)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // many sweeps, none of which may count as a request
		for i := range byte(10) {
			now := time.Now()
			time.Sleep(sweepLag / 2) // sweeps run
			if !l.Take(now, 1, []Limit{{Name: "requests", Key: Key{Scope: ScopeTenant, ID: [16]byte{i}}, Rate: rate}}, make([]Status, 1)) {
				t.Fatal("the first request was refused")
			}
		}
	})
}
