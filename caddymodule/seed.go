package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tenantgate/tenantgate/registry"
)

// seed is what a configuration writes into the registry when it starts: its plans and its import files.
type seed struct {
	plans []registry.DocumentPlan
	files []string
	// covered are the plans that an import file defines as well, with the same content: they come from there.
	covered map[string]bool
}

// importActor is the name that the registry's audit log shows for what a configuration writes.
const importActor = "caddyfile"

// importLogInterval is how often the log says how far a long import is.
const importLogInterval = 5 * time.Second

// write migrates the registry and writes the seed, as far as neither imported nor the registry says that it was applied already. Every
// error names the registry or the file, never a token.
func (s *seed) write(ctx context.Context, store *registry.Store, imported map[string]string, logger *slog.Logger) error {
	if err := migrate(ctx, store); err != nil {
		return err
	}
	if err := s.writePlans(ctx, store, imported); err != nil {
		return err
	}
	for _, path := range s.files {
		if err := importFile(ctx, store, path, imported, logger); err != nil {
			return fmt.Errorf("importing %s: %w", path, err)
		}
	}
	return nil
}

// migrate creates or updates the registry's schema, and the directory of an embedded registry.
func migrate(ctx context.Context, store *registry.Store) error {
	if err := makeDirectory(store.RedactedURL()); err != nil {
		return err
	}
	return store.Migrate(ctx) // its errors name the registry
}

// makeDirectory makes the directory of an embedded registry, readable by this user only: it holds the tenants' data.
func makeDirectory(url string) error {
	path, ok := registryFile(url)
	if !ok {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("registry %s: %w", url, err)
	}
	return nil
}

// registryFile returns the path of an embedded registry.
func registryFile(url string) (path string, ok bool) {
	const scheme = "file:"
	if len(url) < len(scheme) || !strings.EqualFold(url[:len(scheme)], scheme) {
		return "", false
	}
	path = url[len(scheme):]
	if after, ok := strings.CutPrefix(path, "//"); ok {
		path = after
	}
	return path, true
}

// registryKey returns what the runtimes of one registry share: its address, however it is spelled.
func registryKey(url string) string {
	if path, ok := registryFile(url); ok {
		if abs, err := filepath.Abs(path); err == nil {
			return "file:" + abs
		}
	}
	return url
}

// writePlans upserts the plans of the configuration.
func (s *seed) writePlans(ctx context.Context, store *registry.Store, imported map[string]string) error {
	doc := &registry.Document{}
	for i := range s.plans {
		if !s.covered[s.plans[i].Name] {
			doc.Plans = append(doc.Plans, s.plans[i])
		}
	}
	if len(doc.Plans) == 0 {
		return nil
	}
	const key = "\x00plans" // no file has this name
	text, err := json.Marshal(doc.Plans)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	hash := hex.EncodeToString(sum[:])
	if done, err := applied(ctx, store, imported, key, seedPlans, hash); done || err != nil {
		return err
	}
	if _, err := store.ImportDocument(ctx, doc, registry.ImportOptions{Actor: importActor}); err != nil {
		return fmt.Errorf("writing plans: %w", err)
	}
	imported[key] = hash
	return store.SetSeed(ctx, seedPlans, hash)
}

// The names under which the registry remembers what was applied: the plans of a configuration, and each import file.
const (
	seedPlans      = "plans"
	seedFilePrefix = "file "
)

// applied reports whether this content is the last that was applied: by this process, or by one before it, as the registry
// remembers. Only then may a start pass over it; what was changed in the registry since stays.
func applied(ctx context.Context, store *registry.Store, imported map[string]string, key, name, hash string) (bool, error) {
	if before, ok := imported[key]; ok {
		return before == hash, nil
	}
	last, err := store.Seed(ctx, name)
	if err != nil || last != hash {
		return false, err
	}
	imported[key] = hash
	return true, nil
}

// importFile applies an import file unless its content has been applied before.
func importFile(ctx context.Context, store *registry.Store, path string, imported map[string]string, logger *slog.Logger) error {
	f, err := survey(path)
	if err != nil {
		return err
	}
	if done, err := applied(ctx, store, imported, path, seedFilePrefix+path, f.hash); done || err != nil {
		return err
	}
	last := time.Now()
	report, err := store.ImportFile(ctx, path, registry.ImportOptions{
		Actor: importActor,
		Progress: func(p registry.ImportProgress) {
			if now := time.Now(); now.Sub(last) >= importLogInterval {
				last = now
				logger.Info("importing", "file", path, "phase", p.Phase, "tenants", p.Tenants, "of", p.TotalTenants)
			}
		},
	})
	if err != nil {
		return err
	}
	if len(report.UnknownPlans) > 0 {
		logger.Warn("tenants are on plans that nobody defines, and so without the limits of a plan", "file", path, "plans", report.UnknownPlans)
	}
	imported[path] = f.hash
	if report.Changed() {
		logger.Info("imported", "file", path,
			"plans", count(report.Plans), "tenants", count(report.Tenants), "environments", count(report.Environments))
	}
	return store.SetSeed(ctx, seedFilePrefix+path, f.hash)
}
