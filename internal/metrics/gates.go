// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var (
	gatesWaitingDesc = prometheus.NewDesc("slb_readiness_gates_waiting",
		"Pods whose containers are ready and whose readiness gate is closed, by the reason.",
		[]string{"namespace", "service", "reason"}, nil)
	gatesOldestDesc = prometheus.NewDesc("slb_readiness_gates_oldest_timestamp_seconds",
		"When the containers of the pod that waits longest became ready, in Unix seconds. Absent while no pod waits.",
		[]string{"namespace", "service"}, nil)
)

// EachWaiting calls visit for each Service and reason with closed readiness gates
// of pods whose containers are ready. oldest is when the first of them became ready.
type EachWaiting func(visit func(namespace, service, reason string, pods int, oldest time.Time))

// Gates is a prometheus.Collector of the readiness gates. A standby has none.
type Gates struct {
	each   EachWaiting
	opened *prometheus.CounterVec
	waited prometheus.Histogram
}

var _ prometheus.Collector = (*Gates)(nil)

// NewGates returns a Gates.
func NewGates(each EachWaiting) *Gates {
	g := &Gates{
		each: each,
		opened: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slb_readiness_gates_opened_total",
			Help: "Readiness gates that were opened since the operator started, by the reason.",
		}, []string{"reason"}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "slb_readiness_gate_seconds",
			Help:    "Time from when the containers of a pod were ready until its readiness gate was opened.",
			Buckets: []float64{1, 2.5, 5, 10, 15, 20, 30, 45, 60, 120, 300, 600, 1800},
		}),
	}
	g.opened.WithLabelValues(v1alpha1.GateHealthUnknown) // an alert needs the first increase
	return g
}

// GateOpened counts a gate that was opened, by the reason.
func (g *Gates) GateOpened(reason string) { g.opened.WithLabelValues(reason).Inc() }

// GateWaited records how long a gate was closed.
func (g *Gates) GateWaited(waited time.Duration) { g.waited.Observe(waited.Seconds()) }

// Describe implements prometheus.Collector.
func (g *Gates) Describe(ch chan<- *prometheus.Desc) {
	g.opened.Describe(ch)
	g.waited.Describe(ch)
	ch <- gatesWaitingDesc
	ch <- gatesOldestDesc
}

// Collect implements prometheus.Collector.
func (g *Gates) Collect(ch chan<- prometheus.Metric) {
	g.opened.Collect(ch)
	g.waited.Collect(ch)
	type service struct{ namespace, name string }
	oldest := map[service]time.Time{}
	g.each(func(namespace, name, reason string, pods int, since time.Time) {
		ch <- prometheus.MustNewConstMetric(gatesWaitingDesc, prometheus.GaugeValue, float64(pods), namespace, name, reason)
		if at, found := oldest[service{namespace, name}]; !found || since.Before(at) {
			oldest[service{namespace, name}] = since
		}
	})
	for s, at := range oldest {
		ch <- prometheus.MustNewConstMetric(gatesOldestDesc, prometheus.GaugeValue, float64(at.Unix()), s.namespace, s.name)
	}
}
