package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// The proxy shares its cores with nothing from two cores on; upstream and load have their own from three on.
func TestLayoutFor(t *testing.T) {
	for _, tt := range []struct {
		available coreSet
		proxy     int
		want      string
	}{
		{coreSet{5}, 0, "5|5|5"},
		{coreSet{0, 1}, 0, "0|1|1"},
		{coreSet{0, 1, 2}, 0, "0|1|2"},
		{coreSet{0, 1, 2, 3}, 0, "0,1|2|3"},
		{coreSet{0, 1, 2, 3}, 1, "0|1|2,3"},
		{coreSet{0, 1, 2, 3, 4, 5, 6, 7}, 0, "0,1,2,3|4,5|6,7"},
		{coreSet{0, 1, 2, 3}, 4, "error"},
		{nil, 0, "error"},
	} {
		l, err := layoutFor(tt.available, tt.proxy)
		got := fmt.Sprintf("%s|%s|%s", l.Proxy, l.Upstream, l.Load)
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%v with %d for the proxy: %s, want %s", tt.available, tt.proxy, got, tt.want)
		}
	}
}

// The kernel's lists of cores are read with their ranges.
func TestParseCores(t *testing.T) {
	got, err := parseCores("0-2,5,8-9")
	if want := (coreSet{0, 1, 2, 5, 8, 9}); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"", "a", "1-", "1,,2"} {
		if got, err := parseCores(bad); err == nil {
			t.Errorf("parseCores(%q) = %v, want an error", bad, got)
		}
	}
}

// A process is found by its group, and its name cannot shift the fields.
func TestParseStat(t *testing.T) {
	const stat = "4242 (a) b (c) S 1 777 777 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 9 0 100 200 300 18446744073709551615"
	group, u, err := parseStat(stat, 4096)
	if err != nil || group != 777 || u.CPU != 2*time.Second || u.RSS != 300*4096 {
		t.Errorf("group %d, %+v, %v; want 777, 2s, %d bytes", group, u, err, 300*4096)
	}
	for _, bad := range []string{"", "1 (x) S 1 2", strings.Replace(stat, " 150 ", " x ", 1)} {
		if _, _, err := parseStat(bad, 4096); err == nil {
			t.Errorf("parseStat(%q): no error", bad)
		}
	}
}

// Other work is what the machine did less what the benchmark did.
func TestOthers(t *testing.T) {
	all, err := parseMachine("cpu  100 20 30 4000 50 60 70 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
	if want := 158 * clockTick; err != nil || all != want {
		t.Errorf("got %v, %v, want %v", all, err, want)
	}
	for _, bad := range []string{"", "cpu 1 2", "cpu0 1 2 3 4 5 6 7 8 9", "cpu 1 x 3 4 5 6 7 8 9"} {
		if all, err := parseMachine(bad); err == nil {
			t.Errorf("parseMachine(%q) = %v, want an error", bad, all)
		}
	}
	began := time.Now()
	before := meter{at: began, all: 100 * time.Second, ours: 50 * time.Second}
	after := meter{at: began.Add(2 * time.Second), all: 107 * time.Second, ours: 54 * time.Second}
	if got := after.others(before); got != 1.5 {
		t.Errorf("others %v, want 1.5", got)
	}
	after.ours += 4 * time.Second // the clocks of processes tick in hundredths, and may be ahead
	if got := after.others(before); got != 0 {
		t.Errorf("others %v, want 0", got)
	}
}

// Servers are at rest when all of them together do next to nothing, whatever else the machine does.
func TestAtRest(t *testing.T) {
	began := time.Now()
	before := meter{at: began, all: time.Hour, ours: 50 * time.Second}
	for ours, want := range map[time.Duration]bool{0: true, 90 * time.Millisecond: true, 100 * time.Millisecond: false, time.Second: false} {
		now := meter{at: began.Add(2 * time.Second), all: 2 * time.Hour, ours: before.ours + ours}
		if got := atRest(before, now); got != want {
			t.Errorf("%s in 2 s: %v, want %v", ours, got, want)
		}
	}
}

// Every candidate stands next to each other one in turn, and each round asks each once.
func TestTurn(t *testing.T) {
	for round := range 10 {
		order := turn(4, round)
		if sorted := slices.Sorted(slices.Values(order)); !slices.Equal(sorted, []int{0, 1, 2, 3}) {
			t.Errorf("round %d: %v", round, order)
		}
	}
	if a, b := turn(3, 0), turn(3, 1); !slices.Equal(a, []int{0, 1, 2}) || !slices.Equal(b, []int{1, 0, 2}) {
		t.Errorf("rounds 0 and 1: %v, %v", a, b)
	}
}

// The live heap is read from Caddy's profile in text form.
func TestParseHeap(t *testing.T) {
	got, err := parseHeap(strings.NewReader("heap profile: 1: 2 [3: 4] @ heap/1048576\n\n# runtime.MemStats\n# Alloc = 5\n# HeapAlloc = 3529392\n# HeapSys = 7\n"))
	if err != nil || got != 3529392 {
		t.Errorf("got %d, %v, want 3529392", got, err)
	}
	if _, err := parseHeap(strings.NewReader("404 page not found\n")); err == nil {
		t.Error("no error without a HeapAlloc")
	}
}

// The import file is one that the registry accepts, with as many tenants as asked for besides the two refused ones.
func TestWriteTenants(t *testing.T) {
	var out bytes.Buffer
	if err := writeTenants(&out, 25, "127.0.0.1:21800"); err != nil {
		t.Fatal(err)
	}
	document, err := registry.ParseDocument(&out)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(document.Tenants); n != 27 {
		t.Fatalf("%d tenants, want 27", n)
	}
	last := document.Tenants[26]
	if host := (hostNames{tenantHosts, 25}).name(24); host != last.Slug+"."+domain {
		t.Errorf("host name %s does not belong to %s", host, last.Slug)
	}
	for _, tenant := range document.Tenants {
		if len(tenant.Environments) != 1 || len(tenant.Environments[0].Upstreams) != 1 {
			t.Errorf("%s: environments %+v, want one with one upstream", tenant.Slug, tenant.Environments)
		} else if upstream := tenant.Environments[0].Upstreams[0].String(); !strings.HasSuffix(upstream, "127.0.0.1:21800") {
			t.Errorf("%s: upstream %s", tenant.Slug, upstream)
		}
	}
}

// A command line that cannot be run is refused before anything is started.
func TestParseOptionsRefuses(t *testing.T) {
	for _, args := range []string{
		"-slice 100ms", "-slice 51s", "-slice 0s", "-rounds 0", "-scenarios nothing", "-scenarios peers,", "-hot 0", "-hot 11 -tenants 10", "-warm 11 -tenants 10",
		"-tenants 10000001", "-port 80", "-quiet -1", "-unknown", "stray",
	} {
		if _, err := parseOptions(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
	if o, err := parseOptions(nil, io.Discard); err != nil || len(o.Scenarios) != 6 {
		t.Errorf("defaults: %d scenarios, %v", len(o.Scenarios), err)
	}
}

// What proxies send upstream can be looked at, and nothing else of the upstream's answers depends on the request.
func TestUpstreamEchoes(t *testing.T) {
	client, server := net.Pipe()
	go answer(server)
	defer client.Close() //nolint:errcheck // ends the upstream's side
	const head = "GET /echo HTTP/1.1\r\nHost: a\r\nX-Tenant-ID: 7\r\n\r\n"
	go func() { _, _ = io.WriteString(client, head+"GET /echoes HTTP/1.1\r\n\r\n") }()
	r := bufio.NewReader(client)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // a pipe's
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != head {
		t.Errorf("got %q, %v, want the request's head", body, err)
	}
	got := make([]byte, len(upstreamResponse))
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, upstreamResponse) {
		t.Errorf("then got %q, %v", got, err)
	}
}

// A program that knows its commit says so, and one that does not leaves no gap.
func TestRevision(t *testing.T) {
	for value, want := range map[string]string{"0123456789abcdef0123": "commit 0123456789ab, ", "": ""} {
		if got := revision(&debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: value}}}); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// Memory that is available is read as the kernel writes it.
func TestParseAvailable(t *testing.T) {
	got, err := parseAvailable("MemTotal:       24603364 kB\nMemFree:         9800000 kB\nMemAvailable:   22001000 kB\n")
	if want := int64(22001000) << 10; err != nil || got != want {
		t.Errorf("got %d, %v, want %d", got, err, want)
	}
	for _, bad := range []string{"", "MemFree: 5 kB\n", "MemAvailable: x kB\n"} {
		if got, err := parseAvailable(bad); err == nil {
			t.Errorf("parseAvailable(%q) = %d, want an error", bad, got)
		}
	}
}

// The upstream answers each request once, also when requests come in pieces or several at a time.
func TestUpstreamAnswers(t *testing.T) {
	client, server := net.Pipe()
	go answer(server)
	defer client.Close() //nolint:errcheck // ends the upstream's side
	go func() {
		for _, piece := range []string{"GET / HTTP/1.1\r\nHost: a\r", "\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\nGET", " / HTTP/1.1\r\n\r\n"} {
			_, _ = io.WriteString(client, piece)
		}
	}()
	r := bufio.NewReader(client)
	got := make([]byte, 3*len(upstreamResponse))
	if _, err := io.ReadFull(r, got); err != nil {
		t.Fatal(err)
	}
	if want := bytes.Repeat(upstreamResponse, 3); !bytes.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
