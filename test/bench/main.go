package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	// Children end with the thread that started them (see start); the main goroutine keeps its own.
	runtime.LockOSThread()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if len(os.Args) == 3 && os.Args[1] == "upstream" {
		if err := serveUpstream(ctx, os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	o, err := parseOptions(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if err := run(ctx, o); err != nil {
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "bench: interrupted")
			os.Exit(130)
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	Dir, Gateway, Output  string
	PGO                   string
	Scenarios             []scenario
	Rounds                int
	Slice, Timeout        time.Duration
	Connections           int
	Tenants, Hot, Warm    int
	GOGC, GOMEMLIMIT      string
	ProxyCores, Port      int
	FreshRegistry, Strict bool
	Quiet                 float64
}

// parseOptions reads the command line, and prints what is wrong with it to errors.
func parseOptions(args []string, messages io.Writer) (options, error) {
	var o options
	var chosen string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(messages)
	f.StringVar(&chosen, "scenarios", defaultScenarios, "comma-separated, of: "+scenarioNames())
	f.IntVar(&o.Rounds, "rounds", 9, "rounds that count, for each scenario that compares")
	f.DurationVar(&o.Slice, "slice", 2*time.Second, "how long each candidate is asked in a round; whole seconds")
	f.IntVar(&o.Connections, "connections", 64, "connections of wrk")
	f.IntVar(&o.Tenants, "tenants", 1_000_000, "tenants, of one environment each, in the big registry")
	f.IntVar(&o.Hot, "hot", 10, "tenants that are asked for in scenario scale")
	f.IntVar(&o.Warm, "warm", 100_000, "tenants that are cached in scenario memory")
	f.StringVar(&o.GOGC, "gogc", "off", "GOGC of every proxy")
	f.StringVar(&o.GOMEMLIMIT, "memlimit", "256MiB", "GOMEMLIMIT of every proxy")
	f.IntVar(&o.ProxyCores, "proxy-cores", 0, "cores of the proxies; 0 means half of the machine")
	f.IntVar(&o.Port, "port", 21800, "first of the 20 ports of 127.0.0.1 that are used")
	f.BoolVar(&o.FreshRegistry, "fresh", false, "import the registries again instead of using those of the last run")
	f.BoolVar(&o.Strict, "strict", false, "exit with status 1 when a budget is missed")
	f.Float64Var(&o.Quiet, "quiet", 0, "wait for, and take slices again until, other work keeps at most so many cores busy; 0 means never")
	f.StringVar(&o.Output, "o", "", "also write the report to this file")
	f.DurationVar(&o.Timeout, "timeout", 30*time.Minute, "give up after this time")
	f.StringVar(&o.PGO, "pgo", "", "scenario profile: also write a profile for the compiler (go build -pgo) to this file")
	f.StringVar(&o.Dir, "dir", "test/.tmp/bench", "directory for everything that is written")
	f.StringVar(&o.Gateway, "gateway", "", "the built gateway (default: tenantgate in -dir)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	for name := range strings.SplitSeq(chosen, ",") {
		s, err := scenarioNamed(name)
		if err != nil {
			return o, err
		}
		o.Scenarios = append(o.Scenarios, s)
	}
	switch {
	case o.Slice < time.Second || o.Slice%time.Second != 0:
		return o, fmt.Errorf("-slice %s: wrk wants whole seconds", o.Slice)
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

// run runs the scenarios that were chosen.
func run(ctx context.Context, o options) error {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	out := io.Writer(os.Stdout)
	if o.Output != "" {
		file, err := os.Create(o.Output)
		if err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // a failed write shows in the report's own messages
		out = io.MultiWriter(out, file)
	}
	b, err := newBench(o, out)
	if err != nil {
		return err
	}
	defer b.stopAll()
	facts, err := machineFacts(b.gateway, b.cores)
	if err != nil {
		return err
	}
	b.report.printf("# Benchmark\n\n")
	for _, fact := range facts {
		b.report.printf("- %s\n", fact)
	}
	b.report.printf("- every proxy: GOGC=%s GOMEMLIMIT=%s GOMAXPROCS=%d; wrk: %d connections; %d rounds of %s slices, interleaved\n",
		o.GOGC, o.GOMEMLIMIT, len(b.cores.Proxy), o.Connections, o.Rounds, o.Slice)
	for _, s := range o.Scenarios {
		if err := b.play(ctx, s); err != nil {
			return fmt.Errorf("scenario %s: %w", s.Name, err)
		}
	}
	if b.report.missed > 0 && o.Strict {
		return fmt.Errorf("%d budgets were missed", b.report.missed)
	}
	return nil
}

// newBench prepares the directories and divides the cores.
func newBench(o options, out io.Writer) (*bench, error) {
	available, err := allowedCores()
	if err != nil {
		return nil, err
	}
	cores, err := layoutFor(available, o.ProxyCores)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	gateway := o.Gateway
	if gateway == "" {
		gateway = filepath.Join(dir, "tenantgate")
	}
	runDir := filepath.Join(dir, "run")
	if err := os.RemoveAll(runDir); err != nil { // only the last run's logs and configurations
		return nil, err
	}
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return nil, err
	}
	load, err := newWrk(runDir, cores.Load, o.Connections)
	if err != nil {
		return nil, err
	}
	return &bench{
		options: o, dir: dir, runDir: runDir, gateway: gateway, cores: cores, wrk: load,
		report: &report{out: out}, rounds: o.Rounds, sliceLength: o.Slice, made: map[int]bool{},
	}, nil
}
