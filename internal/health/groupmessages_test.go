// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// message is that of a condition.
func (env *groupsEnv) message(conditionType string) string {
	return find(env.object.Status.Conditions, conditionType).message
}

// Messages of CLB are those of TestMessageOfAVerdictHasTheCountsAndTheMinimum.
func TestMessagesOfServerGroups(t *testing.T) {
	const (
		albFailsOpen = "; while all backends of a server group fail, an ALB still sends requests to all of them"
		nlbFailsOpen = "; while all backends of a server group fail, an NLB still sends requests to all of them"
	)
	type edits = []func(*v1alpha1.LoadBalancerHealthSpec)
	for name, test := range map[string]struct {
		edits     edits
		listeners []string
		want      string
	}{
		"several groups of one listener": {
			nil, []string{"443/https sgp-1 running on n n", "443/https sgp-2 running on n"},
			"3 of 3 backends are normal, in 2 server groups of 1 listener",
		},
		"several groups of two listeners": {
			nil, []string{"80/http sgp-1 running on n", "443/https sgp-1 running on n", "443/https sgp-2 running on n"},
			"3 of 3 backends are normal, in 3 server groups of 2 listeners",
		},
		"one group of each listener": {
			edits{named("nlb-web")}, []string{"80/tcp sgp-1 running on n", "443/tcpssl sgp-2 running on n"},
			"2 of 2 backends are normal, on 2 listeners",
		},
		"several groups beside a listener that is stopped": {
			nil, []string{"80/http - stopped on", "443/https sgp-1 running on n", "443/https sgp-2 running on n"},
			"2 of 2 backends are normal, in 2 server groups of 1 listener",
		},
		"one group of one listener": {nil, []string{"443/https sgp-1 running on n"}, "1 of 1 backend is normal"},
		"unused backends":           {nil, []string{"443/https sgp-1 running on n 0 0"}, "1 of 1 backend is normal (2 not used: weight 0)"},
		"unused and abnormal":       {nil, []string{"443/https sgp-1 running on n a 0"}, "1 of 2 backends are normal (1 abnormal, 1 not used: weight 0)"},
		"unused is enough": {
			edits{minHealthy("0")}, []string{"443/https sgp-1 running on 0"},
			"there are no backends (1 not used: weight 0), and healthPolicy.minHealthy is 0",
		},
		"unused everywhere": {
			nil, []string{"443/https sgp-1 running on 0 0"},
			"there are no backends behind alb-web (2 not used: weight 0): listener 443/https is Running and has none",
		},
		"unused in one group": {
			nil, []string{"443/https sgp-1 running on n", "443/https sgp-2 running on 0"},
			"listener 443/https (server group sgp-2) has no backends (1 not used: weight 0)",
		},
		"no backends of a listener": {
			edits{listener(443, "https")}, []string{"443/https sgp-1 running on"},
			"there are no backends behind listener 443/https of alb-web: listener 443/https is Running and has none",
		},
		"an ALB fails open": {
			nil, []string{"443/https sgp-1 running on n", "443/https sgp-2 running on a 0"},
			"listener 443/https (server group sgp-2) has 0 normal of 1 backend (1 not used: weight 0), needs 1 healthy" + albFailsOpen,
		},
		"an NLB fails open": {
			edits{named("nlb-web")}, []string{"443/tcpssl sgp-1 running on a a"},
			"listener 443/tcpssl has 0 normal of 2 backends, needs 1 healthy" + nlbFailsOpen,
		},
		"not all fail": {
			edits{minHealthy("2")}, []string{"443/https sgp-1 running on a u"},
			"listener 443/https has 0 normal and 1 without a health-check result of 2 backends, needs 2 healthy",
		},
		"more than three groups": {
			nil, []string{"443/https sgp-1 running on a", "443/https sgp-2 running on a", "443/https sgp-3 running on a", "443/https sgp-4 running on a", "443/https sgp-5 running on a"},
			"listener 443/https (server group sgp-1) has 0 normal of 1 backend, needs 1 healthy; " +
				"listener 443/https (server group sgp-2) has 0 normal of 1 backend, needs 1 healthy; " +
				"listener 443/https (server group sgp-3) has 0 normal of 1 backend, needs 1 healthy; and 2 server groups more" + albFailsOpen,
		},
		"checks off": {
			nil, []string{"443/https sgp-1 running off u u"},
			"listener 443/https has 0 normal and 2 whose health check is off of 2 backends, needs 1 healthy; " +
				"switch the health check on (of an ALB Ingress by the annotation alb.ingress.kubernetes.io/healthcheck-enabled), or set healthPolicy.unavailable to Healthy",
		},
		"checks of an NLB off": {
			edits{named("nlb-web")}, []string{"443/tcp sgp-1 running off u u"},
			"listener 443/tcp has 0 normal and 2 whose health check is off of 2 backends, needs 1 healthy; " +
				"switch the health check on, or set healthPolicy.unavailable to Healthy",
		},
		"checks off on purpose": {
			edits{countUnavailable(v1alpha1.Healthy)}, []string{"443/https sgp-1 running off u u", "443/https sgp-2 running on n"},
			"1 of 3 backends are normal (2 whose health check is off), in 2 server groups of 1 listener",
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := newGroupsEnv(t, test.edits...)
			env.observe(test.listeners...)
			if got := env.message(v1alpha1.ConditionHealthy); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestUnusedBackendsAreCountedByServerGroup(t *testing.T) {
	env := newGroupsEnv(t)
	env.observe("443/https sgp-1 running on n 0 0", "443/https sgp-2 running on n", "443/https sgp-3 running on mirror 0")
	want := func(when string) {
		t.Helper()
		var got []string
		for _, l := range env.object.Status.Listeners {
			got = append(got, fmt.Sprint(l.ServerGroupID, " ", l.Unused, "+", l.Backends))
		}
		if s := env.object.Status.Summary; strings.Join(got, ", ") != "sgp-1 2+1, sgp-2 0+1" || s.Unused != 2 || s.Backends != 2 {
			t.Errorf("%s: %q, %+v", when, got, s)
		}
	}
	want("observed")
	env.fail()
	want("after a failure")
}

// fail is the failure of a further observation.
func (env *groupsEnv) fail() {
	env.t.Helper()
	observed := env.now
	env.now = env.now.Add(30 * time.Second)
	env.object.Status = Evaluate(env.object, Input{
		Failure: &alicloud.Error{Kind: alicloud.Throttled, Message: "slow down"}, DetailsLapsed: true, Since: start, FailingSince: env.now, LastObservedAt: observed,
	}, env.now, defaults).Status
}

// The calls that return the health of NLB and ALB have another name than that of CLB.
func TestMessagesNameTheCallOfTheProduct(t *testing.T) {
	for id, call := range map[string]string{"alb-web": "GetListenerHealthStatus", "nlb-web": "GetListenerHealthStatus", "lb-web": "DescribeHealthStatus"} {
		env := newGroupsEnv(t, named(id))
		env.observe("443/https sgp-1 running on n")
		if got, want := env.message(v1alpha1.ConditionObserved), call+" answered"; got != want {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
		env.fail()
		outcome := env.observe("443/https sgp-1 running on n")
		if got, want := outcome.Transitions.Observation.Message, call+" succeeds again, after Throttled"; got != want {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
	}
}

// Metrics and the plugin know the product from the API package, and the calls from
// internal/alicloud, which knows nothing of Kubernetes: both must agree.
func TestProductsOfIDsAgree(t *testing.T) {
	for _, id := range []string{"", "lb-1", "alb-1", "nlb-1", "alb", "ALB-1", "xalb-1", "gwlb-1", "139a00604ad-cn-east-hangzhou-01"} {
		if api, cloud := v1alpha1.ProductOf(id), alicloud.ProductOf(id); api != cloud {
			t.Errorf("%q is %s and %s", id, api, cloud)
		}
	}
}
