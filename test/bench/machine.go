package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// machineFacts describes what a reader needs to judge the figures by; nothing that names the machine or its owner.
func machineFacts(gateway string, cores layout) ([]string, error) {
	info, err := buildinfo.ReadFile(gateway)
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
	return []string{
		fmt.Sprintf("%s, Caddy %s, %s", info.GoVersion, caddy, wrkVersion()),
		fmt.Sprintf("Linux %s, %s", strings.TrimSpace(string(kernel)), processor()),
		fmt.Sprintf("cores: proxy %s, upstream %s, wrk %s", cores.Proxy, cores.Upstream, cores.Load),
	}, nil
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
