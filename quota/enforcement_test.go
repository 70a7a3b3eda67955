package quota

import (
	"encoding/json"
	"testing"
	"time"
)

// Promise: a refusal says which quota, how much of it is used, and what to do.
func TestEnforce(t *testing.T) {
	limits := []Limit{
		{Name: "requests", Key: tenantKey(1), Rate: mustRate(t, 60, time.Minute, 20)},
		{Name: "environment", Key: tenantKey(2), Rate: mustRate(t, 10, time.Second, 0)},
	}
	for _, tc := range []struct {
		name     string
		limits   []Limit
		statuses []Status
		want     string
		violated string
	}{
		{
			"refused by one", limits,
			[]Status{{Exceeded: true, RetryAfter: 1500 * time.Millisecond}, {Remaining: 4}},
			`{"allowed":false,"exceededQuota":"requests","currentUsage":20,"limit":20,"message":"Quota \"requests\" exceeded: 20 of 20 used; retry in 2 s."}`,
			`["requests"]`,
		},
		{
			"refused by both", limits,
			[]Status{{Exceeded: true, RetryAfter: 1}, {Remaining: 1, Exceeded: true, RetryAfter: 2}},
			`{"allowed":false,"exceededQuota":"environment","currentUsage":9,"limit":10,"message":"Quota \"environment\" exceeded: 9 of 10 used; retry in 1 s."}`,
			`["requests","environment"]`,
		},
		{
			"never", limits,
			[]Status{{Remaining: 20, Exceeded: true, RetryAfter: Never}, {Remaining: 10}},
			`{"allowed":false,"exceededQuota":"requests","currentUsage":0,"limit":20,"message":"Quota \"requests\" exceeded: 0 of 20 used; the request costs more than the limit can ever hold."}`,
			`["requests"]`,
		},
		{"allowed", limits, []Status{{Remaining: 15}, {Remaining: 4}}, `{"allowed":true,"currentUsage":6,"limit":10}`, `[]`},
		{"no limit", nil, nil, `{"allowed":true,"currentUsage":0,"limit":0}`, `[]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := Enforce(tc.limits, tc.statuses)
			if got := string(r.AppendJSON(nil)); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if got := string(AppendViolatedPolicies(nil, tc.limits, tc.statuses)); got != tc.violated {
				t.Errorf("violated %s, want %s", got, tc.violated)
			}
		})
	}
}

// Promise: whatever stands in the strings, the JSON is valid and says the same as that of encoding/json.
func FuzzEnforcementJSON(f *testing.F) {
	f.Add(false, "requests", int64(20), int64(20), "try later")
	f.Add(true, "", int64(-1), int64(1)<<62, "")
	f.Add(false, "a\"b\\c\x00\x1f\x7f\u2028<script>&", int64(0), int64(0), "\xff\xfeé\U0001F600\t\n")
	f.Fuzz(func(t *testing.T, allowed bool, name string, usage, limit int64, message string) {
		r := EnforcementResult{Allowed: allowed, ExceededQuota: name, CurrentUsage: usage, Limit: limit, Message: message}
		b := r.AppendJSON(nil)
		var got, want EnforcementResult
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		reference, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(reference, &want); err != nil {
			t.Fatal(err)
		}
		if message == "" {
			if got.Message == "" != allowed {
				t.Fatalf("%s: a refusal has a message, and nothing else", b)
			}
			got.Message = ""
		}
		if got != want {
			t.Fatalf("%s\nwant %s", b, reference)
		}
		var violated []string
		list := AppendViolatedPolicies(nil, []Limit{{Name: name}, {Name: "b"}}, []Status{{Exceeded: true}, {Exceeded: true}})
		if err := json.Unmarshal(list, &violated); err != nil || len(violated) != 2 || violated[0] != want.ExceededQuota {
			t.Fatalf("%s: %v", list, err)
		}
	})
}
