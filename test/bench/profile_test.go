package main

import (
	"os"
	"path/filepath"
	"runtime/pprof"
	"testing"
)

// Promise: the profile for the compiler is made of those that were taken.
func TestMergeProfiles(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for _, name := range []string{"forwarding", "refusing"} {
		path := filepath.Join(dir, name)
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := pprof.Lookup("allocs").WriteTo(file, 0); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	merged := filepath.Join(dir, "default.pgo")
	if err := mergeProfiles(t.Context(), merged, files); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(merged)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 2 || b[0] != 0x1f || b[1] != 0x8b { // gzip, as go build wants it
		t.Errorf("%d bytes, not a profile", len(b))
	}
}
