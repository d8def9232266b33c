// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

// settle waits until every status says what the simulator says.
func (s *soak) settle(ctx context.Context, when string, limit time.Duration) error {
	began := time.Now()
	for {
		wrong, err := s.untrue(ctx)
		if err != nil {
			return err
		}
		if err := s.operator.Alive(); err != nil {
			return err
		}
		took := time.Since(began)
		if len(wrong) == 0 {
			s.settled[when] = took
			s.say("%s: every status is true after %.1f s", when, took.Seconds())
			return nil
		}
		if took > limit {
			return fmt.Errorf("%s, %d statuses are not true within %s:\n%s", when, len(wrong), limit, strings.Join(wrong[:min(len(wrong), 10)], "\n"))
		}
		if err := harness.Wait(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
}

// untrue says what is wrong with the statuses, one line each.
func (s *soak) untrue(ctx context.Context) ([]string, error) {
	var there struct {
		LoadBalancers []balancer `json:"loadBalancers"`
	}
	if err := s.Simulator.Admin(ctx, http.MethodGet, "loadbalancers", nil, &there); err != nil {
		return nil, err
	}
	balancers := map[string][]row{}
	for _, b := range there.LoadBalancers {
		balancers[b.ID] = b.Rows
	}
	objects, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	if len(objects) != len(s.objects) {
		return nil, fmt.Errorf("there are %d objects, not %d", len(objects), len(s.objects))
	}
	var wrong []string
	for i := range objects {
		if problem := mismatch(&objects[i], balancers[objects[i].Spec.LoadBalancerID]); problem != "" {
			wrong = append(wrong, objects[i].Name+": "+problem)
		}
	}
	return wrong, nil
}

func (s *soak) list(ctx context.Context) ([]v1alpha1.LoadBalancerHealth, error) {
	var list v1alpha1.LoadBalancerHealthList
	err := s.Client.List(ctx, &list, client.InNamespace(namespace))
	return list.Items, err
}

// requestStalled asks for an observation of what waits for a person.
func (s *soak) requestStalled(ctx context.Context) error {
	objects, err := s.list(ctx)
	if err != nil {
		return err
	}
	for i := range objects {
		o := &objects[i]
		if meta.IsStatusConditionTrue(o.Status.Conditions, v1alpha1.ConditionStalled) {
			before := o.DeepCopy()
			s.request(o)
			if err := s.Client.Patch(ctx, o, client.MergeFrom(before)); err != nil {
				return err
			}
		}
	}
	return nil
}

// mismatch says what a status has wrong about rows of the simulator; "" when nothing is.
func mismatch(o *v1alpha1.LoadBalancerHealth, rows []row) string {
	status := &o.Status
	reason := func(conditionType string) string {
		c := meta.FindStatusCondition(status.Conditions, conditionType)
		if c == nil {
			return ""
		}
		return string(c.Status) + " " + c.Reason
	}
	observed, ready := reason(v1alpha1.ConditionObserved), meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	switch {
	case status.ObservedGeneration != o.Generation:
		return fmt.Sprintf("generation %d, observed is %d (%s)", o.Generation, status.ObservedGeneration, observed)
	case o.Spec.Suspend:
		if observed != "Unknown "+v1alpha1.ReasonSuspended {
			return "suspended, and Observed is " + observed
		}
		return ""
	case observed != "True "+v1alpha1.ReasonObservationSucceeded:
		return "Observed is " + observed
	case reason(v1alpha1.ConditionStalled) != "" || reason(v1alpha1.ConditionReconciling) != "":
		return "it is stalled, or still reconciling"
	}
	rows = asked(&o.Spec, rows)
	if got, want := storedRows(status.Backends), theirRows(rows); !slices.Equal(got, want) {
		return fmt.Sprintf("its rows are %q, not %q", got, want)
	}
	if status.Summary == nil || int(status.Summary.Backends) != len(rows) {
		return fmt.Sprintf("its summary is %+v, of %d rows", status.Summary, len(rows))
	}
	if want := judge(o.Spec.HealthPolicy, rows); ready.Status != want {
		return fmt.Sprintf("Ready is %s (%s), not %s", ready.Status, ready.Message, want)
	}
	return ""
}

// asked are the rows that a spec asks about.
func asked(spec *v1alpha1.LoadBalancerHealthSpec, rows []row) []row {
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool {
		return spec.ListenerPort != nil && *spec.ListenerPort != r.ListenerPort ||
			spec.ListenerProtocol != "" && string(spec.ListenerProtocol) != r.ListenerProtocol
	})
}

func storedRows(backends []v1alpha1.BackendStatus) []string {
	lines := make([]string, 0, len(backends))
	for i := range backends {
		b := &backends[i]
		lines = append(lines, fmt.Sprintf("%d/%s %s %s:%d %s", b.ListenerPort, b.ListenerProtocol, b.ServerID, b.ServerIP, b.Port, b.ServerHealthStatus))
	}
	slices.Sort(lines)
	return lines
}

func theirRows(rows []row) []string {
	lines := make([]string, 0, len(rows))
	for _, r := range rows {
		lines = append(lines, fmt.Sprintf("%d/%s %s %s:%d %s", r.ListenerPort, r.ListenerProtocol, r.ServerID, r.ServerIP, r.Port, r.ServerHealthStatus))
	}
	slices.Sort(lines)
	return lines
}

// judge is the verdict of a policy on rows: that of the worst listener.
func judge(policy *v1alpha1.HealthPolicy, rows []row) metav1.ConditionStatus {
	if len(rows) == 0 {
		return metav1.ConditionFalse
	}
	if policy == nil {
		policy = &v1alpha1.HealthPolicy{}
	}
	normal, abnormal, all := map[int32]int{}, map[int32]int{}, map[int32]int{}
	for _, r := range rows {
		all[r.ListenerPort]++
		state := r.ServerHealthStatus
		if state == v1alpha1.StatusUnavailable {
			state = map[v1alpha1.Health]string{v1alpha1.Healthy: v1alpha1.StatusNormal, v1alpha1.Unhealthy: v1alpha1.StatusAbnormal}[policy.Unavailable]
		}
		switch state {
		case v1alpha1.StatusNormal:
			normal[r.ListenerPort]++
		case v1alpha1.StatusAbnormal:
			abnormal[r.ListenerPort]++
		}
	}
	verdict := metav1.ConditionTrue
	for port, n := range all {
		needs, err := intstr.GetScaledValueFromIntOrPercent(cmp.Or(policy.MinHealthy, new(intstr.FromInt32(1))), n, true)
		switch {
		case err != nil || n-abnormal[port] < needs:
			return metav1.ConditionFalse
		case normal[port] < needs:
			verdict = metav1.ConditionUnknown
		}
	}
	return verdict
}
