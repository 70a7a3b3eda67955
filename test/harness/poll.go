package harness

import (
	"testing"
	"time"
)

// Eventually asks until the condition gives nil, and fails the test with its last error when it does not within the
// time. It returns how long that took.
func Eventually(t testing.TB, within time.Duration, condition func() error) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		took := time.Since(began)
		if err == nil {
			return took
		}
		if took > within {
			t.Fatalf("not within %s: %v", within, err)
		}
		<-tick.C
	}
}

// Throughout asks again and again for the given time, and fails the test as soon as the condition gives an error: for
// promises that something does not happen.
func Throughout(t testing.TB, span time.Duration, condition func() error) {
	t.Helper()
	end := time.Now().Add(span)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(end) {
		if err := condition(); err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
}
