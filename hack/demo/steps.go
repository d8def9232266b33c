// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// A step is a change, its expected results, and the commands that show them.
type step struct {
	title, text string
	// first are commands that make it happen.
	first []string
	// changes are made in the simulator.
	changes []change
	// expected must all be seen at the same time, within timeout.
	expected []expectation
	timeout  time.Duration
	// shown are commands whose output shows it.
	shown []string
}

// A change is a call of the simulator's admin API.
type change struct {
	method, path, body string
}

func (c change) String() string { return strings.TrimRight(c.method+" "+c.path+" "+c.body, " ") }

const (
	// stepTimeout is many intervals of the object web, for slow machines.
	stepTimeout  = 45 * time.Second
	startTimeout = 90 * time.Second
)

const (
	webBackends = "/admin/v1/loadbalancers/lb-demo-web/backends"
	faults      = "/admin/v1/faults"

	getAll        = "kubectl get lbh"
	getWide       = "kubectl get lbh web -o wide"
	getEvents     = "kubectl events --for lbh/web"
	waitReady     = "kubectl wait --for=condition=Ready lbh/web --timeout=60s"
	getRows       = `kubectl get lbh web -o jsonpath='{range .status.backends[*]}{.serverId} {.serverHealthStatus} since {.lastTransitionTime}{"\n"}{end}'`
	getConditions = `kubectl get lbh web -o jsonpath='{range .status.conditions[*]}{.type} {.status} {.reason}{"\n"}{end}'`
	// describe omits the spec, and the rows, which getRows shows.
	describe = `kubectl describe lbh web | sed -n '/^  Conditions:/,/^  Last Observed/p; /^Events:/,$p'`
)

func setHealth(backend, status string) change {
	return change{http.MethodPatch, webBackends, `{"serverId":"` + backend + `","serverHealthStatus":"` + status + `"}`}
}

func steps() []step {
	return slices.Concat([]step{healthy()}, incident(), throttling(), missing())
}

// The objects of config/samples.
const (
	web     = object("web")
	api     = object("api")
	partner = object("partner")
)

func healthy() step {
	return step{
		title: "Healthy",
		text: "The operator observes three load balancers: web every 5 s, Ready while half of its backends are healthy;\n" +
			"api with the defaults; partner with another account's access key.",
		first: []string{"kubectl apply -k config/samples", waitReady},
		expected: []expectation{
			web.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAllBackendsNormal),
			api.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAllBackendsNormal),
			partner.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAllBackendsNormal),
		},
		timeout: startTimeout,
		shown:   []string{getAll},
	}
}

func incident() []step {
	return []step{
		{
			title:   "One backend fails",
			text:    "The health check of i-web-1 fails. Three of four are more than half: web stays Ready, with the reason MinHealthyMet.",
			changes: []change{setHealth("i-web-1", v1alpha1.StatusAbnormal)},
			expected: []expectation{
				web.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonMinHealthyMet),
				web.counts(3, 1),
				web.steadilyReady(),
				web.event(v1alpha1.EventBackendAbnormal, "i-web-1"),
			},
			timeout: stepTimeout,
			shown:   []string{getWide, getRows, getEvents},
		},
		{
			title: "Below the minimum",
			text:  "Two more fail. One of four is less than half: web is not Ready.",
			changes: []change{
				setHealth("i-web-2", v1alpha1.StatusAbnormal),
				setHealth("i-web-3", v1alpha1.StatusAbnormal),
			},
			expected: []expectation{
				web.condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonBelowMinHealthy),
				web.counts(1, 3),
				web.event(v1alpha1.EventBackendAbnormal, "i-web-2", "i-web-3"),
				web.event(v1alpha1.EventLoadBalancerUnhealthy, v1alpha1.ReasonBelowMinHealthy),
			},
			timeout: stepTimeout,
			shown:   []string{getAll, describe},
		},
		{
			title:   "Recovery",
			text:    "All health checks pass again.",
			changes: []change{{http.MethodPatch, webBackends, `{"serverHealthStatus":"normal"}`}},
			expected: []expectation{
				web.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAllBackendsNormal),
				web.counts(4, 0),
				web.event(v1alpha1.EventBackendNormal, "i-web-1", "i-web-2", "i-web-3"),
				web.event(v1alpha1.EventLoadBalancerHealthy, v1alpha1.ReasonAllBackendsNormal),
			},
			timeout: stepTimeout,
			shown:   []string{waitReady, getAll},
		},
	}
}

func throttling() []step {
	return []step{
		{
			title: "Throttling",
			text: "The API throttles the calls of the operator's account. The backends may still be healthy: web keeps its last\n" +
				"verdict, and Observed names the cause. After 90 s without a success the verdict would become Unknown.",
			changes: []change{{http.MethodPut, faults, `{"faults":[{"kind":"throttle","accessKeyId":"` + accessKeyID + `"}]}`}},
			expected: []expectation{
				web.condition(v1alpha1.ConditionObserved, metav1.ConditionFalse, v1alpha1.ReasonThrottled),
				web.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAllBackendsNormal),
				web.steadilyReady(),
				web.event(v1alpha1.EventObservationFailed, v1alpha1.ReasonThrottled),
			},
			timeout: stepTimeout,
			shown:   []string{getWide, getConditions},
		},
		{
			title:   "Throttling ends",
			text:    "The next call succeeds.",
			changes: []change{{method: http.MethodDelete, path: faults}},
			expected: []expectation{
				web.condition(v1alpha1.ConditionObserved, metav1.ConditionTrue, v1alpha1.ReasonObservationSucceeded),
				web.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAllBackendsNormal),
				web.steadilyReady(),
				web.event(v1alpha1.EventObservationRecovered, v1alpha1.ReasonThrottled),
			},
			timeout: stepTimeout,
			shown:   []string{getAll, getEvents},
		},
	}
}
