package quota

import (
	"encoding/binary"
	"testing"
	"time"
)

// Promise: whatever numbers come, NewRate either refuses them or returns a rate whose arithmetic holds.
func FuzzNewRate(f *testing.F) {
	f.Add(int64(60), int64(time.Minute), int64(20))
	f.Add(MaxRequests, int64(time.Second), int64(0))
	f.Add(int64(1), int64(24*time.Hour), int64(209))
	f.Add(int64(-1), int64(-1), int64(-1))
	f.Fuzz(func(t *testing.T, requests, period, burst int64) {
		r, err := NewRate(requests, time.Duration(period), burst)
		if err != nil {
			if !r.IsZero() {
				t.Fatal("a rate came with an error")
			}
			return
		}
		if r.interval < 1 || r.horizon < r.interval || r.horizon > maxHorizon || r.horizon/r.interval != span(r.burst) {
			t.Fatalf("%v: interval %d, horizon %d", r, r.interval, r.horizon)
		}
		if !r.fits(0, r.burst) || r.fits(r.horizon, 1) {
			t.Fatalf("%v: a full bucket has no room, or an empty one has", r)
		}
	})
}

// Promise: over any schedule, of any rate, a Local decides as the exact token bucket does.
func FuzzSchedule(f *testing.F) {
	f.Add(int64(60), uint16(60), int64(20), []byte("a schedule is read from these bytes, five for each step"))
	f.Add(int64(50_000), uint16(1), int64(50_000), []byte{0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add(MaxRequests, uint16(60), int64(0), []byte{1, 2, 3, 4, 200, 0, 0, 0, 0, 201})
	f.Fuzz(func(t *testing.T, requests int64, seconds uint16, burst int64, schedule []byte) {
		r, err := NewRate(requests, time.Duration(seconds)*time.Second, burst)
		if err != nil || len(schedule) > 1000 {
			return
		}
		checkSchedule(t, r, func() (time.Duration, int64, bool) {
			if len(schedule) < 5 {
				return 0, 0, false
			}
			// A step of up to two intervals, of up to 4 s, or of up to the whole refill, by the highest two bits.
			bits := binary.LittleEndian.Uint32(schedule)
			step := float64(bits&0x3fffffff) / 0x3fffffff
			switch bits >> 30 {
			case 0:
				step *= 2 * float64(r.interval.duration())
			case 1:
				step *= 4e9
			case 2:
				step *= float64(r.horizon.duration())
			default:
				step = 0
			}
			cost := int64(schedule[4])
			if cost > 200 { // near the burst
				cost = r.burst - 200 + cost - 28
			} else if cost > 8 {
				cost = 1
			}
			schedule = schedule[5:]
			return time.Duration(step), cost, true
		})
	})
}
