package e2e_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/registry"
	"github.com/tenantgate/tenantgate/test/harness"
	"github.com/tenantgate/tenantgate/test/redis"
)

// Promise: what a customer is shown of a fleet, and billed for, is what was admitted, to the request: summed over four gateways,
// of which one was reloaded and others stopped under load. Of one that is killed, what it has admitted since it last wrote is
// missing and nothing else; it writes once a second. An allowance is one for all of them, and used to the last request.
func TestFleetUsage(t *testing.T) {
	t.Parallel()
	const day = 400
	b := sqldBackend(t).direct
	d := someTenants(startUpstreams(t))
	d.Tenants[0].Quotas = map[string]int{"maxApiCallsPerMonth": 1_000_000}
	d.Tenants[1].Quotas = map[string]int{"maxApiCallsPerDay": day}
	b.load(t, d)
	db := harness.OpenSQL(t, b.url, b.token)
	list := startFleet(t, b, redis.Start(t, redis.Options{}).URL(), "timeout 5s", harness.Options{})
	stays, stopped, killed := list[0], list[1], list[3]

	// Whose rows are whose: the first are those of the gateway that will be killed.
	killed.Get(t, "acme.app.test", "/").Echo(t)
	var node string
	harness.Eventually(t, 20*time.Second, func() error {
		return db.QueryRowContext(t.Context(), "SELECT DISTINCT node FROM sys_usage").Scan(&node)
	})
	began := time.Now().UTC()
	acme := send(t, list, harness.Ask{Host: "acme.app.test"}, 240, unevenly)
	globex := send(t, list, harness.Ask{Host: "globex.app.test"}, 80, evenly)

	// A reload and a stop while requests come.
	harness.Throughout(t, time.Second, list.ended)
	if r := stays.Reload(t, harness.Options{}); r.ExitCode != 0 {
		t.Fatal(r.Output())
	}
	harness.Throughout(t, 500*time.Millisecond, list.ended)
	stopped.Stop(t)
	for _, s := range []*traffic{acme, globex} {
		s.loads[1].Stop() // who asks a gateway that has gone gets no answer, and is not counted
	}

	harness.Eventually(t, 30*time.Second, func() error {
		admitted, counted := int64(countAdmitted(globex.soFar())), recorded(t, db, globexID)
		if today := time.Now().UTC().Day() == began.Day(); today && admitted > day {
			t.Fatalf("%d were admitted of an allowance of %d", admitted, day)
		} else if today && (admitted < day || counted < day) {
			return fmt.Errorf("%d admitted and %d recorded, of %d", admitted, counted, day)
		}
		return nil
	})

	lost := killWhileItWrites(t, killed, db, node)
	for _, s := range []*traffic{acme, globex} {
		for i, l := range s.loads {
			r := l.Stop()
			if i != 1 && i != 3 && r.Failures > 0 {
				t.Errorf("gateway %d: %s", i, r)
			}
		}
	}
	saved, admitted := recordedBy(t, db, node), 1+countAdmitted(acme.asks[3])
	unsure := 0
	for _, a := range acme.asks[3] {
		if a.admitted() && a.received > lost {
			unsure++
		}
	}
	t.Logf("of %d admitted by the gateway that was killed, %d were recorded, and %d of the last were not sure to be", admitted, saved, unsure)
	// What was on its way when it was killed was counted, perhaps, and never answered.
	underWay := len(acme.asks[3]) + 1 - admitted
	if missing := admitted - saved; missing > unsure || missing < -underWay {
		t.Errorf("of %d admitted requests %d are missing, at most %d are promised", admitted, missing, unsure)
	}

	list[2].Stop(t)
	want := int64(saved)
	for _, i := range []int{0, 1, 2} {
		want += int64(countAdmitted(acme.asks[i]))
	}
	harness.Eventually(t, 20*time.Second, func() error {
		if got := shownUsage(t, stays, acmeID); got != want {
			return fmt.Errorf("the customer is shown %d, and %d were admitted", got, want)
		}
		return nil
	})
	stays.Stop(t)
	if got := recorded(t, db, acmeID); got != want {
		t.Errorf("%d recorded after all have stopped, and %d were admitted", got, want)
	}
}

func countAdmitted(asks []ask) (n int) {
	for _, a := range asks {
		if a.admitted() {
			n++
		}
	}
	return n
}

// recordedBy is what one gateway has recorded of acme as a whole.
func recordedBy(t *testing.T, db *sql.DB, node string) (sum int) {
	t.Helper()
	row := db.QueryRowContext(t.Context(), `SELECT coalesce(sum(used), 0) FROM sys_usage
 WHERE organization_id = ?1 AND environment_id = '' AND api_key_id = '' AND metric = 'requests' AND node = ?2`, acmeID, node)
	if err := row.Scan(&sum); err != nil {
		t.Fatal(err)
	}
	return sum
}

// killWhileItWrites kills a gateway half a second after it has recorded something, and returns a time (Unix, in ns) before which
// everything it had answered is recorded.
//
// A gateway reads its counters for a write only after the write before has ended. So the last write holds all that was
// answered before the last but one could be seen; and that was not yet to be seen when somebody last looked and saw less.
func killWhileItWrites(t *testing.T, g *harness.Gateway, db *sql.DB, node string) (safe int64) {
	t.Helper()
	var (
		value        = recordedBy(t, db, node)
		looked       = time.Now().UnixNano() // when the last look began that showed value
		writes       []int64                 // of each write that was seen, when the last look before it began
		deadline     = time.Now().Add(60 * time.Second)
		quick        bool
		killed, last time.Time
	)
	for killed.IsZero() || time.Since(killed) < 500*time.Millisecond {
		now := time.Now()
		if now.After(deadline) {
			t.Fatal("a gateway under load does not write once a second")
		}
		v := recordedBy(t, db, node)
		if v != value {
			writes = append(writes, looked)
			value = v
			// Between two looks at what it has written lies a second, unless the machine is busy: once must do.
			quick = quick || !last.IsZero() && time.Since(last) < 1500*time.Millisecond
			last = time.Now()
		}
		looked = now.UnixNano()
		if killed.IsZero() && quick && len(writes) >= 3 && time.Since(last) > 500*time.Millisecond {
			g.Kill()
			killed = time.Now()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return writes[len(writes)-2]
}

// shownUsage is what the admin API says that a tenant as a whole has used.
func shownUsage(t *testing.T, g *harness.Gateway, tenant string) (sum int64) {
	t.Helper()
	answer, err := harness.Send(t.Context(), g.Client, g.Admin, harness.Ask{Path: "/tenants/_usage?tenant=" + tenant})
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("%v, %d: %s", err, answer.Status, answer.Body)
	}
	var page struct{ Items []registry.UsageRow }
	if err := json.Unmarshal([]byte(answer.Body), &page); err != nil {
		t.Fatalf("%s: %v", answer.Body, err)
	}
	for _, row := range page.Items {
		if row.EnvironmentSlug == "" {
			sum += row.Used
		}
	}
	return sum
}
