// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// stateMissing is the state of a listener that had backends and is missing from the last observation.
const stateMissing = "Missing"

// objectSeries exports the series of one object. A client with permission to
// write a status can write one with invalid or repeated series, which would fail
// the scrape for all objects: objectSeries drops and counts these.
type objectSeries struct {
	ch              chan<- prometheus.Metric
	namespace, name string
	dropped         int
}

func (s *objectSeries) gauge(desc *prometheus.Desc, value float64, labels ...string) {
	s.add(desc, prometheus.GaugeValue, value, labels...)
}

func (s *objectSeries) add(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
	metric, err := prometheus.NewConstMetric(desc, kind, value, append([]string{s.namespace, s.name}, labels...)...)
	if err != nil { // a label value is not valid UTF-8
		s.dropped++
		return
	}
	s.ch <- metric
}

// addListeners exports each server group of a listener once: the first one where a
// status repeats it. A listener of CLB has no server group.
func (s *objectSeries) addListeners(listeners []v1alpha1.ListenerStatus, target v1alpha1.ObservedTarget) {
	type key struct {
		port            int32
		protocol, group string
	}
	seen := make(map[key]struct{}, len(listeners))
	for i := range listeners {
		listener := &listeners[i]
		id := key{listener.Port, listener.Protocol, listener.ServerGroupID}
		statuses := statusesOf(listener)
		if _, repeated := seen[id]; repeated {
			s.dropped += len(statuses) + 1
			continue
		}
		seen[id] = struct{}{}
		port, group := strconv.Itoa(int(listener.Port)), listener.ServerGroupID
		counts := [...]int32{listener.Normal, listener.Abnormal, listener.Unavailable, listener.Unused}
		for i, status := range statuses {
			s.gauge(backendsDesc, float64(counts[i]), target.LoadBalancerID, target.RegionID, port, listener.Protocol, group, status)
		}
		s.gauge(listenerDesc, 1, port, listener.Protocol, group, string(listener.Health), stateOf(listener), string(listener.HealthCheck))
	}
}

// statusesOf are the statuses that a listener has series for, also of no backends.
func statusesOf(listener *v1alpha1.ListenerStatus) []string {
	if listener.ServerGroupID == "" {
		return backendStatuses
	}
	return groupStatuses
}

// addSummary exports the numbers that a status may lack.
func (s *objectSeries) addSummary(summary *v1alpha1.Summary) {
	if summary == nil {
		return
	}
	for desc, value := range map[*prometheus.Desc]*int32{missingDesc: summary.Missing, allowedDesc: summary.DisruptionsAllowed} {
		if value != nil {
			s.gauge(desc, float64(*value))
		}
	}
}

func stateOf(listener *v1alpha1.ListenerStatus) string {
	if listener.MissingSince != nil {
		return stateMissing
	}
	return string(listener.State)
}

func (s *objectSeries) addConditions(conditions []metav1.Condition) {
	for _, conditionType := range conditionTypes {
		condition, actual := meta.FindStatusCondition(conditions, conditionType), metav1.ConditionUnknown // not observed yet
		switch {
		case condition != nil:
			actual = condition.Status
		case conditionType == v1alpha1.ConditionRegistered:
			continue // the object names no Service
		case conditionType == v1alpha1.ConditionStalled, conditionType == v1alpha1.ConditionReconciling:
			actual = metav1.ConditionFalse
		}
		for _, status := range conditionStatuses {
			value := 0.0
			if status == actual {
				value = 1
			}
			s.gauge(conditionDesc, value, conditionType, string(status))
		}
	}
}
