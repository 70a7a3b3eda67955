package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// options are what the command line says.
type options struct {
	Dir, Gateway, Output  string
	Results, PGO          string
	Scenarios             []scenario
	Rounds                int
	Slice, Timeout        time.Duration
	Connections           int
	Tenants, Hot, Warm    int
	GOGC, GOMEMLIMIT      string
	CurveGOGC, CurveLimit string
	ProxyCores, Port      int
	FreshRegistry, Strict bool
	// Command is the command line, for the report.
	Command []string
	Quiet   float64
}

// parseOptions reads the command line, and prints what is wrong with it to errors.
func parseOptions(args []string, messages io.Writer) (options, error) {
	var o options
	var chosen string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(messages)
	f.StringVar(&chosen, "scenarios", allScenarios, "comma-separated, of: "+scenarioNames()+"; all means all but the last three")
	f.IntVar(&o.Rounds, "rounds", 9, "rounds that count, for each scenario that compares")
	f.DurationVar(&o.Slice, "slice", 2*time.Second, "how long each candidate is asked in a round; 200ms to 50s")
	f.IntVar(&o.Connections, "connections", 64, "connections of wrk")
	f.IntVar(&o.Tenants, "tenants", 1_000_000, "tenants, of one environment each, in the big registry")
	f.IntVar(&o.Hot, "hot", 10, "tenants that are asked for in scenario scale")
	f.IntVar(&o.Warm, "warm", 100_000, "tenants that are cached in scenario memory")
	f.StringVar(&o.GOGC, "gogc", "off", "GOGC of every proxy")
	f.StringVar(&o.GOMEMLIMIT, "memlimit", "256MiB", "GOMEMLIMIT of every proxy")
	f.StringVar(&o.CurveLimit, "curve-memlimit", "8GiB", "GOMEMLIMIT of every gateway in scenario tenants")
	f.StringVar(&o.CurveGOGC, "curve-gogc", "400", "GOGC of every gateway in scenario tenants; 400 is what the gateway has by itself")
	f.IntVar(&o.ProxyCores, "proxy-cores", 0, "cores of the proxies; 0 means half of the machine")
	f.IntVar(&o.Port, "port", 21800, "first of the 80 ports of 127.0.0.1 that are used")
	f.BoolVar(&o.FreshRegistry, "fresh", false, "import the registries again instead of using those of the last run")
	f.BoolVar(&o.Strict, "strict", false, "exit with status 1 when a budget is missed")
	f.Float64Var(&o.Quiet, "quiet", 0, "wait for, and take slices again until, other work keeps at most so many cores busy; 0 means never")
	f.StringVar(&o.Output, "o", "", "also write the report to this file")
	f.StringVar(&o.Results, "results", "", "also write RESULTS.md and results.svg into this directory")
	f.DurationVar(&o.Timeout, "timeout", time.Hour, "give up after this time")
	f.StringVar(&o.PGO, "pgo", "", "scenario profile: also write a profile for the compiler (go build -pgo) to this file")
	f.StringVar(&o.Dir, "dir", "test/.tmp/bench", "directory for everything that is written")
	f.StringVar(&o.Gateway, "gateway", "", "the built gateway (default: tenantgate in -dir)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.Command = args
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	var err error
	if o.Scenarios, err = chosenScenarios(chosen); err != nil {
		return o, err
	}
	switch {
	case o.Slice < 200*time.Millisecond || o.Slice > 50*time.Second:
		return o, fmt.Errorf("-slice %s: must be from 200ms to 50s", o.Slice)
	case o.Rounds < 1 || o.Connections < 1:
		return o, errors.New("-rounds and -connections must be at least 1")
	case o.Hot < 1 || o.Hot > o.Tenants || o.Warm < 1 || o.Warm > o.Tenants:
		return o, errors.New("-hot and -warm must be from 1 to -tenants")
	case o.Tenants > maxTenants:
		return o, fmt.Errorf("-tenants must be at most %d", maxTenants)
	case o.Quiet < 0:
		return o, errors.New("-quiet must not be negative")
	case o.Port < 1024 || o.Port > 65000:
		return o, errors.New("-port must be from 1024 to 65000")
	}
	return o, nil
}
