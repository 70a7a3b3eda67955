package caddymodule

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/spf13/pflag"

	"github.com/tenantgate/tenantgate/adminapi"
	"github.com/tenantgate/tenantgate/registry"
)

// flagged is a session whose flags were given like this.
func flagged(t testing.TB, args ...string) *session {
	t.Helper()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	tenantFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return &session{flags: fs}
}

// Promise: --quota changes what it names and nothing else; what is no quota is refused.
func TestQuotaFlags(t *testing.T) {
	have := registry.Quotas{APIRateLimit: 60, Burst: 20, MaxUsers: 5}
	for _, tt := range []struct {
		flags []string
		want  registry.Quotas
	}{
		{[]string{"apiRateLimit=600"}, registry.Quotas{APIRateLimit: 600, Burst: 20, MaxUsers: 5}},
		{[]string{"burst=", "maxStorageBytes=9"}, registry.Quotas{APIRateLimit: 60, MaxUsers: 5, MaxStorageBytes: 9}},
		{[]string{"burst=", "burst=3"}, registry.Quotas{APIRateLimit: 60, Burst: 3, MaxUsers: 5}},
		{[]string{"apiRateLimit=", "burst=", "maxUsers="}, registry.Quotas{}},
		{[]string{"maxObjects=9007199254740992"}, registry.Quotas{APIRateLimit: 60, Burst: 20, MaxUsers: 5, MaxObjects: registry.MaxQuota}},
	} {
		var args []string
		for _, f := range tt.flags {
			args = append(args, "--quota", f)
		}
		if got, err := flagged(t, args...).quotas(have); err != nil || *got != tt.want {
			t.Errorf("%q: %+v, %v", tt.flags, got, err)
		}
	}
	if got, err := flagged(t).quotas(have); got != nil || err != nil {
		t.Errorf("no flag: %v, %v", got, err)
	}
	for _, bad := range []string{"", "burst", "=1", "colour=1", "burst=0", "burst=-1", "burst=1.5", "burst=x", "burst=9007199254740993", "Burst=1"} {
		var e *commandError
		if _, err := flagged(t, "--quota", bad).quotas(have); !errors.As(err, &e) || e.exit != exitInvalid || e.field != "--quota" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// FuzzQuotaFlag: whatever --quota is given, what comes out is what the registry takes, or an error.
func FuzzQuotaFlag(f *testing.F) {
	for _, s := range []string{"apiRateLimit=600", "burst=", "x=1", "=", "maxUsers=99999999999999999999", "burst=\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		have := registry.Quotas{APIRateLimit: 60, Burst: 20}
		s := flagged(t)
		if err := s.flags.Set("quota", text); err != nil {
			t.Skip()
		}
		q, err := s.quotas(have)
		if err != nil {
			return
		}
		name, value, _ := strings.Cut(text, "=")
		shown := quotaText(*q)
		if value == "" && strings.Contains(shown, name+"=") {
			t.Errorf("%q leaves %s", text, shown)
		}
		if value != "" && !strings.Contains(shown, name+"=") {
			t.Errorf("%q gives %s", text, shown)
		}
	})
}

// Promise: a time can be a day, an instant or a duration, and nothing else.
func TestInstantFlags(t *testing.T) {
	day := time.Date(2090, 1, 31, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2090-01-31": day, "2090-01-31T00:00:00Z": day, "2090-01-31T02:00:00+02:00": day, "never": {},
	} {
		if got, err := flagged(t, "--expires", text).instant("expires", true); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	before := time.Now()
	if got, err := flagged(t, "--expires", "720h").instant("expires", true); err != nil || got.Before(before.Add(720*time.Hour)) || got.After(time.Now().Add(720*time.Hour)) {
		t.Errorf("720h: %v, %v", got, err)
	}
	for _, bad := range []string{"soon", "-1h", "0s", "2090-13-01", "31.01.2090", "forever"} {
		if _, err := flagged(t, "--expires", bad).instant("expires", true); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := flagged(t, "--expires", "never").instant("expires", false); err == nil {
		t.Error("never is taken where something has to end")
	}
}

// FuzzLine: whatever a name holds, a cell is one line that moves no cursor, and a cell of CSV reads back as one.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"Acme", "a\nb\tc", "\x1b[2J", "\u202e", "=1+1", "\xff\xfe", "\u009b31m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := line(text)
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q: %q has %U", text, got, r)
			}
		}
		var out strings.Builder
		l := listing[string]{columns: []string{"A", "B"}, row: func(s *string) []any { return []any{*s, "x"} }}
		p := l.csvPrinter(&out)
		if err := errors.Join(p.page([]string{text}), p.end()); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
		if err != nil || len(rows) != 2 || strings.TrimPrefix(rows[1][0], "'") != strings.TrimPrefix(got, "'") || strings.ContainsAny(rows[1][0][:min(1, len(rows[1][0]))], "=+-@") {
			t.Errorf("%q: %q (%v)", text, rows, err)
		}
	})
}

// Promise: a list that breaks off is no valid JSON, so that nobody takes it for the whole; a complete one is an array.
func TestListBreaksOff(t *testing.T) {
	for pages, broken := range map[int]bool{0: true, 1: true, 2: false} {
		var out strings.Builder
		n := 0
		l := listing[int]{page: func(int, string) (*adminapi.List[int], error) {
			if n == pages && broken {
				return nil, errors.New("cut")
			}
			n++
			next := "more"
			if n == 2 {
				next = ""
			}
			return &adminapi.List[int]{Items: []int{n}, Next: next}, nil
		}}
		err := l.print(&session{terminal: terminal{out: &out}, json: true}, 0, false)
		var list []int
		valid := json.Unmarshal([]byte(out.String()), &list) == nil
		if (err != nil) != broken || valid == broken || !broken && len(list) != 2 {
			t.Errorf("%d pages: %v, %q", pages, err, out.String())
		}
	}
}

// Promise: in one process the interface gets the request as over a network: path, query, headers and body, and the
// first status counts.
func TestInProcess(t *testing.T) {
	client := &http.Client{Transport: inProcess{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 5)
		if n, _ := r.Body.Read(body); string(body[:n]) != "hello" || r.RequestURI != "/a%2Fb?c=d" || r.URL.Path != "/a/b" || r.Header.Get("X-Actor") != "alice" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("X-A", "b")
		w.WriteHeader(http.StatusCreated)
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("there"))
	})}}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://registry/a%2Fb?c=d", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("X-Actor", "alice")
	resp, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body := make([]byte, 9)
	if n, _ := resp.Body.Read(body); resp.StatusCode != http.StatusCreated || resp.Header.Get("X-A") != "b" || string(body[:n]) != "there" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}
