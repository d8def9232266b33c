// SPDX-License-Identifier: Apache-2.0

package health

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// A caller may pass the lists of a stored status without cloning them.
func TestRulesDoNotMutateTheirArguments(t *testing.T) {
	now := metav1.NewTime(start.Add(time.Hour))
	observation := &alicloud.Observation{Backends: shuffled(backends("80/tcp na", "443/https nau"), 2)}
	rows := rowsOf(observation, alicloud.Scope{})
	previous := shuffled(rowsOf(&alicloud.Observation{Backends: backends("443/https an-n")}, alicloud.Scope{}), 2)
	locations := Locations{"i-0": {Node: "node-0", NodeNotReady: true}, "i-1": {Missing: true}}
	listeners := []v1alpha1.ListenerStatus{
		{Port: 80, Protocol: "tcp", Health: v1alpha1.Healthy, MissingSince: new(metav1.NewTime(start))},
		{Port: 443, Protocol: "https", Health: v1alpha1.Healthy, Counts: v1alpha1.Counts{Backends: 1, Abnormal: 1}},
		{Port: 8080, Protocol: "tcp", Health: v1alpha1.Healthy, Counts: v1alpha1.Counts{Backends: 1, Normal: 1}},
	}
	observed := listenersOf(rows)
	facts := &listenerFacts{listed: []alicloud.Listener{{Port: 443, Protocol: "https", Status: statusStopped}}}
	p := policyOf(&v1alpha1.LoadBalancerHealthSpec{})
	changed := make([]v1alpha1.HealthChange, 3, 9) // withChange must not use its room
	for name, call := range map[string]func() (differs bool){
		"stampedRows": func() bool {
			return len(stampedRows(observation, alicloud.Scope{}, sortedRows(previous), omittedRows{}, now)) > 0
		},
		"sortedRows": func() bool { return !sameRows(sortedRows(previous), previous) },
		"locateRows": func() bool {
			return !sameRows(locateRows(rows, &surroundings{locations: locations, listeners: listeners, now: now.Time}), rows)
		},
		"backendTransitions": func() bool {
			return len(backendTransitions(rows, sortedRows(previous), omittedRows{}, &surroundings{locations: locations})) > 0
		},
		"bounded": func() bool { _, omitted := bounded(rows, 2); return omitted > 0 },
		"mergeListeners": func() bool {
			return mergeListeners(observed, listeners, facts, p, now)[1].State == v1alpha1.ListenerStopped
		},
		"evaluateListeners": func() bool {
			return evaluateListeners(listeners, listeners, facts, p, now)[1].Health == v1alpha1.Unhealthy
		},
		"compare": func() bool {
			compared := append([]v1alpha1.ListenerStatus{}, observed...) // which it changes
			c := comparison{expected: expecting("443/https nnnnn"), at: now.Time, missingBefore: true}
			c.compare(compared, rows, &listenerFacts{})
			return c.missing > 0
		},
		"withChange": func() bool { return len(withChange(changed, condition{}, now)) > len(changed) },
		"acceptListeners": func() bool {
			kept, _ := acceptListeners(listeners, start.Format(time.RFC3339), now.Time)
			return len(kept) < len(listeners)
		},
	} {
		t.Run(name, func(t *testing.T) {
			arguments := func() v1alpha1.LoadBalancerHealthStatus {
				status := v1alpha1.LoadBalancerHealthStatus{Backends: append(append([]v1alpha1.BackendStatus{}, rows...), previous...), Listeners: append(append([]v1alpha1.ListenerStatus{}, listeners...), observed...), History: changed[:4]}
				return *status.DeepCopy()
			}
			before := arguments()
			if !call() {
				t.Error("the result does not differ from the arguments, so this case tests nothing")
			}
			if diff := cmp.Diff(before, arguments()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
