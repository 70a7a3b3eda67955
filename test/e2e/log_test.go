package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// Promise: the access log says tenant, environment and source of each request that has one, and no log holds the
// registry's token.
func TestAccessLog(t *testing.T) {
	onEachBackend(t, func(t *testing.T, b backend) {
		u := startUpstreams(t)
		b.load(t, someTenants(u))
		g := harness.Start(t, harness.Options{
			Tenants: b.directive(""),
			Global:  "debug",
			Site:    "log\n" + fmt.Sprintf(refusingSite, ""),
			Env:     b.env(),
		})
		g.Get(t, "acme--dev.app.test", "/logged")
		g.Get(t, "nobody.app.test", "/refused")

		harness.Eventually(t, 10*time.Second, func() error {
			entry, err := accessEntry(g.Log(t), "/logged")
			if err != nil {
				return err
			}
			for field, want := range map[string]string{"tenant": "acme", "environment": "dev", "tenant_source": "subdomain"} {
				if entry[field] != want {
					t.Errorf("field %s is %v, want %s", field, entry[field], want)
				}
			}
			entry, err = accessEntry(g.Log(t), "/refused")
			if err != nil {
				return err
			}
			if entry["tenant"] != nil && entry["tenant"] != "" {
				t.Errorf("an unknown tenant is logged as %v", entry["tenant"])
			}
			return nil
		})
		g.Stop(t)
		if b.token != "" && strings.Contains(g.Log(t), b.token) {
			t.Error("the log holds the registry's token")
		}
	})
}

// accessEntry finds the entry of the access log for a path.
func accessEntry(log, path string) (map[string]any, error) {
	for line := range strings.Lines(log) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil {
			continue
		}
		logger, _ := entry["logger"].(string)
		request, _ := entry["request"].(map[string]any)
		if strings.HasPrefix(logger, "http.log.access") && request["uri"] == path {
			return entry, nil
		}
	}
	return nil, errors.New("no access log entry for " + path)
}
