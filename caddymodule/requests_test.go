package caddymodule

import (
	"strings"
	"testing"
)

// TestParseRequests keeps the promise of what rates mean: limits are kept per minute.
func TestParseRequests(t *testing.T) {
	for text, want := range map[string][2]int64{
		"60/m":                      {60, 0},
		"60/m burst 20":             {60, 20},
		"10/s":                      {600, 10},
		"10/s burst 3":              {600, 3},
		"60/h":                      {1, 0},
		"6000/h burst 7":            {100, 7},
		"9007199254740992/m":        {1 << 53, 0},
		"150119987579016/s burst 1": {9007199254740960, 1},
	} {
		perMinute, burst, err := parseRequests(strings.Fields(text))
		if err != nil || perMinute != want[0] || burst != want[1] {
			t.Errorf("%s: %d, %d, %v", text, perMinute, burst, err)
		}
	}
	for _, text := range []string{
		"60", "/m", "60/", "60/x", "-1/m", "0/m", "1.5/m", "60/M", "59/h", "90/h", "60/m burst", "60/m burst 0",
		"60/m burst -1", "60/m burst x", "60/m 20", "60/m burst 20 30", "9007199254740993/m", "150119987579017/s", "5/d", "5/month",
	} {
		if perMinute, burst, err := parseRequests(strings.Fields(text)); err == nil {
			t.Errorf("%s: accepted as %d, %d", text, perMinute, burst)
		}
	}
}
