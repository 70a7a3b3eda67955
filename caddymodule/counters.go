package caddymodule

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// counters finds the counters of a vector by the value of its first label; the others are empty. Looking them up in the
// vector costs more than all else that counting does, and floods are counted, too. The values are few: codes, and names of
// the configuration.
type counters struct {
	vector *prometheus.CounterVec
	more   []string // values of the other labels
	known  sync.Map // from the first value to its prometheus.Counter
}

func newCounters(vector *prometheus.CounterVec, more ...string) *counters {
	return &counters{vector: vector, more: more}
}

// inc counts one for the value.
func (c *counters) inc(value string) {
	if counter, ok := c.known.Load(value); ok {
		counter.(prometheus.Counter).Inc()
		return
	}
	counter := c.vector.WithLabelValues(append([]string{value}, c.more...)...)
	c.known.Store(value, counter)
	counter.Inc()
}
