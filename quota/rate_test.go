package quota

import (
	"strings"
	"testing"
	"time"
)

// Promise: a rate that makes no sense, or that cannot be represented, is refused with an error that says what would
// be accepted; every other is taken as it is.
func TestNewRate(t *testing.T) {
	const day = 24 * time.Hour
	for _, tc := range []struct {
		name     string
		requests int64
		period   time.Duration
		burst    int64
		wantErr  string // a part of it; empty for none
	}{
		{"one a minute", 1, time.Minute, 0, ""},
		{"free plan", 60, time.Minute, 20, ""},
		{"burst above the rate", 60, time.Minute, 120, ""},
		{"50,000 a second", 50_000, time.Second, 0, ""},
		{"largest", MaxRequests, time.Minute, MaxRequests, ""},
		{"largest per day", MaxRequests, day, 0, ""},
		{"one a day", 1, day, 0, ""},
		{"longest refill", 1, day, 208, ""},
		{"no requests", 0, time.Minute, 0, "requests per period must be from 1 to 9007199254740992, not 0"},
		{"negative requests", -1, time.Minute, 0, "requests per period must be from 1"},
		{"too many requests", MaxRequests + 1, time.Minute, 1, "requests per period must be from 1"},
		{"no period", 60, 0, 0, "period must be from 1s to 24h0m0s, not 0s"},
		{"negative period", 60, -time.Minute, 0, "period must be from 1s"},
		{"short period", 60, time.Second - 1, 0, "period must be from 1s"},
		{"long period", 60, day + time.Second, 0, "period must be from 1s"},
		{"broken second", 60, 1500 * time.Millisecond, 0, "period must be a whole number of seconds, not 1.5s"},
		{"negative burst", 60, time.Minute, -1, "burst must be from 1 to 9007199254740992, not -1"},
		{"too large a burst", 60, time.Minute, MaxRequests + 1, "burst must be from 1"},
		{"burst that does not fit", 1, day, 209, "burst of 209 at 1 requests per 24h0m0s would take more than 208 days to refill; it can be at most 208"},
		{"burst that overflows", 1, day, MaxRequests, "it can be at most 208"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := NewRate(tc.requests, tc.period, tc.burst)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error %v, want one with %q", err, tc.wantErr)
				}
				if !r.IsZero() {
					t.Fatalf("a rate came with the error: %v", r)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantBurst := tc.burst
			if wantBurst == 0 {
				wantBurst = tc.requests
			}
			if r.Requests() != tc.requests || r.Period() != tc.period || r.Burst() != wantBurst || r.IsZero() {
				t.Fatalf("got %v", r)
			}
		})
	}
}

// Promise: a rate prints itself for logs.
func TestRateString(t *testing.T) {
	if got := mustRate(t, 60, time.Minute, 20).String(); got != "60 per 1m0s burst 20" {
		t.Errorf("got %q", got)
	}
	if got := (Rate{}).String(); got != "no limit" {
		t.Errorf("got %q", got)
	}
}

// Promise: MaxBurst is the boundary of what NewRate accepts.
func TestMaxBurst(t *testing.T) {
	for _, tc := range []struct {
		requests int64
		period   time.Duration
		want     int64
	}{
		{1, 24 * time.Hour, 208},
		{1, time.Minute, 300239},
		{60, time.Minute, 18014398},
		{50_000, time.Second, 900719925474},
		{MaxRequests, time.Second, MaxRequests},
		{0, time.Second, 0},
		{-1, time.Second, 0},
		{MaxRequests + 1, time.Second, 0},
		{1, time.Millisecond, 0},
		{1, 48 * time.Hour, 0},
		{1, 1500 * time.Millisecond, 0},
	} {
		got := MaxBurst(tc.requests, tc.period)
		if got != tc.want {
			t.Errorf("%d per %v: %d, want %d", tc.requests, tc.period, got, tc.want)
		}
		if got == 0 {
			continue
		}
		if _, err := NewRate(tc.requests, tc.period, got); err != nil {
			t.Error(err)
		}
		if _, err := NewRate(tc.requests, tc.period, got+1); err == nil {
			t.Errorf("%d per %v: one more than %d is accepted", tc.requests, tc.period, got)
		}
	}
}
