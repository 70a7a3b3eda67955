package registry

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// churnURL and churnSeed tell the child process of TestLifecycleCrash what to change, and by which chance.
const churnURL, churnSeed = "TENANTGATE_TEST_CHURN_URL", "TENANTGATE_TEST_CHURN_SEED"

// churn makes changes without end, and writes the number of each one on a line as soon as it is acknowledged.
func churn(url, seed string) int {
	n, _ := strconv.ParseUint(seed, 10, 64)
	s, err := Open(Options{URL: url, Timeout: 30 * time.Second})
	if err == nil {
		err = s.Migrate(context.Background())
	}
	for c := (churner{s: s, r: rand.New(rand.NewPCG(n, 0))}); err == nil; c.n++ {
		actor := Actor{ID: "churn", RequestID: fmt.Sprintf("%s-%d", seed, c.n)}
		if err = c.change(context.Background(), actor); Code(err) != "" && Code(err) != CodeUnavailable {
			err = nil // refused: as good as any other outcome
			continue
		}
		if err == nil {
			fmt.Println(actor.RequestID)
		}
	}
	fmt.Println("failed:", err)
	return 1
}

// churner makes changes by chance in a small world, so that they meet each other.
type churner struct {
	s *Store
	r *rand.Rand
	n int
}

// errNothing says that a change was none.
var errNothing = &ConflictError{Code: CodeStateConflict, Message: "nothing to do"}

func (c *churner) change(ctx context.Context, actor Actor) error {
	pick := func(list ...string) string { return list[c.r.IntN(len(list))] }
	tenant, env, user := pick("a", "b", "c", "d"), pick("", "production", "dev", "qa"), pick("u", "v")
	unique := fmt.Sprintf("%s %d", actor.RequestID, c.n)
	switch c.r.IntN(16) {
	case 0, 1:
		_, err := c.s.CreateTenant(ctx, actor, NewTenant{DocumentTenant: DocumentTenant{Slug: tenant, Environments: []DocumentEnvironment{
			{Slug: "production", Default: ptr(true), Domains: []string{tenant + ".test"}}, {Slug: "dev", Members: []DocumentMember{{"u", "env_user"}}, Database: &DocumentDatabase{Driver: "sqlite"}},
		}}})
		return err
	case 2:
		_, err := c.s.UpdateTenant(ctx, actor, tenant, 0, TenantPatch{Name: unique, Metadata: map[string]string{"n": unique}})
		return err
	case 3:
		_, err := c.s.UpdateTenant(ctx, actor, tenant, 0, TenantPatch{Slug: pick("a", "b", "c", "d", "e"), Name: unique, Alias: KeepAlias{Keep: c.r.IntN(2) == 0}})
		return err
	case 4, 5:
		_, err := c.s.TransitionTenant(ctx, actor, tenant, 0, Transition{Action: transitions[c.r.IntN(len(transitions))].action, Force: tenant, Reason: unique})
		return err
	case 6:
		return c.s.DestroyTenant(ctx, actor, tenant, 0, tenant)
	case 7, 8:
		_, err := c.s.CreateEnvironment(ctx, actor, tenant, NewEnvironment{DocumentEnvironment: DocumentEnvironment{Slug: pick("qa", "dev"), Default: ptr(c.r.IntN(3) == 0)}})
		return err
	case 9:
		_, err := c.s.UpdateEnvironment(ctx, actor, tenant, env, 0, EnvironmentPatch{Name: unique, Database: &DocumentDatabase{Driver: "sqlite", Region: &unique}})
		if Code(err) == CodeInvalid { // regions have no spaces
			_, err = c.s.UpdateEnvironment(ctx, actor, tenant, env, 0, EnvironmentPatch{Name: unique})
		}
		return err
	case 10:
		e, err := c.s.GetEnvironment(ctx, tenant, env)
		if err == nil && e.Default {
			return errNothing
		}
		if err == nil {
			_, err = c.s.MakeDefault(ctx, actor, tenant, env, e.Version)
		}
		return err
	case 11:
		_, err := c.s.TransitionEnvironment(ctx, actor, tenant, env, 0, Transition{Action: Action(pick("suspend", "restore", "archive")), Force: env, Reason: unique})
		return err
	case 12:
		return c.s.DestroyEnvironment(ctx, actor, tenant, env, 0, env)
	case 13:
		if _, err := c.s.AddMember(ctx, actor, tenant, env, NewMember{UserID: user, Role: pick(roles...)}); Code(err) != CodeDuplicate {
			return err
		}
		return c.s.RemoveMember(ctx, actor, tenant, env, user, 0)
	case 14:
		_, err := c.s.CreateAPIKey(ctx, actor, tenant, env, NewAPIKey{Name: unique, KeySecret: KeySecret{Hash: hashOf(unique)}})
		return err
	}
	_, _, err := c.s.PutPlan(ctx, actor, DocumentPlan{Name: pick("p", "q"), Quotas: &Quotas{Burst: 1 + c.r.Int64N(MaxQuota)}}, 0)
	return err
}

// told fails the test unless the audit log tells of every record exactly what it is now: which there are, and which
// version each has. That holds where all writers are changes of this package.
func told(t testing.TB, s *Store) {
	t.Helper()
	for what, query := range map[string]string{
		"tenants": `SELECT t.slug || ' has version ' || t.version || ', told is ' || coalesce(a.told, 'nothing') FROM sys_organization t
 LEFT JOIN (SELECT organization_id AS id, detail->>'$.version' AS told, max(seq) FROM sys_audit_log WHERE action LIKE 'organization.%' GROUP BY 1) a ON a.id = t.id WHERE a.told IS NOT t.version`,
		// A tenant's first environments come with it.
		"environments": `SELECT t.slug || ' has version ' || t.version || ', told is ' || coalesce(a.told, 'nothing') FROM sys_environment t
 LEFT JOIN (SELECT environment_id AS id, detail->>'$.version' AS told, max(seq) FROM sys_audit_log WHERE action LIKE 'environment.%' GROUP BY 1) a ON a.id = t.id WHERE coalesce(a.told, 1) <> t.version`,
		"plans": `SELECT t.name || ' has version ' || t.version FROM sys_plan t
 LEFT JOIN (SELECT subject AS id, detail->>'$.version' AS told, max(seq) FROM sys_audit_log WHERE action LIKE 'plan.%' GROUP BY 1) a ON a.id = t.name WHERE a.told IS NOT t.version`,
		"keys": `SELECT t.id FROM sys_api_key t LEFT JOIN sys_audit_log a ON a.subject = t.id AND a.action = 'api_key.create' WHERE a.seq IS NULL`,
		"members": `SELECT m.user_id || ' ' || m.role FROM sys_environment_member m JOIN sys_audit_log a ON a.seq =
 (SELECT max(seq) FROM sys_audit_log WHERE environment_id = m.environment_id AND subject = m.user_id AND action LIKE 'member.%') WHERE a.action = 'member.remove'`,
		"tenants that are told to be there": `SELECT a.subject FROM (SELECT organization_id AS id, action, subject, max(seq) FROM sys_audit_log WHERE action LIKE 'organization.%' GROUP BY 1) a
 LEFT JOIN sys_organization t ON t.id = a.id WHERE (a.action = 'organization.delete') <> (t.id IS NULL)`,
		// What the audit log tells was worth at least one row of the change log each, and nobody has trimmed it.
		"tenants in the change log": `SELECT t.slug FROM sys_organization t WHERE t.slug NOT IN (SELECT lookup_key FROM sys_change c WHERE c.organization_id = t.id AND c.entity = 'organization')`,
		"changes":                   `SELECT 'audit ' || a.n || ', change log ' || c.n FROM (SELECT count(*) AS n FROM sys_audit_log) a, (SELECT count(*) AS n FROM sys_change) c WHERE c.n < a.n`,
	} {
		for _, line := range allText(t, s, query) {
			t.Errorf("%s: %s", what, line)
		}
	}
}

// Promise: processes that are killed at random points of a thousand changes leave a registry in which every invariant
// holds, every change has its row in the audit log, and everything that was acknowledged is there.
func TestLifecycleCrash(t *testing.T) {
	url := "file:" + t.TempDir() + "/registry.db"
	s := migrated(t, Options{URL: url})
	begin, rounds, seen := time.Now(), 0, map[string]bool{}
	chance := rand.New(rand.NewPCG(7, 7))
	for ; len(seen) < 1000 && time.Since(begin) < 10*time.Second; rounds++ {
		acknowledged := make(chan []string)
		writers := 2 // in each other's way
		for i := range writers {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), churnURL+"="+url, churnSeed+"="+strconv.Itoa(rounds*writers+i+1))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines, more := 5+chance.IntN(30), time.Duration(chance.IntN(3000))*time.Microsecond
			go func() {
				var list []string
				scan := bufio.NewScanner(out)
				for scan.Scan() {
					if list = append(list, scan.Text()); len(list) == lines {
						time.AfterFunc(more, func() { _ = cmd.Process.Kill() }) // somewhere in what comes next
					}
				}
				_ = cmd.Wait()
				acknowledged <- list
			}()
		}
		for range writers {
			list := <-acknowledged
			for _, id := range list {
				if strings.HasPrefix(id, "failed") {
					t.Fatal(id)
				}
				seen[id] = true
			}
		}
		sound(t, s)
		told(t, s)
		if t.Failed() {
			t.FailNow()
		}
	}
	for _, id := range allText(t, s, `SELECT DISTINCT request_id FROM sys_audit_log`) {
		delete(seen, id)
	}
	if len(seen) > 0 {
		t.Errorf("%d changes were acknowledged and are not there", len(seen))
	}
	n := one[int](t, s, `SELECT count(DISTINCT request_id) FROM sys_audit_log`) // a thousand, or what 10 s are enough for
	if n == 0 {
		t.Error("nothing was changed")
	}
	t.Logf("%d changes, %d processes killed, %s", n, 2*rounds, time.Since(begin))
}
