// SPDX-License-Identifier: Apache-2.0

package health

import (
	"regexp"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestMessageOfAVerdictHasTheCountsAndTheMinimum(t *testing.T) {
	for _, test := range []struct {
		edits   []func(*v1alpha1.LoadBalancerHealthSpec)
		rows    []string
		message string
	}{
		{nil, []string{"n"}, "1 of 1 backend is normal"},
		{nil, []string{"nnn"}, "3 of 3 backends are normal"},
		{nil, []string{"443/https nn", "80/tcp n"}, "3 of 3 backends are normal, on 2 listeners"},
		{nil, []string{"nna"}, "2 of 3 backends are normal (1 abnormal)"},
		{nil, []string{"nau"}, "1 of 3 backends are normal (1 abnormal, 1 without a health-check result)"},
		{[]func(*v1alpha1.LoadBalancerHealthSpec){minHealthy("0")}, nil, "there are no backends, and healthPolicy.minHealthy is 0"},
		{nil, nil, "DescribeHealthStatus lists no backends for lb-web"},
		{[]func(*v1alpha1.LoadBalancerHealthSpec){listener(443, "")}, nil, "DescribeHealthStatus lists no backends for listener 443 of lb-web"},
		{[]func(*v1alpha1.LoadBalancerHealthSpec){listener(443, "https")}, nil, "DescribeHealthStatus lists no backends for listener 443/https of lb-web"},
		{[]func(*v1alpha1.LoadBalancerHealthSpec){listener(0, "https")}, nil, "DescribeHealthStatus lists no backends for listener https of lb-web"},
		{nil, []string{"aa"}, "listener 443/https has 0 normal of 2 backends, needs 1 healthy"},
		{[]func(*v1alpha1.LoadBalancerHealthSpec){minHealthy("50%")}, []string{"naa"}, "listener 443/https has 1 normal of 3 backends, needs 2 healthy"},
		{nil, []string{"uu"}, "listener 443/https has 0 normal and 2 without a health-check result of 2 backends, needs 1 healthy"},
		{
			nil, []string{"1/tcp a", "2/tcp n", "3/tcp a", "4/tcp u", "5/tcp a"},
			"listener 1/tcp has 0 normal of 1 backend, needs 1 healthy; listener 3/tcp has 0 normal of 1 backend, needs 1 healthy; listener 5/tcp has 0 normal of 1 backend, needs 1 healthy",
		},
		{
			nil, []string{"1/tcp a", "2/tcp a", "3/tcp a", "4/tcp a"},
			"listener 1/tcp has 0 normal of 1 backend, needs 1 healthy; listener 2/tcp has 0 normal of 1 backend, needs 1 healthy; listener 3/tcp has 0 normal of 1 backend, needs 1 healthy; and 1 listener more",
		},
		{
			nil, []string{"1/tcp a", "2/tcp a", "3/tcp a", "4/tcp a", "5/tcp a"},
			"listener 1/tcp has 0 normal of 1 backend, needs 1 healthy; listener 2/tcp has 0 normal of 1 backend, needs 1 healthy; listener 3/tcp has 0 normal of 1 backend, needs 1 healthy; and 2 listeners more",
		},
	} {
		t.Run(test.message, func(t *testing.T) {
			env := newEnv(t, test.edits...)
			env.observe(test.rows...)
			if got := env.condition("Healthy").Message; got != test.message {
				t.Errorf("got  %s\nwant %s", got, test.message)
			}
		})
	}
}

func TestListenerName(t *testing.T) {
	for _, test := range []struct {
		port           int32
		protocol, want string
	}{
		{443, "https", "443/https"},
		{443, "", "443"},
		{0, "https", "https"},
		{0, "", "of unknown port"},
	} {
		if got := listenerName(test.port, test.protocol); got != test.want {
			t.Errorf("%d %q: got %q, want %q", test.port, test.protocol, got, test.want)
		}
	}
}

func TestEqualSituationsHaveEqualMessages(t *testing.T) {
	situations := map[string]func(*testEnv){
		"pending":         func(env *testEnv) { env.wait() },
		"healthy":         func(env *testEnv) { env.observe("nn") },
		"unhealthy":       func(env *testEnv) { env.observe("aa") },
		"unknown":         func(env *testEnv) { env.observe("uu") },
		"failed":          func(env *testEnv) { env.observe("nn"); env.after(30 * time.Second).fail(alicloud.Throttled) },
		"pending, failed": func(env *testEnv) { env.fail(alicloud.Throttled) },
		"stalled":         func(env *testEnv) { env.fail(alicloud.Forbidden) },
		"stale":           func(env *testEnv) { env.observe("nn"); env.after(time.Hour).fail(alicloud.Throttled) },
		"late":            func(env *testEnv) { env.observe("nn"); env.after(time.Hour).wait() },
		"suspended":       func(env *testEnv) { env.edit(suspend).wait() },
		"edited":          func(env *testEnv) { env.observe("nn"); env.edit(minHealthy("2")).wait() },
		"resumed":         func(env *testEnv) { env.observe("nn"); env.edit(suspend).wait(); env.edit(resume).wait() },
		"not found 3 times": func(env *testEnv) {
			for range 3 {
				env.after(30 * time.Second).fail(alicloud.LoadBalancerNotFound)
			}
		},
	}
	messages := func(env *testEnv) string {
		var all string
		for _, c := range env.object.Status.Conditions {
			all += c.Type + ": " + c.Message + "\n"
		}
		return all
	}
	differs := regexp.MustCompile(`20\d\d-|\d\d:\d\d|request-\d|(?i)attempt|times|in a row`)
	for what, prepare := range situations {
		t.Run(what, func(t *testing.T) {
			first, second := newEnv(t), newEnv(t)
			prepare(first)
			second.requests = 1000
			second.after(99 * time.Hour)
			if what != "pending" {
				for range 3 {
					second.restart().after(7*time.Second).fail(alicloud.ServiceError, "the service failed")
				}
			}
			prepare(second)
			if messages(first) != messages(second) {
				t.Errorf("first\n%ssecond\n%s", messages(first), messages(second))
			}
			if found := differs.FindString(messages(first)); found != "" {
				t.Errorf("found %q in\n%s", found, messages(first))
			}
			for range 5 {
				env := second
				before := messages(env)
				switch {
				case env.failure != nil && !env.object.Spec.Suspend:
					env.after(time.Second).repeatFailure()
				default:
					env.after(time.Second).wait()
				}
				if messages(env) != before {
					t.Errorf("a second later\n%sinstead of\n%s", messages(env), before)
				}
			}
		})
	}
}

func TestMessagesCountBackendsWithoutAResult(t *testing.T) {
	env := newEnv(t, minHealthy("2"))
	env.observe("nau")
	env.wantMessage("listener 443/https has 1 normal and 1 without a health-check result of 3 backends, needs 2 healthy")
	env.after(time.Second).observe("nnu")
	env.wantMessage("2 of 3 backends are normal (1 without a health-check result)")
}
