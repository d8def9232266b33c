// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// stateMissing is the state of a listener that had backends and is not in the answer.
const stateMissing = "Missing"

// seriesOf exports the series of one object. Whoever may write a status may
// write one that makes a scrape invalid, and an invalid scrape is lost for every
// object: such series are dropped and counted.
type seriesOf struct {
	ch              chan<- prometheus.Metric
	namespace, name string
	dropped         int
}

func (s *seriesOf) gauge(desc *prometheus.Desc, value float64, labels ...string) {
	s.add(desc, prometheus.GaugeValue, value, labels...)
}

func (s *seriesOf) add(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
	metric, err := prometheus.NewConstMetric(desc, kind, value, append([]string{s.namespace, s.name}, labels...)...)
	if err != nil { // a label value is not valid UTF-8
		s.dropped++
		return
	}
	s.ch <- metric
}

// addListeners exports each listener once: the first, where a status repeats it.
func (s *seriesOf) addListeners(listeners []v1alpha1.ListenerStatus, target v1alpha1.ObservedTarget) {
	type key struct {
		port     int32
		protocol string
	}
	seen := make(map[key]struct{}, len(listeners))
	for i := range listeners {
		listener := &listeners[i]
		one := key{listener.Port, listener.Protocol}
		if _, repeated := seen[one]; repeated {
			s.dropped += len(backendStatuses) + 1
			continue
		}
		seen[one] = struct{}{}
		port := strconv.Itoa(int(listener.Port))
		for status, n := range []int32{listener.Normal, listener.Abnormal, listener.Unavailable} {
			s.gauge(backendsDesc, float64(n), target.LoadBalancerID, target.RegionID, port, listener.Protocol, backendStatuses[status])
		}
		s.gauge(listenerDesc, 1, port, listener.Protocol, string(listener.Health), stateOf(listener), string(listener.HealthCheck))
	}
}

func stateOf(listener *v1alpha1.ListenerStatus) string {
	if listener.MissingSince != nil {
		return stateMissing
	}
	return string(listener.State)
}

func (s *seriesOf) addConditions(conditions []metav1.Condition) {
	for _, conditionType := range conditionTypes {
		has := metav1.ConditionFalse
		if condition := meta.FindStatusCondition(conditions, conditionType); condition != nil {
			has = condition.Status
		} else if conditionType != v1alpha1.ConditionStalled && conditionType != v1alpha1.ConditionReconciling {
			has = metav1.ConditionUnknown // not observed yet
		}
		for _, status := range conditionStatuses {
			value := 0.0
			if status == has {
				value = 1
			}
			s.gauge(conditionDesc, value, conditionType, string(status))
		}
	}
}
