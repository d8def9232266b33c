// SPDX-License-Identifier: Apache-2.0

package health

import (
	"slices"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// checkMissingBackends checks the missing backends, and their counts.
func (env *testEnv) checkMissingBackends(s *v1alpha1.LoadBalancerHealthStatus) {
	env.t.Helper()
	if env.options.Fit != nil {
		return // an older schema stores conditions only
	}
	registered := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionRegistered)
	var missing int32
	hasExpected := false
	for i := range s.Listeners {
		l := &s.Listeners[i]
		if l.Missing < 0 || l.Missing > 0 && (l.Expected == nil || l.Missing > *l.Expected) {
			env.t.Fatalf("listener %+v lacks more than it expects", *l)
		}
		missing += l.Missing
		hasExpected = hasExpected || l.Expected != nil
	}
	switch {
	case registered == nil && (hasExpected || len(s.MissingBackends) > 0 || s.Summary != nil && s.Summary.Missing != nil):
		env.t.Fatal("backends are expected without serviceRef")
	case s.Summary == nil && len(s.MissingBackends) > 0, s.Summary != nil && (s.Summary.Missing != nil) != hasExpected:
		env.t.Fatalf("missing is not counted: %+v", s.Summary)
	case s.Summary != nil && s.Summary.Missing != nil && *s.Summary.Missing != missing:
		env.t.Fatalf("%d missing, the listeners make %d", *s.Summary.Missing, missing)
	case len(s.MissingBackends) != min(int(missing), 20):
		env.t.Fatalf("%d of %d missing backends are listed", len(s.MissingBackends), missing)
	case registered != nil && (registered.Status == metav1.ConditionFalse) != (missing > 0):
		env.t.Fatalf("%d missing, and Registered is %s", missing, registered.Status)
	}
	identity := func(b v1alpha1.MissingBackend) string {
		return identityOf(b.ListenerPort, b.ListenerProtocol, b.ServerID, b.ServerIP, b.Port)
	}
	for i, b := range s.MissingBackends {
		if b.Since.IsZero() || b.Since.After(env.now) {
			env.t.Fatalf("missing since %s at %s", b.Since, env.now)
		}
		if i > 0 && identity(s.MissingBackends[i-1]) >= identity(b) {
			env.t.Fatalf("missing backends are not sorted, or not unique: %+v", s.MissingBackends)
		}
	}
}

// checkHistory checks that each entry is a change, the newest first.
func (env *testEnv) checkHistory(s *v1alpha1.LoadBalancerHealthStatus) {
	env.t.Helper()
	if len(s.History) > 10 {
		env.t.Fatalf("%d changes", len(s.History))
	}
	for i, c := range s.History {
		if c.Reason == "" || utf8.RuneCountInString(c.Message) > 256 || c.Time.After(env.now) {
			env.t.Fatalf("change %+v", c)
		}
		if slices.Contains([]string{v1alpha1.ReasonSuspended, v1alpha1.ReasonPending}, c.Reason) {
			env.t.Fatalf("%s is no change", c.Reason)
		}
		if i > 0 && c.Time.After(s.History[i-1].Time.Time) {
			env.t.Fatalf("the changes are not the newest first: %+v", s.History)
		}
	}
}

// checkDisruptionsAllowed checks that they are absent without a verdict, and 0 on
// an unhealthy load balancer.
func (env *testEnv) checkDisruptionsAllowed(s *v1alpha1.LoadBalancerHealthStatus) {
	env.t.Helper()
	if s.Summary == nil || env.options.Fit != nil {
		return
	}
	healthy := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionHealthy)
	allowed := s.Summary.DisruptionsAllowed
	switch {
	case healthy.Status == metav1.ConditionUnknown && allowed != nil:
		env.t.Fatalf("%d disruptions are allowed without a verdict", *allowed)
	case healthy.Status == metav1.ConditionTrue && allowed == nil && s.Summary.Backends > 0:
		env.t.Fatal("disruptionsAllowed is absent")
	case allowed != nil && (*allowed < 0 || *allowed > s.Summary.Backends || healthy.Status == metav1.ConditionFalse && *allowed > 0):
		env.t.Fatalf("%d disruptions are allowed: %+v", *allowed, *s.Summary)
	}
}
