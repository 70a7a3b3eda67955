package e2e_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

var (
	statusNumber = regexp.MustCompile(`\b[1-5][0-9]{2}\b`)
	quotedText   = regexp.MustCompile("`([^`]+)`")
)

// Promise: README's table of faults is what the tests hold: each fault has a test, each status and each sentence of the
// log that README gives is one that the test asks for, and the other way round.
func TestReadmeFaults(t *testing.T) {
	root := harness.RepositoryRoot(t)
	chapter := readmeChapter(harness.ReadFile(t, filepath.Join(root, "README.md")), "Faults")
	rows := map[string][]string{}
	for line := range strings.Lines(chapter) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 || strings.HasPrefix(strings.TrimSpace(cells[0]), "---") || strings.Contains(cells[0], "what fails") {
			continue
		}
		for name := range strings.SplitSeq(cells[0], "<br>") {
			rows[strings.TrimSpace(name)] = cells[1:]
		}
	}
	for _, f := range faults {
		cells, there := rows[f.name]
		if !there {
			t.Errorf("README's table has no row %q", f.name)
			continue
		}
		delete(rows, f.name)
		for i, want := range [][]int{f.cached, f.others} {
			if err := sameSet(statusesIn(t, cells[i]), want); err != nil {
				t.Errorf("%s: statuses of column %d: %v", f.name, i+2, err)
			}
		}
		var said []string
		for _, quoted := range quotedText.FindAllStringSubmatch(cells[2], -1) {
			said = append(said, quoted[1])
		}
		if err := sameSet(said, slices.Concat(f.begins, f.ends, f.may)); err != nil {
			t.Errorf("%s: sentences of the log: %v", f.name, err)
		}
		for _, test := range f.elsewhere {
			dir, name, _ := strings.Cut(test, ".")
			if !hasTest(t, filepath.Join(root, dir), name) {
				t.Errorf("%s: there is no test %s", f.name, test)
			}
		}
	}
	for name := range rows {
		t.Errorf("README's table has a row without a test: %q", name)
	}
}

// statusesIn returns the HTTP statuses that a text names.
func statusesIn(t *testing.T, text string) (list []int) {
	t.Helper()
	for _, digits := range statusNumber.FindAllString(text, -1) {
		status, err := strconv.Atoi(digits)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, status)
	}
	return list
}

// sameSet says what only one of two lists has.
func sameSet[E comparable](readme, test []E) error {
	both := map[E]int{}
	for _, e := range readme {
		both[e] |= 1
	}
	for _, e := range test {
		both[e] |= 2
	}
	maps.DeleteFunc(both, func(_ E, in int) bool { return in == 3 })
	for e, in := range both {
		if in == 1 {
			return fmt.Errorf("README alone has %v", e)
		}
		return fmt.Errorf("README lacks %v", e)
	}
	return nil
}

// hasTest reports whether a test of that name is in a directory.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
