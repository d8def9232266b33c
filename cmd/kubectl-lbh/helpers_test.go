// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// newOptions returns options without colours, at noon.
func newOptions() (o *options, out *bytes.Buffer) {
	streams, _, out, _ := genericiooptions.NewTestIOStreams()
	return &options{IOStreams: streams, flags: genericclioptions.NewConfigFlags(false), color: "never", heartbeat: defaultHeartbeat, now: func() time.Time { return noon }}, out
}

// object returns an object with a backend in each state. Each condition is its
// type, status and reason.
func object(name string, wanted [][3]string, states ...string) *v1alpha1.LoadBalancerHealth {
	o := &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: name, Generation: 1},
		Spec:       v1alpha1.LoadBalancerHealthSpec{LoadBalancerID: "lb-" + name, RegionID: "cn-hangzhou"},
	}
	s := &o.Status
	s.ObservedGeneration = 1
	for _, c := range wanted {
		s.Conditions = append(s.Conditions, metav1.Condition{
			Type: c[0], Status: metav1.ConditionStatus(c[1]), Reason: c[2], Message: "about " + c[2],
			ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(noon),
		})
	}
	if len(states) == 0 {
		return o
	}
	s.ObservedTarget = &v1alpha1.ObservedTarget{LoadBalancerID: o.Spec.LoadBalancerID, RegionID: o.Spec.RegionID}
	listener := v1alpha1.ListenerStatus{Port: 443, Protocol: "https", Health: v1alpha1.Healthy}
	for i, state := range states {
		listener.Backends++
		switch state {
		case v1alpha1.StatusNormal:
			listener.Normal++
		case v1alpha1.StatusAbnormal:
			listener.Abnormal++
		default:
			listener.Unavailable++
		}
		s.Backends = append(s.Backends, v1alpha1.BackendStatus{
			ServerID: "i-" + string(rune('1'+i)), ServerIP: "10.0.0.1", Port: 8443, ListenerPort: 443, ListenerProtocol: "https",
			ServerHealthStatus: state, LastTransitionTime: metav1.NewTime(noon.Add(-5 * time.Minute)),
		})
	}
	s.Listeners = []v1alpha1.ListenerStatus{listener}
	s.Summary = &v1alpha1.Summary{Listeners: 1, Counts: listener.Counts}
	return o
}

// conditions are the three conditions of an object with this verdict and observation.
func conditions(verdict, reason, observed, observedReason string) [][3]string {
	return [][3]string{
		{v1alpha1.ConditionReady, verdict, reason},
		{v1alpha1.ConditionHealthy, verdict, reason},
		{v1alpha1.ConditionObserved, observed, observedReason},
	}
}

// updatedAgo is a healthy object that was updated so long ago.
func updatedAgo(name string, age time.Duration) *v1alpha1.LoadBalancerHealth {
	o := object(name, allNormal(), "normal")
	o.Status.LastObservedTime = new(metav1.NewTime(noon.Add(-age)))
	return o
}

func allNormal() [][3]string {
	return conditions("True", v1alpha1.ReasonAllBackendsNormal, "True", v1alpha1.ReasonObservationSucceeded)
}
