package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// profileLength is how long the gateway is profiled for each kind.
const profileLength = 10 * time.Second

// profileGateway profiles a gateway under load, and prints what the project's own functions take. The profiles stay
// in the run's directory for go tool pprof.
func profileGateway(ctx context.Context, b *bench) error {
	url, err := b.registryOf(ctx, 10)
	if err != nil {
		return err
	}
	gateway, err := b.caddy(ctx, "gateway", gatewayOptions(url, cacheSize), proxySingle, b.memorySettings())
	if err != nil {
		return err
	}
	if err := warm(ctx, gateway.Address, hostNames{tenantHosts, 10}, 1000); err != nil {
		return err
	}
	b.report.section("Profile", "What the gateway's own functions take of all, cumulated, `reverse_proxy` left out.")
	for _, work := range []struct {
		Name  string
		Hosts hostNames
	}{
		{"forwarding", hostNames{tenantHosts, 10}},
		{"refusing", hostNames{limitedHost, 1}},
	} {
		for _, kind := range []struct{ Name, Path, Index string }{
			{"processor", "profile", "samples"},
			{"allocations", "allocs", "alloc_objects"},
			{"allocated bytes", "allocs", "alloc_space"},
		} {
			file := filepath.Join(b.runDir, work.Name+"-"+kind.Index+".pb.gz")
			fetched := make(chan error, 1)
			go func() { fetched <- fetchProfile(ctx, gateway.Admin, kind.Path, file) }()
			l, err := b.wrk.run(ctx, gateway.Address, question{Hosts: work.Hosts}, profileLength+time.Second)
			if fetchErr := <-fetched; err == nil {
				err = fetchErr
			}
			if err != nil {
				return err
			}
			top, err := b.pprof(ctx, kind.Index, file)
			if err != nil {
				return err
			}
			b.report.printf("%s, %s, at %.0f requests/s:\n\n```\n%s```\n\n", upperFirst(work.Name), kind.Name, l.rate(), top)
		}
	}
	return nil
}

// pprof returns what the project's functions take. All that comes after the tenant handler runs in a frame of it, so
// reverse_proxy is left out.
func (b *bench) pprof(ctx context.Context, index, file string) (string, error) {
	top, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-sample_index", index, "-top", "-cum", "-nodecount", "60",
		"-show", "tenantgate/tenantgate", "-ignore", "reverseproxy", b.gateway, file).Output()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w", err)
	}
	return tail(string(top)), nil
}

// tail leaves out the first lines of pprof's, which name files and the time.
func tail(top string) string {
	if i := strings.Index(top, "Showing nodes"); i >= 0 {
		return top[i:]
	}
	return top
}

// fetchProfile fetches a profile of the next [profileLength] from Caddy's admin endpoint into a file.
func fetchProfile(ctx context.Context, admin, path, file string) error {
	ctx, cancel := context.WithTimeout(ctx, profileLength+20*time.Second)
	defer cancel()
	url := fmt.Sprintf("http://%s/debug/pprof/%s?seconds=%d", admin, path, int(profileLength.Seconds()))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("fetching the profile: status %d", resp.StatusCode)
	}
	return writeFile(file, func(w io.Writer) error {
		_, err := io.Copy(w, resp.Body)
		return err
	})
}
