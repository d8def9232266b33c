// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

var options = health.Options{MaxBackends: 500, Heartbeat: 5 * time.Minute}

// observe evaluates an observation of two backends of listener 443/https, and stores the status as the operator does.
func observe(object *v1alpha1.LoadBalancerHealth, at time.Time, first, second string) health.Outcome {
	row := func(id, status string) alicloud.Backend {
		return alicloud.Backend{ServerID: id, ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: status}
	}
	outcome := health.Evaluate(object, health.Input{Observation: &alicloud.Observation{
		At: at, Backends: []alicloud.Backend{row("i-1", first), row("i-2", second)},
	}}, at, options)
	object.Status = outcome.Status
	return outcome
}

func newObject() *v1alpha1.LoadBalancerHealth {
	object := &v1alpha1.LoadBalancerHealth{Spec: v1alpha1.LoadBalancerHealthSpec{
		LoadBalancerID: "lb-web", RegionID: "cn-hangzhou",
		HealthPolicy: &v1alpha1.HealthPolicy{MinHealthy: new(intstr.FromString("100%"))},
	}}
	object.Namespace, object.Name, object.Generation = "prod", "web", 1
	return object
}

func printReady(object *v1alpha1.LoadBalancerHealth) {
	ready := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionReady)
	fmt.Printf("Ready is %s (%s): %s\n", ready.Status, ready.Reason, ready.Message)
}

// The next status follows from the previous one, the observation and the time.
func ExampleEvaluate() {
	object, now := newObject(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	observe(object, now, "normal", "normal")
	printReady(object)

	outcome := observe(object, now.Add(30*time.Second), "normal", "abnormal")
	printReady(object)
	for _, transition := range outcome.Transitions.Backends {
		fmt.Printf("%s: from %s to %s\n", transition.Backend.ServerID, transition.From, transition.To)
	}
	// Output:
	// Ready is True (AllBackendsNormal): 2 of 2 backends are normal
	// Ready is False (BelowMinHealthy): listener 443/https has 1 normal of 2 backends, needs 2 healthy
	// i-2: from normal to abnormal
}

// A failure keeps the counts that are known, and the verdict until they are stale.
func ExampleEvaluate_failure() {
	object, now := newObject(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	observe(object, now, "normal", "normal")

	failure := health.Input{Failure: &alicloud.Error{Kind: alicloud.Throttled, Message: "the API throttles"}}
	for _, later := range []time.Duration{30 * time.Second, 10 * time.Minute} {
		outcome := health.Evaluate(object, failure, now.Add(later), options)
		healthy := meta.FindStatusCondition(outcome.Status.Conditions, v1alpha1.ConditionHealthy)
		fmt.Printf("after %s, Healthy is %s (%s)\n", later, healthy.Status, healthy.Reason)
	}
	// Output:
	// after 30s, Healthy is True (AllBackendsNormal)
	// after 10m0s, Healthy is Unknown (ObservationStale)
}
