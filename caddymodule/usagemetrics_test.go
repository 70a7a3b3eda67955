package caddymodule

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// gauges returns what a collector has to tell.
func gauges(t *testing.T, c prometheus.Collector) (values []float64) {
	t.Helper()
	ch := make(chan prometheus.Metric, 16)
	c.Collect(ch)
	close(ch)
	for m := range ch {
		var d dto.Metric
		if err := m.Write(&d); err != nil {
			t.Fatal(err)
		}
		values = append(values, d.GetGauge().GetValue())
	}
	return values
}

// TestUsageMetrics keeps the promise that metrics tell how many accounts are not written to the registry yet, and for how long:
// those of a tenant and its environment while the registry cannot be written to, and none when it can.
func TestUsageMetrics(t *testing.T) {
	s := newServer(t)
	document := `{"tenants": [{"id": "0190a000-0000-7000-8000-000000000001", "slug": "acme", "name": "Acme", "plan": "free"}]}`
	config := s.config(fmt.Sprintf("registry file:%s {\nimport_file %s\n}", s.dir+"/tenants.db", s.file("tenants.json", document)),
		"tenant {\nidentify subdomain {tenant}.app.test\n}\nrespond ok")
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	s.get("acme.app.test", "/")
	eventually(t, "all is written", func() bool { return fmt.Sprint(gauges(t, metricUsage)) == "[0 0]" })

	db, err := sql.Open("sqlite", "file:"+s.dir+"/tenants.db?_txlock=immediate&_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // nothing was written
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.get("acme.app.test", "/")
	eventually(t, "two accounts wait", func() bool {
		v := gauges(t, metricUsage)
		return v[0] == 2 && v[1] > 1
	})
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is written", func() bool { return fmt.Sprint(gauges(t, metricUsage)) == "[0 0]" })
	var used int
	if err := db.QueryRowContext(t.Context(), `SELECT sum(used) FROM sys_usage WHERE environment_id = ''`).Scan(&used); err != nil || used != 2 {
		t.Errorf("%d requests are recorded, not 2 (%v)", used, err)
	}
}
