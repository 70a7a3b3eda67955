package main

import (
	"net/http"
	"strings"
	"testing"
)

func aRefusal() refusal {
	return refusal{http.StatusTooManyRequests, http.Header{"Vary": {"Accept"}, "Ratelimit": {`"requests";r=0;t=60`}}, `{"status":429}`}
}

// The site gives the answer word for word, in a fixed order.
func TestRefusalSite(t *testing.T) {
	got, err := aRefusal().site()
	const want = "\theader {\n\t\tRatelimit `\"requests\";r=0;t=60`\n\t\tVary `Accept`\n\t}\n\trespond `{\"status\":429}` 429\n"
	if err != nil || got != want {
		t.Errorf("got\n%s, %v; want\n%s", got, err, want)
	}
	odd := aRefusal()
	odd.Body = "a`b"
	if got, err := odd.site(); err == nil {
		t.Errorf("what cannot be quoted gives %s", got)
	}
}

// An answer that says less, or more, is no comparison; another number is.
func TestRefusalEqual(t *testing.T) {
	other := aRefusal()
	other.Header.Set("Ratelimit", `"requests";r=0;t=59`)
	if err := aRefusal().equal(other); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*refusal){
		"status": func(r *refusal) { r.Status = 403 },
		"fewer":  func(r *refusal) { r.Header.Del("Vary") },
		"more":   func(r *refusal) { r.Header.Set("X-More", "1") },
		"other":  func(r *refusal) { r.Header.Del("Vary"); r.Header.Set("X-More", "1") },
		"twice":  func(r *refusal) { r.Header.Add("Vary", "Accept") },
		"longer": func(r *refusal) { r.Header.Set("Vary", "Accept, Cookie") },
		"body":   func(r *refusal) { r.Body += " " },
	} {
		other := aRefusal()
		change(&other)
		if aRefusal().equal(other) == nil {
			t.Errorf("%s is taken for the same", name)
		}
	}
}

// A refusal stands next to both: the bare respond, and the one that says the same; a budget of cost is met from below.
func TestRefusalTable(t *testing.T) {
	candidates := make([]candidate, refuseSame+3)
	samples := make([][]sample, len(candidates))
	for i := range samples {
		samples[i] = slicesOf(1000, 1000)
	}
	samples[refuseSuspended] = slicesOf(800, 800)
	samples[refuseSame+1] = slicesOf(640, 640)
	candidates[refuseSuspended].Name, candidates[refuseSame+1].Name = "403", "same"
	got := refusalTable(candidates, samples)
	const want = "403|0.800 (0.80 to 0.80)|1.250 (1.25 to 1.25)|1.250 (1.25 to 1.25)|0.800 (0.80 to 0.80)"
	if row := strings.Join(got.Rows[1], "|"); row != want || len(got.Rows) != 3 || len(got.Rows[1]) != len(got.Header) {
		t.Errorf("got  %s\nwant %s", row, want)
	}
	var out strings.Builder
	r := report{out: &out}
	r.compareCost(candidates, samples, refuseSuspended, refuseSame+1, 0.8)
	r.compareCost(candidates, samples, refuseSuspended, refuseSame+1, 0.79)
	const lines = "" +
		"- CPU of 403 ÷ same: median 0.800 (0.80 to 0.80), budget at most 0.80: met\n" +
		"- CPU of 403 ÷ same: median 0.800 (0.80 to 0.80), budget at most 0.79: **missed**\n"
	if out.String() != lines || r.missed != 1 {
		t.Errorf("missed %d, want 1; got\n%swant\n%s", r.missed, out.String(), lines)
	}
}
