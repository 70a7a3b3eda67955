package caddymodule

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenantgate/tenantgate/cache"
	"github.com/tenantgate/tenantgate/quota"
	"github.com/tenantgate/tenantgate/router"
)

// The metrics live as long as the process and are registered anew with each configuration, so that a reload loses no
// count. No label says which tenant: their number has no bound.
var (
	metricDecisions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "tenantgate", Name: "decisions_total",
		Help: "Requests by outcome (admitted, exempt, or the code of the refusal) and by the source that named the tenant of admitted ones.",
	}, []string{"outcome", "source"})
	metricQuotaRefusals = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "tenantgate", Name: "quota_refusals_total",
		Help: "Requests refused because a limit was used up, by the limit that refused.",
	}, []string{"policy"})
	metricStreamsOpen = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "tenantgate", Name: "streams_open",
		Help: "WebSockets and other upgraded connections, responses that were flushed, and long transfers, in progress.",
	})
	metricStreamsClosed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "tenantgate", Name: "streams_closed_total",
		Help: "Streams that the gateway has closed, by the code of the refusal that a new request would get, or going_away.",
	}, []string{"code"})
	metricQuotaShadows = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "tenantgate", Name: "quota_shadow_exceeded_total",
		Help: "Requests that a shadow limit would have refused, by the limit.",
	}, []string{"policy"})
	metricCache = newCacheCollector()
)

// The outcomes beside the codes of refusals.
const (
	outcomeAdmitted = "admitted"
	outcomeExempt   = "exempt"
)

// registerMetrics adds the metrics to the registry of a configuration.
func registerMetrics(reg *prometheus.Registry) error {
	for _, c := range []prometheus.Collector{
		metricDecisions, metricQuotaRefusals, metricQuotaShadows, metricStreamsOpen, metricStreamsClosed, metricCache, metricPermissions,
		metricDomainChecks, metricNames, metricFleet, metricUsage,
	} {
		var already prometheus.AlreadyRegisteredError
		if err := reg.Register(c); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}

// outcomes are the counters of one handler, looked up once.
type outcomes struct {
	exempt   prometheus.Counter
	admitted []admissions
}

// admissions counts what was admitted because of one source.
type admissions struct {
	source string
	count  prometheus.Counter
}

func newOutcomes(sources []router.Source) *outcomes {
	o := &outcomes{exempt: metricDecisions.WithLabelValues(outcomeExempt, "")}
	for _, s := range sources {
		o.admitted = append(o.admitted, admissions{s.Name(), metricDecisions.WithLabelValues(outcomeAdmitted, s.Name())})
	}
	return o
}

func (o *outcomes) admit(source string) {
	for i := range o.admitted {
		if o.admitted[i].source == source {
			o.admitted[i].count.Inc()
			return
		}
	}
}

// The counters of what is refused.
var (
	countRefusals    = newCounters(metricDecisions, "")
	countOverQuota   = newCounters(metricQuotaRefusals)
	countOverShadows = newCounters(metricQuotaShadows)
)

func (*outcomes) refuse(code string) { countRefusals.inc(code) }

// countQuotaRefusals counts the limits that refused a request.
func countQuotaRefusals(limits []quota.Limit, statuses []quota.Status) {
	for i := range limits {
		if statuses[i].Exceeded && !limits[i].Shadow {
			countOverQuota.inc(limits[i].Name)
		}
	}
}

// countQuotaShadows counts the shadow limits that would have refused a request.
func countQuotaShadows(limits []quota.Limit, statuses []quota.Status) {
	for i := range limits {
		if statuses[i].Exceeded && limits[i].Shadow {
			countOverShadows.inc(limits[i].Name)
		}
	}
}

// cacheCollector reads the counters of all caches when it is asked.
type cacheCollector struct {
	lookups, loads, loadErrors, evictions, invalidations, entries *prometheus.Desc

	mu      sync.Mutex
	retired cache.Stats // of runtimes that are gone, so that counters never fall
}

func newCacheCollector() *cacheCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName("tenantgate", "cache", name), help, labels, nil)
	}
	return &cacheCollector{
		lookups:       desc("lookups_total", "Lookups in the cache, by result: hit, stale, negative, miss.", "result"),
		loads:         desc("loads_total", "Questions to the registry for one tenant, refreshes included."),
		loadErrors:    desc("load_errors_total", "Questions that the registry could not answer."),
		evictions:     desc("evictions_total", "Entries that gave way to others."),
		invalidations: desc("invalidations_total", "Entries dropped because the registry has changed."),
		entries:       desc("entries", "Entries in memory, by kind: resolved, negative.", "kind"),
	}
}

// retireStats keeps the counters of a cache that goes away.
func retireStats(s cache.Stats) {
	metricCache.mu.Lock()
	defer metricCache.mu.Unlock()
	addStats(&metricCache.retired, &s)
	metricCache.retired.Entries, metricCache.retired.NegativeEntries = 0, 0
}

func addStats(sum, s *cache.Stats) {
	sum.Hits += s.Hits
	sum.StaleHits += s.StaleHits
	sum.NegativeHits += s.NegativeHits
	sum.Misses += s.Misses
	sum.Loads += s.Loads
	sum.LoadErrors += s.LoadErrors
	sum.Evictions += s.Evictions
	sum.Invalidations += s.Invalidations
	sum.Entries += s.Entries
	sum.NegativeEntries += s.NegativeEntries
}

// Describe implements prometheus.Collector.
func (c *cacheCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.lookups, c.loads, c.loadErrors, c.evictions, c.invalidations, c.entries} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *cacheCollector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	sum := c.retired
	c.mu.Unlock()
	runtimes.Range(func(_, val any) bool {
		s := val.(*runtime).cache.Stats()
		addStats(&sum, &s)
		return true
	})
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	counter(c.lookups, sum.Hits, "hit")
	counter(c.lookups, sum.StaleHits, "stale")
	counter(c.lookups, sum.NegativeHits, "negative")
	counter(c.lookups, sum.Misses, "miss")
	counter(c.loads, sum.Loads)
	counter(c.loadErrors, sum.LoadErrors)
	counter(c.evictions, sum.Evictions)
	counter(c.invalidations, sum.Invalidations)
	ch <- prometheus.MustNewConstMetric(c.entries, prometheus.GaugeValue, float64(sum.Entries), "resolved")
	ch <- prometheus.MustNewConstMetric(c.entries, prometheus.GaugeValue, float64(sum.NegativeEntries), "negative")
}

// Interface guards
var _ prometheus.Collector = (*cacheCollector)(nil)
