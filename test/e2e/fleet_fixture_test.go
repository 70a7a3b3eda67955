package e2e_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenantgate/tenantgate/test/harness"
)

// fleetSize is how many gateways there are in these tests.
const fleetSize = 4

// gateways are those of one fleet.
type gateways []*harness.Gateway

// startFleet starts gateways that share a registry and a Redis, all at once, and waits until they know of each other. quota
// stands in the block of the option of that name.
func startFleet(t *testing.T, b backend, url, quota string, o harness.Options) gateways {
	t.Helper()
	o.Tenants = b.directive("") + fmt.Sprintf("quota %s {\n%s\n}\n", url, quota)
	o.Env = append(b.env(), o.Env...)
	if o.Site == "" {
		o.Site = fmt.Sprintf(refusingSite, "")
	}
	list := make(gateways, fleetSize)
	var starting sync.WaitGroup
	for i := range list {
		starting.Go(func() { list[i] = harness.Start(t, o) })
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow() // one of them has not started
	}
	list.share(t)
	return list
}

// share waits until all gateways use Redis and know of each other.
func (list gateways) share(t *testing.T) {
	t.Helper()
	list.await(t, "tenantgate_quota_redis_up", 1)
	list.await(t, "tenantgate_quota_redis_gateways", float64(len(list)))
}

// await waits until a metric has the value on each gateway.
func (list gateways) await(t *testing.T, metric string, want float64) {
	t.Helper()
	for i, g := range list {
		harness.Eventually(t, 20*time.Second, func() error {
			if got := metricOf(t, g, metric); got != want {
				return fmt.Errorf("%s of gateway %d is %v, want %v", metric, i, got, want)
			}
			return nil
		})
	}
}

// sum adds up a metric over all gateways.
func (list gateways) sum(t *testing.T, metric string) (total float64) {
	t.Helper()
	for _, g := range list {
		total += metricOf(t, g, metric)
	}
	return total
}

// ended returns an error when one of them is not running any more.
func (list gateways) ended() error {
	errs := make([]error, len(list))
	for i, g := range list {
		errs[i] = g.Ended()
	}
	return errors.Join(errs...)
}

// stop ends all of them at once, as their stops wait for each other's Redis no longer than for their own.
func (list gateways) stop(t *testing.T) {
	t.Helper()
	var stopping sync.WaitGroup
	for _, g := range list {
		stopping.Go(func() { g.Stop(t) })
	}
	stopping.Wait()
}

// metricOf reads a metric without labels from the admin endpoint; -1 when it is not there.
func metricOf(t *testing.T, g *harness.Gateway, name string) float64 {
	t.Helper()
	answer, err := harness.Send(t.Context(), g.Client, g.Admin, harness.Ask{Path: "/metrics"})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(answer.Body) {
		var v float64
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &v); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return v
		}
	}
	return -1
}
