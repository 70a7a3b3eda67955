package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// noMountEnv set to 1 makes [NewSmallDisk] do as where nobody may mount anything.
const noMountEnv = "TENANTGATE_TEST_NO_MOUNT"

// SmallDisk is a file system that a test can fill without harm to anybody else.
type SmallDisk struct {
	// Dir is where it is mounted.
	Dir string
}

// NewSmallDisk mounts a file system of some bytes in memory, which ends with the test. It returns nil where that is not
// allowed, as for anybody but root.
func NewSmallDisk(t testing.TB, bytes int) *SmallDisk {
	t.Helper()
	if os.Getenv(noMountEnv) == "1" {
		return nil
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=0700", bytes), "tmpfs", dir).CombinedOutput(); err != nil {
		t.Logf("no small disk: %v %s", err, out)
		return nil
	}
	t.Cleanup(func() {
		// Lazily, should somebody still be in there.
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil { //nolint:noctx // the test's context has ended
			t.Errorf("umount %s: %v %s", dir, err, out)
		}
	})
	return &SmallDisk{Dir: dir}
}

// Fill takes all the room that is left.
func (d *SmallDisk) Fill(t testing.TB) {
	t.Helper()
	f, err := os.Create(filepath.Join(d.Dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// Down to single bytes: the last page counts as a whole, but whoever has one open may still fill it.
	for piece := 64 << 10; piece > 0; {
		if _, err := f.Write(make([]byte, piece)); errors.Is(err, syscall.ENOSPC) {
			piece /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// Free gives the room back.
func (d *SmallDisk) Free(t testing.TB) {
	t.Helper()
	if err := os.Remove(filepath.Join(d.Dir, "filler")); err != nil {
		t.Fatal(err)
	}
}

// LimitFiles makes writes of the gateway fail beyond this size of a file, in bytes, as on a disk that is full
// (RLIMIT_FSIZE of setrlimit(2)); 0 ends it.
func (g *Gateway) LimitFiles(t testing.TB, bytes int) {
	t.Helper()
	limit := "unlimited"
	if bytes > 0 {
		limit = strconv.Itoa(bytes)
	}
	// The soft limit alone, so that it can be raised again.
	out, err := exec.CommandContext(t.Context(), "prlimit", "--pid", strconv.Itoa(g.cmd.Process.Pid), "--fsize="+limit+":").CombinedOutput()
	if err != nil {
		t.Fatalf("prlimit: %v %s", err, out)
	}
}

// HeedModes returns a command with which a program heeds the modes of files also when root starts it; nil for others,
// who do anyway.
func HeedModes() []string {
	if os.Geteuid() != 0 {
		return nil
	}
	return []string{"setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"}
}

// Replace puts a copy of a file in the place of another, as a restore from a backup does: at once, under a new inode.
func Replace(t testing.TB, path, with string) {
	t.Helper()
	temporary := path + ".restored"
	if err := os.WriteFile(temporary, []byte(ReadFile(t, with)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
}
