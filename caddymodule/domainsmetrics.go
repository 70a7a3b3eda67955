package caddymodule

import "github.com/prometheus/client_golang/prometheus"

var (
	metricPermissions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "tenantgate", Name: "certificate_permissions_total",
		Help: "Questions whether a certificate may be had on demand, by result: allowed, denied_unknown, denied_inactive, denied_invalid, failed.",
	}, []string{"result"})
	metricDomainChecks = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "tenantgate", Name: "domain_checks_total",
		Help: "Checks of claimed domains, by result: verified, unproved.",
	}, []string{"result"})
	metricNames = &namesCollector{prometheus.NewDesc("tenantgate_permission_names",
		"Names in memory that a certificate may be asked for, by whether they are all that the registry has.", []string{"complete"}, nil)}
)

func countDomainCheck(verified bool) {
	result := "unproved"
	if verified {
		result = "verified"
	}
	metricDomainChecks.WithLabelValues(result).Inc()
}

// namesCollector reads the sizes of the name indexes when it is asked.
type namesCollector struct{ desc *prometheus.Desc }

// Describe implements prometheus.Collector.
func (c *namesCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c *namesCollector) Collect(ch chan<- prometheus.Metric) {
	sizes := map[bool]int{}
	runtimes.Range(func(_, val any) bool {
		n, complete := val.(*runtime).names.size()
		sizes[complete] += n
		return true
	})
	for complete, label := range map[bool]string{true: "true", false: "false"} {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(sizes[complete]), label)
	}
}

// Interface guards
var _ prometheus.Collector = (*namesCollector)(nil)
