package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenantgate/tenantgate/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// document is an import file, with what tests put in one.
type document struct {
	Plans   []plan   `json:"plans,omitempty"`
	Tenants []tenant `json:"tenants"`
}

type plan struct {
	Name      string         `json:"name"`
	Quotas    map[string]int `json:"quotas,omitempty"`
	Upstreams []string       `json:"upstreams,omitempty"`
}

type tenant struct {
	ID                    string            `json:"id,omitempty"`
	Slug                  string            `json:"slug"`
	Name                  string            `json:"name"`
	Plan                  string            `json:"plan"`
	Status                string            `json:"status,omitempty"`
	IsolationLevel        string            `json:"isolationLevel,omitempty"`
	SubscriptionExpiresAt string            `json:"subscriptionExpiresAt,omitempty"`
	Quotas                map[string]int    `json:"quotas,omitempty"`
	Metadata              map[string]string `json:"metadata,omitempty"`
	Environments          []environment     `json:"environments,omitempty"`
}

type environment struct {
	ID        string         `json:"id,omitempty"`
	Slug      string         `json:"slug"`
	Name      string         `json:"name"`
	Type      string         `json:"type"`
	IsDefault bool           `json:"isDefault,omitempty"`
	Status    string         `json:"status,omitempty"`
	Region    string         `json:"region,omitempty"`
	Upstreams []string       `json:"upstreams,omitempty"`
	Quotas    map[string]int `json:"quotas,omitempty"`
	Domains   []string       `json:"domains,omitempty"`
}

// The ids of the tenants of [someTenants].
const (
	acmeID     = "0190a000-0000-7000-8000-000000000001"
	acmeProdID = "0190a000-0000-7000-8000-000000000011"
	acmeDevID  = "0190a000-0000-7000-8000-000000000012"
	globexID   = "0190a000-0000-7000-8000-000000000002"
	globexProd = "0190a000-0000-7000-8000-000000000021"
)

// upstreams are the processes behind the tenants of [someTenants], each named for what it serves.
type upstreams struct{ production, dev, globex *harness.Upstream }

func startUpstreams(t *testing.T) upstreams {
	t.Helper()
	return upstreams{
		production: harness.StartUpstream(t, "acme-production"),
		dev:        harness.StartUpstream(t, "acme-dev"),
		globex:     harness.StartUpstream(t, "globex"),
	}
}

// someTenants are acme, with two environments and a domain of its own, and globex, with one.
func someTenants(u upstreams) document {
	return document{
		Plans: []plan{{Name: "free"}, {Name: "pro"}},
		Tenants: []tenant{
			{
				ID: acmeID, Slug: "acme", Name: "Acme Corp", Plan: "pro", Status: "active", IsolationLevel: "isolated_db",
				Metadata: map[string]string{"canary": "true"},
				Environments: []environment{
					{
						ID: acmeProdID, Slug: "production", Name: "Production", Type: "production", IsDefault: true,
						Region: "eu-west-1", Upstreams: []string{u.production.Address}, Domains: []string{"app.acme.test"},
					},
					{
						ID: acmeDevID, Slug: "dev", Name: "Development", Type: "development",
						Region: "eu-central-1", Upstreams: []string{u.dev.Address}, Domains: []string{"dev.acme.test"},
					},
				},
			},
			{
				ID: globexID, Slug: "globex", Name: "Globex", Plan: "free", Status: "active",
				Environments: []environment{{
					ID: globexProd, Slug: "production", Name: "Production", Type: "production", IsDefault: true,
					Upstreams: []string{u.globex.Address},
				}},
			},
		},
	}
}

// write puts the document into a file and returns its path.
func (d document) write(t *testing.T, dir string) string {
	t.Helper()
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return harness.WriteFile(t, dir, "tenants.json", string(b))
}

// backend is a registry that a test runs on.
type backend struct {
	// url and token are those that the gateway is given.
	url, token string
}

// directive returns the "registry" part of the global option "tenants"; lines stand in its block.
func (b backend) directive(lines string) string {
	if b.token != "" {
		// The token comes from the environment, as it should.
		lines = "auth_token {$TENANT_REGISTRY_TOKEN}\n" + lines
	}
	return fmt.Sprintf("registry %s {\n%s\n}\n", b.url, lines)
}

// env is what the gateway needs in its environment.
func (b backend) env() []string {
	if b.token == "" {
		return nil
	}
	return []string{"TENANT_REGISTRY_TOKEN=" + b.token}
}

// fileBackend is a new registry in a file.
func fileBackend(t *testing.T) backend {
	t.Helper()
	return backend{url: "file:" + filepath.Join(t.TempDir(), "tenants.db")}
}

// load imports a document with the command that an operator would use.
func (b backend) load(t *testing.T, d document) {
	t.Helper()
	dir := t.TempDir()
	r := harness.Run(t, b.command(dir, "tenant", "import", d.write(t, dir)))
	if r.ExitCode != 0 {
		t.Fatalf("import: exit code %d\n%s", r.ExitCode, r.Output())
	}
}

// command is a command of the binary on this registry.
func (b backend) command(dir string, args ...string) harness.Command {
	return harness.Command{Args: append(args, "--registry", b.url), Dir: dir, Env: b.env()}
}
