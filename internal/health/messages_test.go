// SPDX-License-Identifier: Apache-2.0

package health

import (
	"regexp"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestMessageOfAVerdictSaysWhatWasCountedAndWhatIsNeeded(t *testing.T) {
	for _, test := range []struct {
		edits   []func(*v1alpha1.LoadBalancerHealthSpec)
		answer  []string
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
			w := newWorld(t, test.edits...)
			w.answer(test.answer...)
			if got := w.condition("Healthy").Message; got != test.message {
				t.Errorf("got  %s\nwant %s", got, test.message)
			}
		})
	}
}

func TestListenerIsNamedAsFarAsItIsKnown(t *testing.T) {
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
	situations := map[string]func(*world){
		"pending":         func(w *world) { w.wait() },
		"healthy":         func(w *world) { w.answer("nn") },
		"unhealthy":       func(w *world) { w.answer("aa") },
		"unknown":         func(w *world) { w.answer("uu") },
		"failed":          func(w *world) { w.answer("nn"); w.after(30 * time.Second).fail(alicloud.Throttled) },
		"pending, failed": func(w *world) { w.fail(alicloud.Throttled) },
		"stalled":         func(w *world) { w.fail(alicloud.Forbidden) },
		"stale":           func(w *world) { w.answer("nn"); w.after(time.Hour).fail(alicloud.Throttled) },
		"late":            func(w *world) { w.answer("nn"); w.after(time.Hour).wait() },
		"suspended":       func(w *world) { w.edit(suspend).wait() },
		"edited":          func(w *world) { w.answer("nn"); w.edit(minHealthy("2")).wait() },
		"resumed":         func(w *world) { w.answer("nn"); w.edit(suspend).wait(); w.edit(resume).wait() },
		"not found 3 times": func(w *world) {
			for range 3 {
				w.after(30 * time.Second).fail(alicloud.LoadBalancerNotFound)
			}
		},
	}
	messages := func(w *world) string {
		var all string
		for _, c := range w.object.Status.Conditions {
			all += c.Type + ": " + c.Message + "\n"
		}
		return all
	}
	differs := regexp.MustCompile(`20\d\d-|\d\d:\d\d|request-\d|(?i)attempt|times|in a row`)
	for what, bring := range situations {
		t.Run(what, func(t *testing.T) {
			first, second := newWorld(t), newWorld(t)
			bring(first)
			second.requests = 1000
			second.after(99 * time.Hour)
			if what != "pending" {
				for range 3 {
					second.restart().after(7*time.Second).fail(alicloud.ServiceError, "the service failed")
				}
			}
			bring(second)
			if messages(first) != messages(second) {
				t.Errorf("at first\n%slater\n%s", messages(first), messages(second))
			}
			if found := differs.FindString(messages(first)); found != "" {
				t.Errorf("%q must not be in\n%s", found, messages(first))
			}
			for range 5 {
				w := second
				before := messages(w)
				switch {
				case w.failure != nil && !w.object.Spec.Suspend:
					w.after(time.Second).again()
				default:
					w.after(time.Second).wait()
				}
				if messages(w) != before {
					t.Errorf("a second later\n%sinstead of\n%s", messages(w), before)
				}
			}
		})
	}
}
