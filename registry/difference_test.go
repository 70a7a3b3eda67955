package registry_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/registry"
)

// Promise: a dry run names every record that would be written, each once and with what differs in it, in the order of
// the document, and nothing of a second import of the same document. An import that writes tells nothing.
func TestImportDifference(t *testing.T) {
	t.Parallel()
	store, err := registry.Open(registry.Options{URL: "file:" + filepath.Join(t.TempDir(), "r.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	run := func(document string, dryRun bool) (list []registry.Difference, report registry.ImportReport) {
		t.Helper()
		report, err := store.Import(t.Context(), strings.NewReader(document), registry.ImportOptions{
			DryRun: dryRun, Difference: func(d registry.Difference) { list = append(list, d) },
		})
		if err != nil {
			t.Fatal(err)
		}
		return list, report
	}
	const before = `{"plans": [{"name": "free"}], "tenants": [{"slug": "acme", "environments": [
		{"slug": "production", "isDefault": true, "domains": ["a.test"], "members": [{"userId": "u1", "role": "env_user"}],
		 "database": {"driver": "sqlite", "url": "file:a"}}, {"slug": "dev"}]}]}`
	const after = `{"plans": [{"name": "free", "quotas": {"apiRateLimit": 60}}], "tenants": [{"slug": "acme", "name": "Acme", "metadata": {"a": "b"},
		"environments": [{"slug": "production", "domains": ["a.test", "b.test"], "members": [{"userId": "u1", "role": "env_admin"}],
		 "database": {"driver": "sqlite", "url": "file:b"}}, {"slug": "dev", "isDefault": true, "upstreams": ["127.0.0.1:1"]}]}, {"slug": "globex"}]}`
	for i, tt := range []struct {
		document string
		want     []string
	}{
		{before, []string{
			"create plan free", "create tenant acme", "create environment acme/production",
			"create database acme/production/", "create domain acme/production/a.test", "create member acme/production/u1",
			"create environment acme/dev",
		}},
		{after, []string{
			`update plan free quotas: "" "{\"apiRateLimit\":60}"`,
			`update tenant acme name: "acme" "Acme" metadata: "" "{\"a\":\"b\"}"`,
			`update environment acme/dev isDefault: "false" "true" upstreams: "" "[\"127.0.0.1:1\"]"`,
			`update database acme/production/ url: "file:a" "file:b"`,
			`create domain acme/production/b.test`,
			`update member acme/production/u1 role: "env_user" "env_admin"`,
			`create tenant globex`, `create environment globex/production`,
		}},
	} {
		list, report := run(tt.document, true)
		var got []string
		for _, d := range list {
			got = append(got, describe(d))
		}
		if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("document %d:\n%s\nwant\n%s", i, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
		written := int64(0)
		for _, c := range []registry.ImportCount{report.Plans, report.Tenants, report.Environments, report.Domains, report.Members, report.Databases} {
			written += c.Created + c.Updated
		}
		if written != int64(len(list)) {
			t.Errorf("document %d: %d differences, and the report counts %d", i, len(list), written)
		}
		if list, _ = run(tt.document, false); len(list) > 0 {
			t.Errorf("document %d: an import that writes tells %v", i, list)
		}
		if list, _ = run(tt.document, true); len(list) > 0 {
			t.Errorf("document %d: imported already, and differs in %v", i, list)
		}
	}
}

func describe(d registry.Difference) string {
	text := map[bool]string{true: "create ", false: "update "}[d.Created] + d.Kind + " "
	for _, part := range []string{d.Tenant, d.Environment} {
		if part != "" {
			text += part + "/"
		}
	}
	text += d.Name
	for _, f := range d.Fields {
		text += " " + f.Name + ": " + quote(f.Before) + " " + quote(f.After)
	}
	return text
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }
