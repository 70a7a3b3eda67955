package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	tenantHosts = "t%07d." + domain
	// maxTenants is what seven digits can tell apart.
	maxTenants = 10_000_000
	// limitedHost belongs to a tenant that is let through once a minute, suspendedHost to one that is suspended,
	// unknownHost to none. Every registry has the first two.
	limitedHost   = "limited." + domain
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

// registryOf returns the URL of a registry of n tenants, made by the gateway's own import. It is kept for the next
// run; -fresh makes it again.
func (b *bench) registryOf(ctx context.Context, n int) (string, error) {
	// What the content depends on stands in the name: the version of writeTenants, the number, the upstream's port.
	dir := filepath.Join(b.dir, fmt.Sprintf("registry-v1-%d-%d", n, b.Port))
	url := "file:" + filepath.Join(dir, "registry.db")
	took := filepath.Join(dir, "import-milliseconds")
	_, err := os.Stat(took)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err != nil || b.FreshRegistry && !b.made[n] {
		if err := b.importTenants(ctx, dir, url, n, took); err != nil {
			return "", fmt.Errorf("importing %d tenants: %w", n, err)
		}
		b.made[n] = true
	}
	return url, nil
}

// importTenants makes the registry, and notes in the file took how long the import was, in milliseconds.
func (b *bench) importTenants(ctx context.Context, dir, url string, n int, took string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(dir, "tenants.json")
	if err := writeFile(file, func(w io.Writer) error { return writeTenants(w, n, b.upstream()) }); err != nil {
		return err
	}
	b.progress("importing %d tenants", n)
	began := time.Now()
	cmd := exec.CommandContext(ctx, b.gateway, "tenant", "import", file, "--registry", url)
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
	return writeFile(took, func(w io.Writer) error {
		_, err := io.WriteString(w, strconv.FormatInt(elapsed.Milliseconds(), 10))
		return err
	})
}

// importFacts says how long the import of a registry took, and how big it is.
func importFacts(url string, n int) (string, error) {
	path := url[len("file:"):]
	text, err := os.ReadFile(filepath.Join(filepath.Dir(path), "import-milliseconds"))
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
