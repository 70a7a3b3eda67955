package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func export(t testing.TB, s *Store) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.Export(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Promise: an export has everything that an import can make, in an order that never changes, and importing it again
// changes nothing.
func TestExport(t *testing.T) {
	onAll(t, func(t *testing.T, s *Store) {
		if got := export(t, s); got != "{}\n" {
			t.Errorf("an empty registry: %s", got)
		}
		s.now = noon
		world(t, s)
		run(t, s, `INSERT INTO sys_environment_member (environment_id, user_id, role) VALUES (?1, 'u2', 'env_user'), (?1, 'u1', 'env_admin')`, idAcmeDev)
		text := export(t, s)
		doc, err := ParseDocument(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		var slugs []string
		for _, tenant := range doc.Tenants {
			slugs = append(slugs, tenant.Slug)
		}
		if got := strings.Join(slugs, " "); got != "acme globex initech" {
			t.Errorf("tenants %s", got)
		}
		acme := withoutLines(doc).Tenants[0]
		want := DocumentTenant{
			ID: uuid.MustParse(idAcme), Slug: "acme", Name: "Acme Corp", Plan: "pro", Status: StatusActive, Isolation: IsolationIsolatedSchema,
			SubscriptionExpiresAt: ptr(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)), Quotas: &Quotas{APIRateLimit: 900},
			Upstreams: []Upstream{{Scheme: "https", Address: "acme.internal:443"}}, Metadata: map[string]string{"canary": "true"},
			SecurityPolicy: &SecurityPolicy{AccessControl: AccessControl{IPWhitelist: []string{"10.0.0.0/8"}, RequireMFA: true}},
			Environments: []DocumentEnvironment{
				{
					ID: uuid.MustParse(idAcmeProd), Slug: "production", Name: "Production", Type: EnvironmentProduction, Default: ptr(true), Status: StatusActive,
					Region: ptr("eu-west-1"), Domains: []string{"app.acme.test"},
					Database: &DocumentDatabase{Driver: "postgres", Name: "shared", Schema: ptr("acme"), URL: ptr("postgres://db.internal/shared")},
				},
				{
					ID: uuid.MustParse(idAcmeDev), Slug: "dev", Name: "dev", Type: EnvironmentDevelopment, Default: ptr(false), Status: StatusActive,
					Upstreams: []Upstream{{Scheme: "http", Address: "127.0.0.1:9003"}, {Pool: "dev"}}, Quotas: &Quotas{APIRateLimit: 5},
					Metadata: map[string]string{"a": "b"}, Domains: []string{"dev.acme.test"}, // not the one that nobody verified
					Members: []DocumentMember{{"u1", "env_admin"}, {"u2", "env_user"}},
				},
			},
		}
		if !reflect.DeepEqual(acme, want) {
			t.Errorf("got\n%+v\nwant\n%+v", acme, want)
		}
		before := dump(t, s)
		if report := importText(t, s, text); report.Changed() || dump(t, s) != before {
			t.Errorf("importing the export changed something: %+v", report)
		}
		if again := export(t, s); again != text {
			t.Errorf("first\n%s\nthen\n%s", text, again)
		}
	})
}

// Promise: whatever is imported comes out of an export such that it makes the same registry elsewhere.
func TestExportImportProperty(t *testing.T) {
	for seed := range uint64(10) {
		first := migrated(t, Options{URL: "file:" + t.TempDir() + "/first.db"})
		second := migrated(t, Options{URL: "file:" + t.TempDir() + "/second.db"})
		tenants := 30
		if seed == 0 { // more than an export reads at once
			tenants = exportTenants + 20
		}
		doc := randomDocument(rand.New(rand.NewPCG(seed, 1)), tenants)
		if _, err := first.ImportDocument(t.Context(), doc, ImportOptions{}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		text := export(t, first)
		if report := importText(t, first, text); report.Changed() {
			t.Errorf("seed %d: importing the export changed something: %+v", seed, report)
		}
		importText(t, second, text)
		if again := export(t, second); again != text {
			t.Errorf("seed %d: first\n%s\nthen\n%s", seed, text, again)
		}
	}
}

// randomDocument makes a document that an import takes.
func randomDocument(r *rand.Rand, tenants int) *Document {
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	some := func() bool { return r.IntN(3) == 0 }
	quotas := func() *Quotas {
		if !some() {
			return nil
		}
		q := new(Quotas)
		for _, f := range q.fields() {
			if some() {
				*f = 1 + r.Int64N(MaxQuota)
			}
		}
		return q
	}
	upstreams := func() (list []Upstream) {
		for i := range r.IntN(3) {
			list = append(list, []Upstream{{Pool: fmt.Sprintf("pool%d", i)}, {Scheme: "https", Address: fmt.Sprintf("h%d:443", i)}, {Scheme: "http", Address: fmt.Sprintf("[::%d]:80", i+1)}}[r.IntN(3)])
		}
		return list
	}
	metadata := func() map[string]string {
		m := map[string]string{}
		for i := range r.IntN(4) {
			m[fmt.Sprintf("k%d", i)] = pick([]string{"", "x", "ü\"\\<&>", "\u2028", strings.Repeat("y", 500)})
		}
		return m
	}
	doc := &Document{}
	for i := range r.IntN(5) {
		doc.Plans = append(doc.Plans, DocumentPlan{Name: fmt.Sprintf("plan%d", i), Quotas: quotas(), Upstreams: upstreams()})
	}
	for i := range tenants {
		t := DocumentTenant{
			Slug: fmt.Sprintf("t%d", i), Name: pick([]string{"", "Name", "Ünïcødé \"quoted\"", "日本"}), Plan: pick([]string{"", "plan0", "plan1"}),
			Status: Status(pick(statuses)), Isolation: IsolationLevel(pick(isolationLevels)), Quotas: quotas(), Upstreams: upstreams(), Metadata: metadata(),
		}
		if some() {
			t.ID = uuid.Must(uuid.NewRandomFromReader(randomBytes{r}))
		}
		if some() {
			t.SubscriptionExpiresAt = ptr(time.Unix(r.Int64N(1<<33), r.Int64N(1e9)).UTC())
		}
		if some() {
			t.SecurityPolicy = &SecurityPolicy{AccessControl: AccessControl{IPWhitelist: []string{"10.0.0.0/8", "::1"}, RequireSSO: true, SessionTimeout: r.Int64N(100)}}
		}
		chosen := r.IntN(4)
		for j := range chosen {
			e := DocumentEnvironment{
				Slug: fmt.Sprintf("e%d", j), Type: EnvironmentType(pick(environmentTypes)), Status: Status(pick(environmentStatuses)), Default: ptr(j == chosen-1),
				Upstreams: upstreams(), Quotas: quotas(), Metadata: metadata(),
			}
			for d := range r.IntN(3) {
				e.Domains = append(e.Domains, fmt.Sprintf("d%d.e%d.t%d.example", d, j, i))
			}
			for u := range r.IntN(3) {
				e.Members = append(e.Members, DocumentMember{fmt.Sprintf("user|%d", u), pick(roles)})
			}
			if some() {
				e.Region = ptr("eu-west-1")
			}
			if some() {
				e.Database = &DocumentDatabase{Driver: pick(drivers), URL: ptr("libsql://db.example")}
			}
			t.Environments = append(t.Environments, e)
		}
		doc.Tenants = append(doc.Tenants, t)
	}
	return doc
}

type randomBytes struct{ r *rand.Rand }

func (b randomBytes) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b.r.Uint32())
	}
	return len(p), nil
}

// Promise: an export reads more members than fit into one answer.
func TestExportManyMembers(t *testing.T) {
	onWriters(t, func(t *testing.T, s *Store) {
		importText(t, s, `{"tenants": [{"slug": "a", "environments": [{"slug": "x", "isDefault": true}, {"slug": "y"}]}]}`)
		const members = exportMembers + 10
		run(t, s, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
 INSERT INTO sys_environment_member (environment_id, user_id, role) SELECT e.id, 'u' || n.i, 'env_user' FROM n, sys_environment e`, members)
		doc, err := ParseDocument(strings.NewReader(export(t, s)))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range doc.Tenants[0].Environments {
			if len(e.Members) != members || !slices.IsSortedFunc(e.Members, func(a, b DocumentMember) int { return strings.Compare(a.UserID, b.UserID) }) {
				t.Errorf("environment %s has %d members", e.Slug, len(e.Members))
			}
		}
	})
}

// Promise: what cannot be exported without loss is an error, and so is a writer that fails.
func TestExportErrors(t *testing.T) {
	s := migrated(t, Options{URL: "file:" + t.TempDir() + "/registry.db"})
	world(t, s)
	run(t, s, `UPDATE sys_organization SET upstreams = '["nonsense"]' WHERE slug = 'acme'`)
	if err := s.Export(t.Context(), io.Discard); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "upstreams of tenant acme cannot be exported") {
		t.Error(err)
	}
	run(t, s, `UPDATE sys_organization SET upstreams = NULL`)
	if err := s.Export(t.Context(), failingWriter{}); !errors.Is(err, io.ErrShortWrite) || errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Export(ctx, io.Discard); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// Neither leaves a transaction open.
	run(t, s, `UPDATE sys_organization SET name = 'x'`)
	if got := export(t, s); !strings.Contains(got, `"name": "x"`) {
		t.Error(got)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
