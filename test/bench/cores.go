package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// coreSet is a set of processor numbers, ascending.
type coreSet []int

// String returns the set as taskset -c wants it.
func (s coreSet) String() string {
	parts := make([]string, len(s))
	for i, c := range s {
		parts[i] = strconv.Itoa(c)
	}
	return strings.Join(parts, ",")
}

// layout says which cores each part of the benchmark runs on.
type layout struct {
	Proxy, Upstream, Load coreSet
}

// layoutFor divides the cores: proxies get half of them (or as many as asked for), the upstream and the load share
// the rest, a core of their own each where there are enough. Whatever shares the proxy's cores distorts its figures,
// so only a machine of one core shares them.
func layoutFor(available coreSet, proxyCores int) (layout, error) {
	n := len(available)
	if n == 0 {
		return layout{}, fmt.Errorf("no cores to run on")
	}
	if n == 1 {
		return layout{available, available, available}, nil
	}
	if proxyCores == 0 {
		proxyCores = n / 2
	}
	if proxyCores < 1 || proxyCores >= n {
		return layout{}, fmt.Errorf("cannot give %d of %d cores to the proxy: the upstream and wrk need at least one", proxyCores, n)
	}
	proxy, rest := available[:proxyCores], available[proxyCores:]
	if len(rest) == 1 {
		return layout{proxy, rest, rest}, nil
	}
	half := len(rest) / 2
	return layout{proxy, rest[:half], rest[half:]}, nil
}

// allowedCores returns the cores that this process may run on.
func allowedCores() (coreSet, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, fmt.Errorf("reading the allowed cores: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			return parseCores(strings.TrimSpace(list))
		}
	}
	return nil, fmt.Errorf("reading the allowed cores: no Cpus_allowed_list")
}

// parseCores reads a list of processor numbers as the kernel writes it: "0-3,8".
func parseCores(list string) (coreSet, error) {
	var cores coreSet
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		first, err := strconv.Atoi(low)
		if err != nil {
			return nil, fmt.Errorf("cores %q: %w", list, err)
		}
		last, err := strconv.Atoi(high)
		if err != nil {
			return nil, fmt.Errorf("cores %q: %w", list, err)
		}
		for c := first; c <= last; c++ {
			cores = append(cores, c)
		}
	}
	return cores, nil
}
