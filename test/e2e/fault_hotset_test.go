package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// faultsOfTheHotSet tries what can happen to the file of the hot set: it cannot be written when a gateway stops, or is no
// use when one starts.
func faultsOfTheHotSet(t *testing.T) {
	u := startUpstreams(t)
	for name, test := range map[string]func(*testing.T, *stage, server, string, *harness.SmallDisk){
		"disk full": hotSetOnFullDisk, "read-only": hotSetReadOnly, "broken": hotSetBroken,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := faultServer(t)
			b.load(t, faultTenants(u))
			dir := t.TempDir()
			var disk *harness.SmallDisk
			if name == "disk full" {
				if disk = harness.NewSmallDisk(t, 4<<20); disk != nil {
					dir = disk.Dir
				}
			}
			path := filepath.Join(dir, "hot.json")
			s := newStage(t, b.backend, b.direct, "timeout 20s", func(o *harness.Options) {
				o.Tenants = strings.Replace(o.Tenants, "cache {", "cache {\nhot_set "+path, 1)
				o.Wrap = harness.HeedModes()
			})
			s.g.Stop(t)
			s.again(t)
			test(t, s, b, path, disk)
		})
	}
}

// keepsAnOldHotSet puts the gateway under load while its hot set cannot be written, up to its stop: then the old one is
// there still, and serves a start without the registry.
func keepsAnOldHotSet(t *testing.T, s *stage, b server, f fault, path string, begin, end func()) {
	t.Helper()
	old := harness.ReadFile(t, path)
	begin()
	before := len(s.g.Log(t))
	warm := s.warm(t)
	harness.Throughout(t, faultLasts, s.g.Ended)
	warm.reaches(t, 100)
	warm.end()
	if err := s.g.Expect(t.Context(), s.stranger(), f.others[0], "globex")(); err != nil {
		t.Error(err)
	}
	s.g.Stop(t)
	lines, _ := s.lines(t, before)
	s.says(t, f, lines)
	if harness.ReadFile(t, path) != old {
		t.Error("the hot set is another one")
	}
	if left, _ := filepath.Glob(path + ".tmp*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	b.proxy.Down()
	s.again(t)
	second := s.warm(t)
	harness.Throughout(t, faultLasts, s.g.Ended)
	second.reaches(t, 100)
	end()
	b.proxy.Up(t)
	healed := time.Now()
	s.settle(t)
	took := time.Since(healed)
	second.end()
	before = len(s.g.Log(t))
	s.g.Stop(t)
	if lines, _ := s.lines(t, before); len(lines) > 0 {
		t.Errorf("the log of a stop says %v", lines)
	}
	if harness.ReadFile(t, path) == old {
		t.Error("the hot set was not written afterwards")
	}
	for _, c := range []*crowd{warm, second} {
		all, ok, failed := c.of()
		t.Logf("cached tenants: %d requests, %d × 2xx, %d × 5xx; healed after %s", all, ok, failed, took.Round(time.Millisecond))
		if ok != all {
			t.Errorf("cached tenants: %v, lost %q", c.statuses, c.lost)
		}
	}
}

func hotSetOnFullDisk(t *testing.T, s *stage, b server, path string, disk *harness.SmallDisk) {
	f := faultNamed(t, "hot set: disk full")
	if disk != nil {
		keepsAnOldHotSet(t, s, b, f, path, func() { disk.Fill(t) }, func() { disk.Free(t) })
		return
	}
	// So many that their file is larger than the log is.
	for range 600 {
		s.g.Get(t, s.stranger(), "/").Echo(t)
	}
	keepsAnOldHotSet(t, s, b, f, path, func() { s.g.LimitFiles(t, 200<<10) }, func() {})
}

func hotSetReadOnly(t *testing.T, s *stage, b server, path string, _ *harness.SmallDisk) {
	modes := func(mode os.FileMode) {
		if err := os.Chmod(filepath.Dir(path), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { modes(0o700) })
	keepsAnOldHotSet(t, s, b, faultNamed(t, "hot set: read-only"), path, func() { modes(0o500) }, func() { modes(0o700) })
}

// hotSetBroken starts the gateway with files that are none of its hot sets any more: it does without, and does not start
// where there is no registry either.
func hotSetBroken(t *testing.T, s *stage, b server, path string, _ *harness.SmallDisk) {
	f := faultNamed(t, "hot set: truncated or garbage")
	s.g.Stop(t)
	good := harness.ReadFile(t, path)
	for name, text := range map[string]string{
		"truncated":    good[:len(good)/2],
		"empty":        "",
		"garbage":      strings.Repeat("\x00\xff garbage", 1000),
		"one bit":      strings.Replace(good, `"slug":"acme"`, `"slug":"acmf"`, 1),
		"other format": strings.Replace(good, `"version":1`, `"version":7`, 1),
	} {
		if text == good {
			t.Fatalf("%s: the file is as it was", name)
		}
		harness.WriteFile(t, filepath.Dir(path), filepath.Base(path), text)
		if name == "garbage" {
			b.proxy.Down()
			o := s.o
			o.Dir = t.TempDir()
			r := harness.StartFails(t, o, healWithin)
			expectStartError(t, r, []string{"refused"}, b.token)
			b.proxy.Up(t)
		}
		s.again(t)
		warm := s.warm(t)
		warm.reaches(t, 100)
		if err := s.g.Expect(t.Context(), s.stranger(), 200, "globex")(); err != nil {
			t.Error(err)
		}
		warm.end()
		lines, _ := s.lines(t, 0)
		s.says(t, f, lines)
		all, ok, failed := warm.of()
		t.Logf("%s: cached tenants: %d requests, %d × 2xx, %d × 5xx", name, all, ok, failed)
		if ok != all {
			t.Errorf("%s: %v, lost %q", name, warm.statuses, warm.lost)
		}
		s.g.Stop(t)
	}
}
