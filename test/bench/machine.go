package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
)

// facts says what a reader needs to judge the figures by; nothing that names the machine or its owner.
func (b *bench) facts(ctx context.Context) ([]string, error) {
	info, err := buildinfo.ReadFile(b.gateway)
	if err != nil {
		return nil, fmt.Errorf("the gateway's build information: %w", err)
	}
	caddy := "unknown"
	for _, module := range info.Deps {
		if module.Path == "github.com/caddyserver/caddy/v2" {
			caddy = module.Version
		}
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return nil, fmt.Errorf("the kernel's version: %w", err)
	}
	if b.tools, err = findTools(ctx, b.dir, b.gateway); err != nil {
		return nil, err
	}
	facts := []string{
		fmt.Sprintf("made on %s by `./test/bench/run %s`", b.began.UTC().Format("2 January 2006, 15:04 UTC"), strings.Join(b.Command, " ")),
		fmt.Sprintf("the gateway: %s%s, Caddy %s; load: %s, %d connections", revision(info), info.GoVersion, caddy, wrkVersion(), b.Connections),
		"peers: " + strings.Join(b.tools.Versions, ", "),
		fmt.Sprintf("Linux %s, %s", strings.TrimSpace(string(kernel)), processor()),
		fmt.Sprintf("cores: proxy %s, upstream (and Redis, auth service) %s, wrk %s", b.cores.Proxy, b.cores.Upstream, b.cores.Load),
		fmt.Sprintf("equal memory settings are GOGC=%s GOMEMLIMIT=%s; GOMAXPROCS, workers and threads are as many as cores", b.GOGC, b.GOMEMLIMIT),
		fmt.Sprintf("%d rounds of %s slices, interleaved; figures are medians", b.Rounds, b.Slice),
	}
	if missing := b.tools.missing(); len(missing) > 0 {
		facts = append(facts, "not there, and left out: "+strings.Join(missing, ", "))
	}
	return facts, nil
}

// revision returns the commit that a program was built from, for the beginning of a list; empty when it does not say.
func revision(info *debug.BuildInfo) string {
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "commit " + s.Value[:12] + ", "
		}
	}
	return ""
}

// processor returns the processor's model name.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "processor unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "processor unknown"
}

// wrkVersion returns the first words of what wrk says of itself; it does so with an exit status of 1.
func wrkVersion() string {
	out, _ := exec.Command("wrk", "-v").CombinedOutput() //nolint:noctx,errcheck // answers at once, always with status 1
	words := strings.Fields(string(out))
	if len(words) < 2 {
		return "wrk of unknown version"
	}
	return strings.Join(words[:2], " ")
}

// tenantMemory is what a cached tenant takes at most, in bytes, where the heap may grow to five times what is live (GOGC=400): its
// snapshot, its keys, and what quotas know of it are about 2 KB.
const tenantMemory = 10 << 10

// enoughMemory returns an error when the machine has no room for so many cached tenants.
func enoughMemory(tenants int) error {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return fmt.Errorf("reading the machine's memory: %w", err)
	}
	available, err := parseAvailable(string(text))
	if err != nil {
		return err
	}
	if need := int64(tenants) * tenantMemory; need > available {
		return fmt.Errorf("%d cached tenants want %d MiB of memory, and %d MiB are available: choose fewer with -tenants", tenants, need>>20, available>>20)
	}
	return nil
}

// parseAvailable reads how much memory is available, in bytes, from /proc/meminfo (proc_meminfo(5)).
func parseAvailable(meminfo string) (int64, error) {
	for line := range strings.Lines(meminfo) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kibibytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("reading the machine's memory: %w", err)
			}
			return kibibytes << 10, nil
		}
	}
	return 0, fmt.Errorf("reading the machine's memory: no MemAvailable")
}
