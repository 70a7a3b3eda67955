package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a process group has used.
type usage struct {
	// CPU is user and system time since the start.
	CPU time.Duration
	// RSS is the resident memory now, in bytes.
	RSS int64
}

// clockTick is the unit of times in /proc (USER_HZ, 100 a second on every Linux).
const clockTick = 10 * time.Millisecond

// groupUsage adds up the processes of a group, because a peer may have workers.
func groupUsage(group int) (usage, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return usage{}, fmt.Errorf("reading processes: %w", err)
	}
	var sum usage
	found := false
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // the process has ended since
		}
		g, u, err := parseStat(string(stat), int64(os.Getpagesize()))
		if err != nil {
			return usage{}, err
		}
		if g == group {
			sum.CPU += u.CPU
			sum.RSS += u.RSS
			found = true
		}
	}
	if !found {
		return usage{}, fmt.Errorf("process group %d is gone", group)
	}
	return sum, nil
}

// parseStat reads group, times and memory from a line of /proc/PID/stat (proc_pid_stat(5)).
func parseStat(stat string, pageSize int64) (group int, u usage, err error) {
	// The name stands in parentheses and may hold blanks and parentheses itself: what counts follows the last one.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	number := func(field int) int64 { // numbered from 1, as in the manual
		if i := field - 3; err == nil && i < len(fields) {
			var v int64
			v, err = strconv.ParseInt(fields[i], 10, 64)
			return v
		}
		if err == nil {
			err = fmt.Errorf("no field %d", field)
		}
		return 0
	}
	group = int(number(5))
	u.CPU = time.Duration(number(14)+number(15)) * clockTick
	u.RSS = number(24) * pageSize
	if err != nil {
		return 0, usage{}, fmt.Errorf("reading /proc stat: %w", err)
	}
	return group, u, nil
}
