// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	namespace = "bench"
	region    = "cn-hangzhou"
	// listenerSize is the most backends of a listener, as in the cloud.
	listenerSize = 200
)

// newObject names an object after its load balancer and a number.
func newObject(balancer string, number int, interval time.Duration) *v1alpha1.LoadBalancerHealth {
	return &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s-%d", balancer, number)},
		Spec: v1alpha1.LoadBalancerHealthSpec{
			LoadBalancerID: balancer, RegionID: region, Interval: metav1.Duration{Duration: interval},
		},
	}
}

func balancerOf(name string) string { return name[:strings.LastIndexByte(name, '-')] }

func balancerID(i int) string { return fmt.Sprintf("lb-bench%09d", i) }

// newRequestID has the format of Alibaba Cloud.
func newRequestID() string { return strings.ToUpper(string(uuid.NewUUID())) }

// newRow returns backend j of a load balancer, for the simulator and for a status.
func newRow(balancer string, j int, now metav1.Time) v1alpha1.BackendStatus {
	return v1alpha1.BackendStatus{
		ServerID: fmt.Sprintf("i-%s-%05d", balancer[3:], j), ServerIP: fmt.Sprintf("10.%d.%d.%d", j/62500, j/250%250, j%250+1),
		Type: "ecs", ListenerPort: int32(443 + j/listenerSize), ListenerProtocol: "https", Port: 8443,
		ServerHealthStatus: v1alpha1.StatusNormal, LastTransitionTime: now,
	}
}

// newStatus is the operator's status of a load balancer whose backends are all normal.
func newStatus(balancer string, rows int) v1alpha1.LoadBalancerHealthStatus {
	now := metav1.Now().Rfc3339Copy()
	s := v1alpha1.LoadBalancerHealthStatus{
		ObservedGeneration: 1,
		ObservedTarget:     &v1alpha1.ObservedTarget{LoadBalancerID: balancer, RegionID: region},
		Summary:            &v1alpha1.Summary{Counts: v1alpha1.Counts{Backends: int32(rows), Normal: int32(rows)}},
	}
	for j := range rows {
		s.Backends = append(s.Backends, newRow(balancer, j, now))
	}
	for from := 0; from < rows; from += listenerSize {
		n := int32(min(listenerSize, rows-from))
		s.Listeners = append(s.Listeners, v1alpha1.ListenerStatus{
			Port: int32(443 + from/listenerSize), Protocol: "https", Health: v1alpha1.Healthy,
			Counts: v1alpha1.Counts{Backends: n, Normal: n},
		})
	}
	s.Summary.Listeners = int32(len(s.Listeners))
	for _, kind := range []string{"Observed", "Healthy", "Ready"} {
		s.Conditions = append(s.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionTrue, ObservedGeneration: 1, LastTransitionTime: now,
			Reason: "ObservationSucceeded", Message: "DescribeHealthStatus answered",
		})
	}
	describe(&s)
	return s
}

// flip returns the status after a transition of the first backend. It changes the
// same fields as the operator.
func flip(old *v1alpha1.LoadBalancerHealthStatus, requestID string) v1alpha1.LoadBalancerHealthStatus {
	next := *old.DeepCopy()
	now := metav1.Now().Rfc3339Copy()
	next.LastObservedTime, next.LastRequestID = &now, requestID
	row, change := &next.Backends[0], int32(1)
	if row.ServerHealthStatus == v1alpha1.StatusNormal {
		row.ServerHealthStatus = v1alpha1.StatusAbnormal
	} else {
		row.ServerHealthStatus, change = v1alpha1.StatusNormal, -1
	}
	row.LastTransitionTime = now
	for _, counts := range []*v1alpha1.Counts{&next.Summary.Counts, &next.Listeners[0].Counts} {
		counts.Abnormal += change
		counts.Normal -= change
	}
	describe(&next)
	return next
}

// describe sets the conditions' reasons and messages from the counts.
func describe(s *v1alpha1.LoadBalancerHealthStatus) {
	reason, message := "AllBackendsNormal", fmt.Sprintf("%d of %d backends are normal", s.Summary.Normal, s.Summary.Backends)
	if s.Summary.Abnormal > 0 {
		reason, message = "MinHealthyMet", fmt.Sprintf("%s (%d abnormal)", message, s.Summary.Abnormal)
	}
	for i := range s.Conditions {
		if s.Conditions[i].Type != "Observed" {
			s.Conditions[i].Reason, s.Conditions[i].Message = reason, message
		}
	}
}

func (s fleetSize) objects() []*v1alpha1.LoadBalancerHealth {
	objects := make([]*v1alpha1.LoadBalancerHealth, 0, s.Balancers*s.Objects)
	for i := range s.Balancers {
		for n := range s.Objects {
			objects = append(objects, newObject(balancerID(i), n, s.Interval))
		}
	}
	return objects
}
