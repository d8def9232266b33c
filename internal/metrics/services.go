// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

var servicesDesc = prometheus.NewDesc("slb_health_services",
	"Services by whether a LoadBalancerHealth observes their load balancer: monitored, or why not.",
	[]string{"namespace", "state"}, nil)

// Services is a prometheus.Collector that counts Services by namespace and state.
type Services struct {
	// Each calls visit for every Service. A standby has none.
	Each func(visit func(namespace, state string))
}

var _ prometheus.Collector = Services{}

// Describe implements prometheus.Collector.
func (Services) Describe(ch chan<- *prometheus.Desc) { ch <- servicesDesc }

// Collect implements prometheus.Collector.
func (s Services) Collect(ch chan<- prometheus.Metric) {
	type key struct{ namespace, state string }
	counts := map[key]int{}
	s.Each(func(namespace, state string) { counts[key{namespace, state}]++ })
	for k, count := range counts {
		ch <- prometheus.MustNewConstMetric(servicesDesc, prometheus.GaugeValue, float64(count), k.namespace, k.state)
	}
}
