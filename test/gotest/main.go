// Command gotest runs "go test -json" with its arguments and tells in few lines what came of it: each package, the
// whole output of whatever failed, and every test that was left out. It is what ./test/run uses, because there a test
// that skips itself is a failure: something that the run should have brought was missing.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
)

func main() {
	totals := flag.String("totals", "", "append `FILE` a line with the number of tests that passed and that failed")
	slowest := flag.Int("slowest", 0, "show the `N` tests that took longest")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	report, err := run(ctx, flag.Args())
	report.print(os.Stdout, *slowest)
	if *totals != "" {
		if err := appendTotals(*totals, report); err != nil {
			fmt.Fprintln(os.Stderr, "gotest:", err)
			os.Exit(1)
		}
	}
	if err != nil && len(report.failures) == 0 {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
	if report.failed > 0 {
		os.Exit(1)
	}
}

// run starts go test and reads its events to the end. The error is that of the command; failed tests are in the
// report as well.
func run(ctx context.Context, args []string) (*report, error) {
	r := newReport()
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.add(e)
			} else {
				os.Stdout.Write(line)
			}
		}
		if err != nil {
			break
		}
	}
	return r, cmd.Wait()
}

func appendTotals(path string, r *report) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f, "%d %d\n", r.passed, r.failed); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
