package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTick is the unit of /proc/pid/stat's times (proc(5)); it is the same on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// gatewaysUsed returns how much time the gateways have had on cores, in all of their processes.
func (s *system) gatewaysUsed() time.Duration {
	total := time.Duration(0)
	for _, g := range s.gateways {
		total += g.past + used(int(g.pid.Load()))
	}
	return total
}

// allUsed returns how much time this process has had, those that it started and that have ended, the gateways and sqld.
func (s *system) allUsed() time.Duration {
	total := used(s.sqld.cmd.Process.Pid)
	for _, g := range s.gateways {
		total += used(int(g.pid.Load()))
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			total += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return total
}

// used returns how much time a process has had on cores; 0 for one that is not there.
func used(pid int) time.Duration {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	// The command's name stands in parentheses, and may hold anything. Behind it, utime and stime are fields 14 and 15 of all.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	total := time.Duration(0)
	for _, i := range []int{11, 12} {
		if i < len(fields) {
			n, _ := strconv.ParseInt(fields[i], 10, 64)
			total += time.Duration(n) * clockTick
		}
	}
	return total
}
