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

// waitUntilCorrect waits until every status agrees with the simulator. It calls
// visit, unless that is nil, for each object whose status does not.
func (s *soak) waitUntilCorrect(ctx context.Context, when string, limit time.Duration, visit func(*v1alpha1.LoadBalancerHealth) error) error {
	start := time.Now()
	for {
		incorrect, err := s.incorrectStatuses(ctx, visit)
		if err != nil {
			return err
		}
		if err := s.operator.Alive(); err != nil {
			return err
		}
		took := time.Since(start)
		if len(incorrect) == 0 {
			s.correct[when] = took.Seconds()
			s.logf("%s: every status is correct after %.1f s", when, took.Seconds())
			return nil
		}
		if took > limit {
			return fmt.Errorf("%s, %d statuses are not correct within %s:\n%s", when, len(incorrect), limit, strings.Join(incorrect[:min(len(incorrect), 10)], "\n"))
		}
		if err := harness.Wait(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
}

// incorrectStatuses describes the mismatch of each status that is not correct.
func (s *soak) incorrectStatuses(ctx context.Context, visit func(*v1alpha1.LoadBalancerHealth) error) ([]string, error) {
	var list struct {
		LoadBalancers []balancer `json:"loadBalancers"`
	}
	if err := s.Simulator.Admin(ctx, http.MethodGet, "loadbalancers", nil, &list); err != nil {
		return nil, err
	}
	balancers := map[string][]row{}
	for _, b := range list.LoadBalancers {
		balancers[b.ID] = b.Rows
	}
	objects, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	if len(objects) != len(s.objects) {
		return nil, fmt.Errorf("there are %d objects, want %d", len(objects), len(s.objects))
	}
	var incorrect []string
	for i := range objects {
		problem := mismatch(&objects[i], balancers[objects[i].Spec.LoadBalancerID])
		if problem == "" {
			continue
		}
		incorrect = append(incorrect, objects[i].Name+": "+problem)
		if visit != nil {
			if err := visit(&objects[i]); err != nil {
				return nil, err
			}
		}
	}
	return incorrect, nil
}

func (s *soak) list(ctx context.Context) ([]v1alpha1.LoadBalancerHealth, error) {
	var list v1alpha1.LoadBalancerHealthList
	err := s.Client.List(ctx, &list, client.InNamespace(namespace))
	return list.Items, err
}

// mismatch describes how a status differs from the simulator's rows; "" if it agrees.
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
		return fmt.Sprintf("generation %d, observedGeneration %d (%s)", o.Generation, status.ObservedGeneration, observed)
	case o.Spec.Suspend:
		if observed != "Unknown "+v1alpha1.ReasonSuspended {
			return "suspended, but Observed is " + observed
		}
		return ""
	case observed != "True "+v1alpha1.ReasonObservationSucceeded:
		return "Observed is " + observed
	case reason(v1alpha1.ConditionStalled) != "" || reason(v1alpha1.ConditionReconciling) != "":
		return "it is stalled, or still reconciling"
	}
	rows = selectRows(&o.Spec, rows)
	if got, want := sorted(rowsOf(status.Backends)), sorted(rows); !slices.Equal(got, want) {
		return fmt.Sprintf("its rows are %+v, want %+v", got, want)
	}
	if status.Summary == nil || int(status.Summary.Backends) != len(rows) {
		return fmt.Sprintf("its summary is %+v, with %d rows", status.Summary, len(rows))
	}
	if want := expectedReady(o.Spec.HealthPolicy, rows); ready.Status != want {
		return fmt.Sprintf("Ready is %s (%s), want %s", ready.Status, ready.Message, want)
	}
	return ""
}

// selectRows returns the rows of the listener in a spec.
func selectRows(spec *v1alpha1.LoadBalancerHealthSpec, rows []row) []row {
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool {
		return spec.ListenerPort != nil && *spec.ListenerPort != r.ListenerPort ||
			spec.ListenerProtocol != "" && string(spec.ListenerProtocol) != r.ListenerProtocol
	})
}

func rowsOf(backends []v1alpha1.BackendStatus) []row {
	rows := make([]row, len(backends))
	for i := range backends {
		b := &backends[i]
		rows[i] = row{b.ServerID, b.ServerIP, b.Type, b.ListenerPort, b.ListenerProtocol, b.Port, b.ServerHealthStatus}
	}
	return rows
}

// sorted sorts rows by ServerID, which is unique.
func sorted(rows []row) []row {
	return slices.SortedFunc(slices.Values(rows), func(a, b row) int { return cmp.Compare(a.ServerID, b.ServerID) })
}

// expectedReady returns the status of the condition Ready: that of the worst listener.
func expectedReady(policy *v1alpha1.HealthPolicy, rows []row) metav1.ConditionStatus {
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
		required, err := intstr.GetScaledValueFromIntOrPercent(cmp.Or(policy.MinHealthy, new(intstr.FromInt32(1))), n, true)
		switch {
		case err != nil || n-abnormal[port] < required:
			return metav1.ConditionFalse
		case normal[port] < required:
			verdict = metav1.ConditionUnknown
		}
	}
	return verdict
}
