package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	// domain is where the tenants live: {tenant}.bench.test.
	domain = "bench.test"
	// tenantHosts is the format of a tenant's host name; all are of the same length.
	tenantHosts = tenantSlugs + "." + domain
	// tenantSlugs is the format of a tenant's slug.
	tenantSlugs = "t%07d"
	// limitedSlug is the tenant of limitedHost.
	limitedSlug = "limited"
	// maxTenants is what seven digits can tell apart.
	maxTenants = 10_000_000
	// limitedHost belongs to a tenant that is let through once a minute, suspendedHost to one that is suspended,
	// unknownHost to none. Every registry has the first two.
	limitedHost   = limitedSlug + "." + domain
	suspendedHost = "suspended." + domain
	unknownHost   = "unknown." + domain
)

// writeTenants writes an import file of n tenants with one environment each, and the two tenants that are refused.
// The rate limit of the n is checked for every request but never reached: a million requests per second.
func writeTenants(w io.Writer, n int, upstream string) error {
	out := bufio.NewWriterSize(w, 1<<20)
	environment := func(text []byte) []byte {
		return fmt.Appendf(text, `"environments":[{"slug":"production","name":"Production","type":"production","isDefault":true,`+
			`"status":"active","region":"eu-west-1","upstreams":[%q]}]}`, upstream)
	}
	line := []byte(`{"plans":[{"name":"pro","quotas":{"apiRateLimit":60000000}},{"name":"limited","quotas":{"apiRateLimit":1,"burst":1}}],` +
		`"tenants":[` + "\n" + `{"slug":"limited","name":"Limited","plan":"limited","status":"active",`)
	line = append(environment(line), ",\n"+`{"slug":"suspended","name":"Suspended","plan":"pro","status":"suspended",`...)
	line = environment(line)
	for i := range n {
		if _, err := out.Write(line); err != nil {
			return err
		}
		line = fmt.Appendf(line[:0], ",\n"+`{"slug":"t%07d","name":"Tenant number %d","plan":"pro","status":"active","metadata":{"tier":"gold"},`, i, i)
		line = environment(line)
	}
	if _, err := out.Write(append(line, "\n]}\n"...)); err != nil {
		return err
	}
	return out.Flush()
}

// registryOf returns the URL of a registry of n tenants, made by the gateway's own import. What was imported is kept for the
// next run, -fresh makes it again; the run has a copy, because gateways write to it what each tenant has used.
func (b *bench) registryOf(ctx context.Context, n int) (string, error) {
	return b.registryFor(ctx, n, b.upstream())
}

// registryFor is [bench.registryOf] for tenants whose upstream is another one.
func (b *bench) registryFor(ctx context.Context, n int, upstream string) (string, error) {
	_, port, err := net.SplitHostPort(upstream)
	if err != nil {
		return "", err
	}
	// What the content depends on stands in the name: the version of writeTenants, the number, the upstream's port.
	name := fmt.Sprintf("registry-v2-%d-%s", n, port)
	kept, used := filepath.Join(b.dir, name), filepath.Join(b.runDir, name)
	if b.made[name] {
		return registryURL(used), nil
	}
	_, err = os.Stat(filepath.Join(kept, importTime))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err != nil || b.FreshRegistry {
		if err := b.importTenants(ctx, kept, n, upstream); err != nil {
			return "", fmt.Errorf("importing %d tenants: %w", n, err)
		}
	}
	if err := os.CopyFS(used, os.DirFS(kept)); err != nil {
		return "", fmt.Errorf("copying the registry of %d tenants: %w", n, err)
	}
	b.made[name] = true
	return registryURL(used), nil
}

// removeCopies removes the run's copies of registries, which are big; the registries themselves are kept.
func (b *bench) removeCopies() {
	for name := range b.made {
		_ = os.RemoveAll(filepath.Join(b.runDir, name)) // the next run removes what is left
	}
}

// importTime is the file beside a registry that says how long its import took, in milliseconds.
const importTime = "import-milliseconds"

// registryURL returns the URL of the registry in a directory.
func registryURL(dir string) string { return "file:" + filepath.Join(dir, "registry.db") }

// importTenants makes a registry of n tenants in a directory.
func (b *bench) importTenants(ctx context.Context, dir string, n int, upstream string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(dir, "tenants.json")
	if err := writeFile(file, func(w io.Writer) error { return writeTenants(w, n, upstream) }); err != nil {
		return err
	}
	b.progress("importing %d tenants", n)
	began := time.Now()
	cmd := exec.CommandContext(ctx, b.gateway, "tenant", "import", file, "--registry", registryURL(dir))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	elapsed := time.Since(began)
	if err := os.Remove(file); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, importTime), func(w io.Writer) error {
		_, err := io.WriteString(w, strconv.FormatInt(elapsed.Milliseconds(), 10))
		return err
	})
}

// importFacts says how long the import of a registry took, and how big it is.
func importFacts(url string, n int) (string, error) {
	path := url[len("file:"):]
	text, err := os.ReadFile(filepath.Join(filepath.Dir(path), importTime))
	if err != nil {
		return "", err
	}
	milliseconds, err := strconv.Atoi(string(text))
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	seconds := float64(milliseconds) / 1e3
	return fmt.Sprintf("import of %d tenants with an environment each into the file: %.1f s, %.0f a second; the file has %d MiB",
		n, seconds, float64(n)/seconds, info.Size()>>20), nil
}
