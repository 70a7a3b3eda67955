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
	"syscall"
	"time"
)

func main() {
	// Children end with the thread that started them (see start); the main goroutine keeps its own.
	runtime.LockOSThread()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if serve := ownServer(os.Args[1:]); serve != nil {
		if err := serve(ctx); err != nil {
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

// ownServer returns what this program does as one of the benchmark's own servers; nil when it is asked for something else.
func ownServer(args []string) func(ctx context.Context) error {
	switch {
	case len(args) == 2 && args[0] == "upstream":
		return func(ctx context.Context) error { return serveUpstream(ctx, args[1]) }
	case len(args) == 3 && args[0] == "auth":
		return func(ctx context.Context) error { return serveAuth(ctx, args[1], args[2]) }
	}
	return nil
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
	defer b.removeCopies()
	defer b.stopAll()
	facts, err := b.facts(ctx)
	if err != nil {
		return err
	}
	b.report.printf("# Benchmark\n\n")
	for _, fact := range facts {
		b.report.printf("- %s\n", fact)
	}
	b.report.sections.Reset() // the page has the facts in its own place
	for _, s := range o.Scenarios {
		if err := b.play(ctx, s); err != nil {
			return fmt.Errorf("scenario %s: %w", s.Name, err)
		}
	}
	if o.Results != "" {
		if err := b.writeResults(facts); err != nil {
			return err
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
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &bench{
		options: o, program: program, dir: dir, runDir: runDir, gateway: gateway, cores: cores, wrk: load,
		report: &report{out: out}, rounds: o.Rounds, sliceLength: o.Slice, made: map[string]bool{}, began: time.Now(),
	}, nil
}
