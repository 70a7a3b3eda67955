package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
)

// operator is who makes the changes of these tests.
var operator = Actor{ID: "ops@example.com", Kind: "user", RequestID: "r1", RemoteAddr: "192.0.2.7"}

// must ends the test on an error.
func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// newTenant creates a tenant of the slug, with the default environment production and another one, dev.
func newTenant(t testing.TB, s *Store, slug string) *Tenant {
	t.Helper()
	return must(s.CreateTenant(t.Context(), operator, NewTenant{DocumentTenant: DocumentTenant{
		Slug: slug, Environments: []DocumentEnvironment{{Slug: "production", Default: ptr(true)}, {Slug: "dev"}},
	}}))(t)
}

// lastAudit returns the newest row of the audit log, as "action subject detail".
func lastAudit(t testing.TB, s *Store) (string, *AuditEntry) {
	t.Helper()
	list, _, err := s.ListAudit(t.Context(), AuditFilter{Page: Page{Limit: 1}})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	return list[0].Action + " " + list[0].Subject + " " + string(list[0].Detail), list[0]
}

// wantRefusal checks the code of an error, and its place where that is a value of the change.
func wantRefusal(t testing.TB, what string, err error, code, field string) {
	t.Helper()
	at := ""
	var bad *FieldError
	if errors.As(err, &bad) {
		at = bad.Field
	}
	if Code(err) != code || at != field {
		t.Errorf("%s: got %q at %q (%v), want %q at %q", what, Code(err), at, err, code, field)
	}
}

// counts is how many rows tell of changes, to see whether anything was written.
func counts(t testing.TB, s *Store) string {
	t.Helper()
	return one[string](t, s, `SELECT (SELECT count(*) FROM sys_audit_log) || ' ' || (SELECT seq FROM sqlite_sequence WHERE name = 'sys_change')`)
}

// Promise: a tenant goes from creation to its end, each step with its row in the audit log and the change log.
func TestTenantLifecycle(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		tenant := must(s.CreateTenant(ctx, operator, NewTenant{DocumentTenant: DocumentTenant{Slug: "acme", Status: StatusProvisioning}}))(t)
		if tenant.Version != 1 || tenant.ID.Version() != 7 || tenant.Plan != "free" || tenant.Name != "acme" || !tenant.StatusChangedAt.IsZero() {
			t.Errorf("got %+v", tenant)
		}
		first := must(s.GetEnvironment(ctx, "acme", ""))(t)
		if !first.Default || first.Slug != "production" || first.TenantID != tenant.ID || !first.Protected() {
			t.Errorf("the default environment is %+v", first)
		}
		for _, action := range []Action{ActionActivate, ActionSuspend, ActionRestore, ActionArchive, ActionRestore, ActionArchive} {
			before := must(s.Changes(ctx, 0, 0))(t)
			next := must(s.TransitionTenant(ctx, operator, "acme", tenant.Version, Transition{Action: action, Reason: "because"}))(t)
			if next.Version != tenant.Version+1 || next.ID != tenant.ID || next.StatusReason != "because" || next.StatusChangedAt.IsZero() {
				t.Errorf("%s: got %+v after %+v", action, next, tenant)
			}
			after := must(s.Changes(ctx, before.Newest, 0))(t)
			if len(after.List) != 1 || after.List[0].Entity != "organization" || after.List[0].Tenant != tenant.ID || after.List[0].Key != "acme" {
				t.Errorf("%s: the change log has %+v", action, after.List)
			}
			want := fmt.Sprintf(`organization.%s acme {"reason":"because","before":{"status":%q},"after":{"status":%q},"version":%d}`, action, tenant.Status, next.Status, next.Version)
			got, row := lastAudit(t, s)
			if got != want || row.Actor != operator.ID || row.ActorKind != operator.Kind || row.RequestID != operator.RequestID ||
				row.RemoteAddr != operator.RemoteAddr || row.Tenant != tenant.ID || row.Environment != uuid.Nil || row.At.IsZero() {
				t.Errorf("got  %s of %+v\nwant %s", got, row, want)
			}
			tenant = next
		}
		if err := s.DestroyTenant(ctx, operator, "acme", tenant.Version, "acme"); err != nil {
			t.Fatal(err)
		}
		list, next, err := s.ListAudit(ctx, AuditFilter{Tenant: tenant.ID})
		if err != nil || next != "" || len(list) != 8 || list[0].Action != "organization.delete" || list[7].Action != "organization.create" {
			t.Errorf("got %d rows, %q, %v", len(list), next, err)
		}
		if got := one[int](t, s, `SELECT (SELECT count(*) FROM sys_organization) + (SELECT count(*) FROM sys_environment)`); got != 0 {
			t.Errorf("%d records are left", got)
		}
		sound(t, s)
	})
}

// Promise: every action leads from every status to where the state machine says, or is refused and writes nothing.
func TestStateMachine(t *testing.T) {
	t.Parallel()
	to := map[Action]map[Status]Status{
		ActionActivate:  {StatusProvisioning: StatusActive, StatusFailed: StatusActive},
		ActionFail:      {StatusProvisioning: StatusFailed, StatusDestroying: StatusFailed},
		ActionProvision: {StatusFailed: StatusProvisioning},
		ActionSuspend:   {StatusActive: StatusSuspended},
		ActionRestore:   {StatusSuspended: StatusActive, StatusArchived: StatusActive},
		ActionArchive:   {StatusActive: StatusArchived, StatusSuspended: StatusArchived, StatusFailed: StatusArchived},
		ActionDestroy:   {StatusArchived: StatusDestroying, StatusFailed: StatusDestroying},
	}
	s := migrated(t, backends()[0].open(t))
	ctx := t.Context()
	newTenant(t, s, "acme")
	for action, leads := range to {
		for _, from := range statuses {
			what := string(action) + " from " + from
			run(t, s, `UPDATE sys_organization SET status = ?1`, from)
			before := counts(t, s)
			got, err := s.TransitionTenant(ctx, operator, "acme", 0, Transition{Action: action, Force: "acme"})
			switch want, ok := leads[Status(from)]; {
			case ok && (err != nil || got.Status != want):
				t.Errorf("%s: %v", what, err)
			case !ok:
				if wantRefusal(t, what, err, CodeStateConflict, ""); counts(t, s) != before {
					t.Errorf("%s wrote something", what)
				}
				var conflict *ConflictError
				if !errors.As(err, &conflict) || !strings.Contains(err.Error(), "tenant acme is "+from) || errors.Is(err, ErrVersion) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if _, ok := action.Next(Status(from), true); ok != (leads[Status(from)] != "") {
				t.Errorf("%s: Next says %t", what, ok)
			}
			if from == string(StatusDestroying) {
				continue
			}
			run(t, s, `UPDATE sys_environment SET status = ?1 WHERE slug = 'dev'`, from)
			env, err := s.TransitionEnvironment(ctx, operator, "acme", "dev", 0, Transition{Action: action})
			switch want, ok := leads[Status(from)]; {
			case action == ActionDestroy:
				wantRefusal(t, "environment "+what, err, CodeInvalid, "action")
			case ok && (err != nil || env.Status != want):
				t.Errorf("environment %s: %v", what, err)
			case !ok:
				wantRefusal(t, "environment "+what, err, CodeStateConflict, "")
			}
		}
	}
	for what, test := range map[string]struct {
		t           Transition
		code, field string
	}{
		"no action":         {Transition{}, CodeInvalid, "action"},
		"unknown action":    {Transition{Action: "pause"}, CodeInvalid, "action"},
		"long reason":       {Transition{Action: ActionSuspend, Reason: strings.Repeat("ü", 1001)}, CodeTooLong, "reason"},
		"blank reason":      {Transition{Action: ActionSuspend, Reason: " "}, CodeInvalid, "reason"},
		"reason with a NUL": {Transition{Action: ActionSuspend, Reason: "a\x00b"}, CodeInvalid, "reason"},
		"reason in Latin-1": {Transition{Action: ActionSuspend, Reason: "\xfc"}, CodeInvalid, "reason"},
	} {
		_, err := s.TransitionTenant(ctx, operator, "acme", 0, test.t)
		wantRefusal(t, what, err, test.code, test.field)
	}
	run(t, s, `UPDATE sys_organization SET status = 'active'`)
	if got := must(s.TransitionTenant(ctx, operator, "acme", 0, Transition{Action: ActionSuspend, Reason: strings.Repeat("ü", 1000)}))(t); len(got.StatusReason) != 2000 {
		t.Errorf("the reason is %q", got.StatusReason)
	}
}

// Promise: each change of status is one more version, however fast they follow each other.
func TestTransitionsWithinOneMillisecond(t *testing.T) {
	t.Parallel()
	s := migrated(t, backends()[0].open(t))
	newTenant(t, s, "acme")
	id := one[string](t, s, `SELECT id FROM sys_organization`)
	for i := range 20 {
		status := []string{"suspended", "active"}[i%2]
		run(t, s, `UPDATE sys_organization SET status_changed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')`)
		before := one[int64](t, s, `SELECT version FROM sys_organization`)
		work := mustJSON(map[string]any{workTenantStatus: []any{[]any{id, status, nil}}})
		run(t, s, insertOperation, NewID().String(), "x", nil, nil, nil, work) // what a transition writes
		if after := one[int64](t, s, `SELECT version FROM sys_organization`); after != before+1 {
			t.Fatalf("version %d after %d", after, before)
		}
	}
}

// Promise: an update changes what it gives, says in the audit log what differs, and nothing else; one that changes
// nothing writes nothing.
func TestUpdateTenant(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		must(s.CreateTenant(ctx, operator, NewTenant{DocumentTenant: DocumentTenant{Slug: "acme", Metadata: map[string]string{"a": "<b>&"}, Quotas: &Quotas{Burst: 7}}}))(t)
		if _, _, err := s.PutPlan(ctx, operator, DocumentPlan{Name: "pro"}, 0); err != nil {
			t.Fatal(err)
		}
		got := must(s.UpdateTenant(ctx, operator, "acme", 1, TenantPatch{Name: "Acme Ö", Plan: "pro", Upstreams: []Upstream{{Pool: "blue"}}}))(t)
		if got.Version != 2 || got.Name != "Acme Ö" || got.Plan != "pro" || got.Metadata["a"] != "<b>&" || got.Quotas.Burst != 7 || len(got.Upstreams) != 1 {
			t.Errorf("got %+v", got)
		}
		text, _ := lastAudit(t, s)
		want := `organization.update acme {"before":{"name":"acme","plan":"free","upstreams":null},"after":{"name":"Acme Ö","plan":"pro","upstreams":["pool:blue"]},"version":2}`
		if text != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
		before := counts(t, s)
		if again := must(s.UpdateTenant(ctx, operator, "acme", 2, TenantPatch{Name: "Acme Ö"}))(t); again.Version != 2 || counts(t, s) != before {
			t.Errorf("nothing differs, and the version is %d", again.Version)
		}
		got = must(s.UpdateTenant(ctx, operator, "acme", 0, TenantPatch{Upstreams: []Upstream{}, Metadata: map[string]string{}, Quotas: &Quotas{}}))(t)
		if len(got.Upstreams) != 0 || got.Metadata != nil || got.Quotas != (Quotas{}) {
			t.Errorf("got %+v", got)
		}
		for what, test := range map[string]struct {
			patch       TenantPatch
			code, field string
		}{
			"capitals":     {TenantPatch{Slug: "Acme"}, CodeInvalid, "slug"},
			"long slug":    {TenantPatch{Slug: strings.Repeat("a", 64)}, CodeTooLong, "slug"},
			"unknown plan": {TenantPatch{Plan: "none"}, CodeUnknownPlan, "plan"},
			"retention":    {TenantPatch{Metadata: map[string]string{RetentionKey: "a year"}}, CodeInvalid, `metadata["` + RetentionKey + `"]`},
			"quota":        {TenantPatch{Quotas: &Quotas{Burst: -1}}, CodeInvalid, "quotas.burst"},
		} {
			before := counts(t, s)
			_, err := s.UpdateTenant(ctx, operator, "acme", 0, test.patch)
			if wantRefusal(t, what, err, test.code, test.field); counts(t, s) != before {
				t.Errorf("%s: something was written", what)
			}
		}
		_, err := s.UpdateTenant(ctx, operator, "nobody", 0, TenantPatch{Name: "x"})
		wantRefusal(t, "nobody", err, CodeNotFound, "")
		for field, actor := range map[string]Actor{
			"actor": {}, "actorKind": {ID: "x", Kind: strings.Repeat("k", 64)}, "requestId": {ID: "x", RequestID: "a\nb"}, "remoteAddr": {ID: "x", RemoteAddr: strings.Repeat("1", 64)},
		} {
			_, err := s.UpdateTenant(ctx, actor, "acme", 0, TenantPatch{Name: "x"})
			var bad *FieldError
			if !errors.As(err, &bad) || bad.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
	})
}

// Promise: what a creation refuses has its place and code, and leaves nothing behind.
func TestCreateTenantRefuses(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		importText(t, s, designDocument)
		for what, test := range map[string]struct {
			doc         DocumentTenant
			code, field string
		}{
			"slug taken":   {DocumentTenant{Slug: "acme"}, CodeDuplicate, "slug"},
			"id taken":     {DocumentTenant{Slug: "x", ID: uuid.MustParse(idAcme)}, CodeDuplicate, "id"},
			"no slug":      {DocumentTenant{}, CodeInvalid, "slug"},
			"bad slug":     {DocumentTenant{Slug: "a.b"}, CodeInvalid, "slug"},
			"unknown plan": {DocumentTenant{Slug: "x", Plan: "none"}, CodeUnknownPlan, "plan"},
			"status":       {DocumentTenant{Slug: "x", Status: StatusSuspended}, CodeInvalid, "status"},
			"domain taken": {DocumentTenant{Slug: "x", Environments: []DocumentEnvironment{{Slug: "e", Domains: []string{"app.acme.test"}}}}, CodeDuplicate, "environments[0].domains[0]"},
			"environment's id taken": {
				DocumentTenant{Slug: "x", Environments: []DocumentEnvironment{{Slug: "e"}, {Slug: "f", Default: ptr(true), ID: uuid.MustParse(idAcmeProd)}}},
				CodeDuplicate, "environments[1].id",
			},
			"slug twice": {DocumentTenant{Slug: "x", Environments: []DocumentEnvironment{{Slug: "e", Default: ptr(true)}, {Slug: "e"}}}, CodeDuplicate, "environments[1].slug"},
			"too large": {
				DocumentTenant{Slug: "x", Environments: []DocumentEnvironment{{Slug: "e", Members: manyMembers(maxMembers)}, {Slug: "f", Default: ptr(true), Members: manyMembers(maxMembers)}}},
				CodeTooLong, "",
			},
		} {
			before := counts(t, s)
			_, err := s.CreateTenant(ctx, operator, NewTenant{DocumentTenant: test.doc})
			if wantRefusal(t, what, err, test.code, test.field); counts(t, s) != before {
				t.Errorf("%s: something was written", what)
			}
		}
		// Everything at once, in one statement.
		got := must(s.CreateTenant(ctx, operator, NewTenant{DocumentTenant: DocumentTenant{Slug: "full", Environments: []DocumentEnvironment{
			{Slug: "a", Domains: []string{"a.full.test", "b.full.test"}, Members: []DocumentMember{{"u", "env_admin"}}},
			{Slug: "b", Default: ptr(true), Database: &DocumentDatabase{Driver: "sqlite"}},
		}}}))(t)
		if got := state(t, s); !strings.Contains(got, "full(a b*)") {
			t.Errorf("got %s", got)
		}
		if r := must(s.Resolve(ctx, Reference{Kind: KindHost, Key: "b.full.test"}))(t); r.Tenant.ID != got.ID || r.Environment.Slug != "a" {
			t.Errorf("got %+v", r)
		}
		if got := must(s.GetMember(ctx, "full", "a", "u"))(t); got.Role != "env_admin" {
			t.Errorf("got %+v", got)
		}
		sound(t, s)
	})
}

func manyMembers(n int) (list []DocumentMember) {
	for i := range n {
		list = append(list, DocumentMember{fmt.Sprintf("%d-%s", i, strings.Repeat("u", 180)), "env_user"})
	}
	return list
}

// Promise: of 32 writers that have read the same version one gets in, the others hear of it and of the version that
// there is; writers that name no version all get in, and none undoes another's change.
func TestConcurrentWriters(t *testing.T) {
	t.Parallel()
	const writers = 32
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		newTenant(t, s, "acme")
		var won, stale atomic.Int64
		together(writers, func(i int) {
			_, err := s.UpdateTenant(ctx, operator, "acme", 1, TenantPatch{Name: fmt.Sprintf("writer %d", i)})
			var conflict *ConflictError
			switch {
			case err == nil:
				won.Add(1)
			case errors.As(err, &conflict) && errors.Is(err, ErrVersion) && Code(err) == CodeVersionConflict && conflict.Version == 2:
				stale.Add(1)
			default:
				t.Error(err)
			}
		})
		if won.Load() != 1 || stale.Load() != writers-1 {
			t.Errorf("%d won, %d were stale", won.Load(), stale.Load())
		}
		if n := one[int](t, s, `SELECT count(*) FROM sys_audit_log WHERE action = 'organization.update'`); n != 1 {
			t.Errorf("%d rows in the audit log", n)
		}
		made := atomic.Int64{}
		together(8, func(i int) { // each takes the default over from whichever has it
			environment := DocumentEnvironment{Slug: fmt.Sprintf("e%d", i), Default: ptr(true)}
			if _, err := s.CreateEnvironment(ctx, operator, "acme", NewEnvironment{DocumentEnvironment: environment}); err != nil {
				t.Error(err)
				return
			}
			made.Add(1)
		})
		if n := one[int64](t, s, `SELECT count(*) FROM sys_environment WHERE slug GLOB 'e*'`); n != made.Load() {
			t.Errorf("%d environments, %d were acknowledged", n, made.Load())
		}
		sound(t, s)
	})
}

// together runs f n times at once and waits for all.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// Promise: a tenant is only destroyed once it is archived, and by whoever repeats its slug; its audit log stays, and
// nothing else.
func TestDestroyTenant(t *testing.T) {
	t.Parallel()
	onAll(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		importText(t, s, designDocument)
		newTenant(t, s, "other")
		tenant := must(s.GetTenant(ctx, "acme"))(t)
		must(s.CreateAPIKey(ctx, operator, "acme", "", NewAPIKey{Name: "k", KeySecret: KeySecret{Hash: hashOf("k")}}))(t)
		for _, step := range []struct {
			status  Status
			version int64
			force   string
			want    string
		}{
			{StatusActive, 0, "", CodeProtected},
			{StatusActive, 0, "acm", CodeProtected},
			{StatusActive, 0, "acme", CodeStateConflict},
			{StatusSuspended, 0, "acme", CodeStateConflict},
			{StatusArchived, 0, "", CodeProtected},
			{StatusArchived, 99, "acme", CodeVersionConflict},
			{StatusArchived, 0, "acme", ""},
			{StatusArchived, 0, "acme", CodeNotFound},
		} {
			run(t, s, `UPDATE sys_organization SET status = ?1 WHERE slug = 'acme'`, string(step.status))
			wantRefusal(t, fmt.Sprint(step), s.DestroyTenant(ctx, operator, "acme", step.version, step.force), step.want, "")
		}
		var before struct {
			Before struct{ Name, Slug, Plan string }
		}
		text, row := lastAudit(t, s)
		if err := json.Unmarshal(row.Detail, &before); err != nil || row.Action != "organization.delete" || before.Before.Slug != "acme" || before.Before.Name != tenant.Name {
			t.Errorf("got %s, %v", text, err)
		}
		if got := state(t, s); got != "other(dev production*)" {
			t.Errorf("left: %s", got)
		}
		for _, table := range []string{"sys_domain", "sys_environment_member", "sys_environment_database", "sys_api_key", "sys_organization_alias", "sys_environment_alias"} {
			if n := one[int](t, s, `SELECT count(*) FROM `+table); n != 0 {
				t.Errorf("%s has %d rows", table, n)
			}
		}
		if list, _, err := s.ListAudit(ctx, AuditFilter{Tenant: tenant.ID}); err != nil || len(list) < 2 {
			t.Errorf("%d rows, %v", len(list), err)
		}
		sound(t, s)
	})
}

// Promise: before a successful Migrate no change and no list says anything about the data.
func TestLifecycleNotMigrated(t *testing.T) {
	t.Parallel()
	s := opened(t, Options{URL: "file:" + t.TempDir() + "/registry.db"})
	callLifecycle(context.Background(), s, func(name string, call func() error) {
		if err := call(); !errors.Is(err, ErrUnavailable) || Code(err) != CodeUnavailable {
			t.Errorf("%s: %v", name, err)
		}
	})
}
