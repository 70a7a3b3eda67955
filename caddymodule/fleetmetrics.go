package caddymodule

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenantgate/tenantgate/quota/fleet"
)

var metricFleet = newFleetCollector()

// fleetCollector reads the counters of all connections to Redis when it is asked. Without any there is nothing to read.
type fleetCollector struct {
	up, gateways, calls, failures, losses, limits *prometheus.Desc

	mu      sync.Mutex
	retired fleet.Stats // of connections that are gone, so that counters never fall
}

func newFleetCollector() *fleetCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName("tenantgate", "quota_redis", name), help, nil, nil)
	}
	return &fleetCollector{
		up:       desc("up", "1 while quotas are counted in Redis, 0 while they are decided without it."),
		gateways: desc("gateways", "Gateways that share the quotas, as last known."),
		calls:    desc("round_trips_total", "Questions to Redis, in the background too."),
		failures: desc("failures_total", "Questions that Redis did not answer in time, or not as it should."),
		losses:   desc("losses_total", "How often Redis was lost."),
		limits:   desc("limits", "Limits in memory."),
	}
}

// retireFleet keeps the counters of a connection that goes away.
func retireFleet(s fleet.Stats) {
	metricFleet.mu.Lock()
	defer metricFleet.mu.Unlock()
	metricFleet.retired.Calls += s.Calls
	metricFleet.retired.Failures += s.Failures
	metricFleet.retired.Losses += s.Losses
}

// Describe implements prometheus.Collector.
func (c *fleetCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.up, c.gateways, c.calls, c.failures, c.losses, c.limits} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *fleetCollector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	sum := c.retired
	c.mu.Unlock()
	open := false
	up := 1.0
	fleets.Range(func(_, val any) bool {
		s := val.(*pooledFleet).store.Stats()
		open = true
		if !s.Up {
			up = 0
		}
		sum.Calls += s.Calls
		sum.Failures += s.Failures
		sum.Losses += s.Losses
		sum.Cells += s.Cells
		sum.Nodes = max(sum.Nodes, s.Nodes)
		return true
	})
	if !open && sum.Calls == 0 {
		return
	}
	for _, counter := range []struct {
		desc  *prometheus.Desc
		value int64
	}{{c.calls, sum.Calls}, {c.failures, sum.Failures}, {c.losses, sum.Losses}} {
		ch <- prometheus.MustNewConstMetric(counter.desc, prometheus.CounterValue, float64(counter.value))
	}
	if open {
		ch <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, up)
		ch <- prometheus.MustNewConstMetric(c.gateways, prometheus.GaugeValue, float64(sum.Nodes))
		ch <- prometheus.MustNewConstMetric(c.limits, prometheus.GaugeValue, float64(sum.Cells))
	}
}

// Interface guards
var _ prometheus.Collector = (*fleetCollector)(nil)
