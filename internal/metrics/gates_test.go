// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/metrics"
)

func TestReadinessGates(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	waiting := true
	gates := metrics.NewGates(func(visit func(namespace, service, reason string, pods int, oldest time.Time)) {
		if waiting {
			visit("prod", "web", v1alpha1.GateNotRegistered, 3, at.Add(time.Minute))
			visit("prod", "web", v1alpha1.GateBackendAbnormal, 1, at)
			visit("test", "web", v1alpha1.GateNotRegistered, 2, at.Add(time.Hour))
		}
	})
	const waitingHelp = "Pods whose containers are ready and whose readiness gate is closed, by the reason."
	expect(t, gates, "slb_readiness_gates_waiting", waitingHelp, "gauge", `
slb_readiness_gates_waiting{namespace="prod",reason="BackendAbnormal",service="web"} 1
slb_readiness_gates_waiting{namespace="prod",reason="NotRegistered",service="web"} 3
slb_readiness_gates_waiting{namespace="test",reason="NotRegistered",service="web"} 2`)
	expect(t, gates, "slb_readiness_gates_oldest_timestamp_seconds", "When the containers of the pod that waits longest became ready, in Unix seconds. Absent while no pod waits.", "gauge", `
slb_readiness_gates_oldest_timestamp_seconds{namespace="prod",service="web"} 1.7e+09
slb_readiness_gates_oldest_timestamp_seconds{namespace="test",service="web"} 1.7000036e+09`)

	const openedHelp = "Readiness gates that were opened since the operator started, by the reason."
	expect(t, gates, "slb_readiness_gates_opened_total", openedHelp, "counter", `slb_readiness_gates_opened_total{reason="HealthUnknown"} 0`)
	gates.GateOpened(v1alpha1.GateHealthUnknown)
	gates.GateOpened(v1alpha1.GateBackendNormal)
	gates.GateOpened(v1alpha1.GateBackendNormal)
	expect(t, gates, "slb_readiness_gates_opened_total", openedHelp, "counter", `
slb_readiness_gates_opened_total{reason="BackendNormal"} 2
slb_readiness_gates_opened_total{reason="HealthUnknown"} 1`)
	waiting = false
	expect(t, gates, "slb_readiness_gates_waiting", waitingHelp, "gauge", "")
}
