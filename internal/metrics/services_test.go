// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"testing"

	"github.com/lbhealth/slb-health-operator/internal/metrics"
)

func TestServicesAreCountedByState(t *testing.T) {
	states := [][2]string{{"prod", "monitored"}, {"prod", "monitored"}, {"prod", "opted_out"}, {"test", "monitored"}}
	services := metrics.Services{Each: func(visit func(namespace, state string)) {
		for _, s := range states {
			visit(s[0], s[1])
		}
	}}
	const help = "Services by whether a LoadBalancerHealth observes their load balancer: monitored, or why not."
	expect(t, services, "slb_health_services", help, "gauge", `
slb_health_services{namespace="prod",state="monitored"} 2
slb_health_services{namespace="prod",state="opted_out"} 1
slb_health_services{namespace="test",state="monitored"} 1`)
	states = states[3:]
	expect(t, services, "slb_health_services", help, "gauge", `slb_health_services{namespace="test",state="monitored"} 1`)
	states = nil
	expect(t, services, "slb_health_services", help, "gauge", "")
}
