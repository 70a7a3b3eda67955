package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/sqld"
)

// Promise: operations come out in the order in which they went in, kind by kind, in chunks that a server takes, however
// they were merged.
func TestOperationsChunks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	want := map[string][]int{}
	var all operations
	next := 0
	for range 60 {
		var ops operations
		for range r.IntN(400) {
			kind := fmt.Sprintf("kind%d", r.IntN(3))
			row := []any{next, strings.Repeat("x", r.IntN(300))}
			if r.IntN(50) == 0 {
				row = append(row, strings.Repeat("y", chunkSize/4))
			}
			ops.add(kind, row)
			want[kind] = append(want[kind], next)
			next++
		}
		all.merge(&ops)
	}
	if all.count != next {
		t.Errorf("%d operations, want %d", all.count, next)
	}
	got := map[string][]int{}
	err := all.chunks(func(kind, records string) error {
		if len(records) > 2*chunkSize {
			t.Errorf("a chunk of %d bytes", len(records))
		}
		var rows [][]any
		if err := json.Unmarshal([]byte(records), &rows); err != nil {
			return err
		}
		if len(rows) == 0 {
			t.Error("an empty chunk")
		}
		for _, row := range rows {
			got[kind] = append(got[kind], int(row[0].(float64)))
		}
		return nil
	})
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v: rows are lost or out of order", err)
	}
	stop := errors.New("stop")
	if err := all.chunks(func(string, string) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// Promise: lists are read in parts, smaller ones as long as an answer is too large for the server, each element once.
func TestInParts(t *testing.T) {
	list := make([]int, 1000)
	for i := range list {
		list[i] = i
	}
	var got []int
	err := inParts(list, 300, func(part []int) error {
		if len(part) > 7 {
			return fmt.Errorf("x: %w", errTooLarge)
		}
		got = append(got, part...)
		return nil
	})
	if err != nil || fmt.Sprint(got) != fmt.Sprint(list) {
		t.Errorf("%v: got %v", err, got)
	}
	if err := inParts(list, 300, func([]int) error { return errTooLarge }); !errors.Is(err, errTooLarge) {
		t.Error(err)
	}
	if err := inParts(nil, 300, func([]int) error { return errTooLarge }); err != nil {
		t.Error(err)
	}
}

// Promise: tenants as large as the format allows, and more of them than fit into one answer of the server, are imported,
// compared and exported all the same.
func TestLargeRecords(t *testing.T) {
	srv := sqld.Start(t, sqld.Options{Args: []string{"--max-response-size", "300KB"}})
	s := migrated(t, Options{URL: srv.URL(), AuthToken: srv.Token(nil)})
	var b strings.Builder
	metadata := "{" + strings.TrimSuffix(many(`"k%d": "`+strings.Repeat("x", 900)+`"`, 8), ",") + "}"
	for i := range 40 {
		fmt.Fprintf(&b, `{"slug": "t%d", "metadata": %s, "upstreams": [%s], "securityPolicy": {"accessControl": {"ipWhitelist": [%s]}}, "environments": [`,
			i, metadata, strings.TrimSuffix(many(`"h%d.`+strings.Repeat("a", 60)+`.example:80"`, 60), ","), strings.TrimSuffix(many(`"10.0.%[1]d.0/24"`, 250), ","))
		for j := range 30 {
			fmt.Fprintf(&b, `{"slug": "e%d", "isDefault": %t, "metadata": {"a": "%s"}, "domains": ["d%d.t%d.example"]},`, j, j == 0, strings.Repeat("y", 1000), j, i)
		}
		text := strings.TrimSuffix(b.String(), ",")
		b.Reset()
		b.WriteString(text + `]},`)
	}
	text := `{"tenants": [` + strings.TrimSuffix(b.String(), ",") + `]}`
	if report := importText(t, s, text); report.Environments.Created != 40*30 {
		t.Errorf("got %+v", report)
	}
	if report := importText(t, s, text); report.Changed() {
		t.Errorf("the second time: %+v", report)
	}
	exported := export(t, s)
	file := migrated(t, Options{URL: "file:" + t.TempDir() + "/registry.db"})
	importText(t, file, exported)
	if again := export(t, file); again != exported {
		t.Error("the export of a server and of a file differ")
	}
}

// Promise: a tenant with more records than anybody has is refused before it takes memory.
func TestTooManyRecords(t *testing.T) {
	member := `{"userId": "%d", "role": "env_user"}`
	environment := `{"slug": "e%[1]d", "isDefault": false, "members": [` + strings.TrimSuffix(many(member, 9000), ",") + `]}`
	_, err := ParseDocument(strings.NewReader(`{"tenants": [{"slug": "a", "environments": [` + strings.TrimSuffix(many(environment, 12), ",") + `]}]}`))
	var at *PlaceError
	if !errors.As(err, &at) || at.Place != "tenants[0].environments[11]" || !strings.Contains(at.Error(), "domains and members in all") {
		t.Errorf("got %v", at)
	}
}
