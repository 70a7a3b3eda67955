package caddymodule

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var metricUsage = newUsageCollector()

// usageCollector reads, when it is asked, what the gateway has counted and not written to the registry yet: in other words
// what it would lose if it were killed now.
type usageCollector struct {
	waiting, seconds *prometheus.Desc
}

func newUsageCollector() *usageCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName("tenantgate", "usage", name), help, nil, nil)
	}
	return &usageCollector{
		waiting: desc("unwritten", "Accounts (tenants, environments, API keys) with requests that are not written to the registry yet."),
		seconds: desc("unwritten_seconds", "For how long the oldest of them has waited."),
	}
}

// Describe implements prometheus.Collector.
func (c *usageCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.waiting
	ch <- c.seconds
}

// Collect implements prometheus.Collector.
func (c *usageCollector) Collect(ch chan<- prometheus.Metric) {
	accounts, oldest := 0, time.Duration(0)
	runtimes.Range(func(_, val any) bool {
		n, age := val.(*runtime).quota.Backlog()
		accounts += n
		oldest = max(oldest, age)
		return true
	})
	ch <- prometheus.MustNewConstMetric(c.waiting, prometheus.GaugeValue, float64(accounts))
	ch <- prometheus.MustNewConstMetric(c.seconds, prometheus.GaugeValue, oldest.Seconds())
}

// Interface guards
var _ prometheus.Collector = (*usageCollector)(nil)
