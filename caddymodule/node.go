package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/tenantgate/tenantgate/quota"
)

// nodeFile is what a gateway leaves behind when it stops: the name under which it counts usage, so that the next start goes
// on with the same rows, and what it could not save.
//
// A gateway takes the file away when it starts, by renaming it, and puts it back when it stops. So two gateways that share a
// data directory never have the same name, and one that was killed leaves no name behind: the next one takes a new name, and
// the rows of both add up.
type nodeFile struct {
	Node    string        `json:"node"`
	Unsaved []unsavedJSON `json:"unsaved,omitempty"`
}

// unsavedJSON is quota.Unsaved on disk.
type unsavedJSON struct {
	Tenant   uuid.UUID   `json:"tenant"`
	Scope    quota.Scope `json:"scope"`
	ID       uuid.UUID   `json:"id"`
	Day      time.Time   `json:"day"`
	Count    int64       `json:"count"`
	Absolute bool        `json:"absolute,omitempty"`
}

const (
	// nodePattern is the name of the files; the star is the gateway's name.
	nodePattern = "usage-*.json"
	// claimedSuffix is that of a file that a gateway is reading.
	claimedSuffix = ".claimed"
	// maxNodeFile bounds what is read, in bytes: about 1,000,000 accounts.
	maxNodeFile = 256 << 20
)

func newNodeFile(node string, unsaved []quota.Unsaved) *nodeFile {
	f := &nodeFile{Node: node}
	for _, u := range unsaved {
		f.Unsaved = append(f.Unsaved, unsavedJSON{u.Tenant, u.Key.Scope, u.Key.ID, u.Day, u.Count, u.Absolute})
	}
	return f
}

func (f *nodeFile) unsaved() []quota.Unsaved {
	list := make([]quota.Unsaved, len(f.Unsaved))
	for i, u := range f.Unsaved {
		account := quota.Account{Tenant: u.Tenant, Key: quota.Key{Scope: u.Scope, ID: u.ID}, Day: u.Day}
		list[i] = quota.Unsaved{Account: account, Count: u.Count, Absolute: u.Absolute}
	}
	return list
}

// claimNode takes a file of the directory, or makes up a new name. A file that cannot be read is left where it is, under
// another name.
func claimNode(dir string, log *slog.Logger) (*nodeFile, error) {
	fresh := &nodeFile{Node: newNodeName()}
	names, err := filepath.Glob(filepath.Join(dir, nodePattern))
	if err != nil {
		return fresh, err
	}
	for _, name := range names {
		mine := name + "." + fresh.Node + claimedSuffix
		if err := os.Rename(name, mine); errors.Is(err, fs.ErrNotExist) {
			continue // another gateway was faster
		} else if err != nil {
			return fresh, err
		}
		f, err := readNodeFile(mine)
		if err != nil {
			return fresh, err
		}
		if len(f.Unsaved) > 0 {
			log.Info("taking over what the last run could not save of quotas", "accounts", len(f.Unsaved))
		}
		return f, os.Remove(mine)
	}
	return fresh, nil
}

func readNodeFile(path string) (*nodeFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxNodeFile {
		return nil, fmt.Errorf("%s has %d bytes", path, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := new(nodeFile)
	if err := json.Unmarshal(text, f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := uuid.Parse(f.Node); err != nil {
		return nil, fmt.Errorf("%s: it names no gateway", path)
	}
	return f, nil
}

// releaseNode puts the file back.
func releaseNode(dir string, f *nodeFile) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, "usage-"+f.Node+".json")
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
