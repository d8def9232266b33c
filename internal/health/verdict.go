// SPDX-License-Identifier: Apache-2.0

package health

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// evaluatedListeners are listeners that hold their health, and what decides
// about them together.
type evaluatedListeners struct {
	listeners []v1alpha1.ListenerStatus
	facts     *listenerFacts
	policy    policy
	// backends is how many there are behind all of them.
	backends int32
	// missing, unknown and unhealthy are how many of those that decide are so;
	// a missing one is not among the unknown ones.
	deciding, missing, unknown, unhealthy, empty int
}

func newEvaluatedListeners(listeners []v1alpha1.ListenerStatus, facts *listenerFacts, p policy) evaluatedListeners {
	v := evaluatedListeners{listeners: listeners, facts: facts, policy: p}
	for i := range listeners {
		l := &listeners[i]
		v.backends += l.Backends
		if !facts.decides(l) {
			continue
		}
		v.deciding++
		switch {
		case l.MissingSince != nil && !p.wantsNone():
			v.missing++
		case l.Health == v1alpha1.Unhealthy:
			v.unhealthy++
			if l.Backends == 0 {
				v.empty++
			}
		case l.Health == v1alpha1.Unknown:
			v.unknown++
		}
	}
	return v
}

// condition is Healthy: as bad as the worst listener that decides. An answer
// without rows is no backends at all, unless a listener is just being set up.
func (v *evaluatedListeners) condition(target *v1alpha1.ObservedTarget, summary *v1alpha1.Summary, unaccepted string) judgement {
	none := v.backends == 0 && (v.unhealthy > 0 || v.unknown == 0) || v.deciding == 0
	switch {
	case none && !v.policy.wantsNone():
		return judgement{metav1.ConditionFalse, v1alpha1.ReasonNoBackends, messageNoBackends(target, v.listeners)}
	case v.empty > 0:
		return judgement{metav1.ConditionFalse, v1alpha1.ReasonNoBackends, v.messageOf(v1alpha1.Unhealthy)}
	case v.unhealthy > 0:
		return judgement{metav1.ConditionFalse, v1alpha1.ReasonBelowMinHealthy, v.messageOf(v1alpha1.Unhealthy)}
	case v.missing > 0:
		return judgement{metav1.ConditionUnknown, v1alpha1.ReasonListenerMissing, messageMissing(v.listeners, unaccepted)}
	case v.unknown > 0:
		return judgement{metav1.ConditionUnknown, v1alpha1.ReasonHealthCheckUnavailable, v.messageOf(v1alpha1.Unknown)}
	case summary.Normal == summary.Backends:
		return judgement{metav1.ConditionTrue, v1alpha1.ReasonAllBackendsNormal, messageCounts(summary, v.listeners)}
	default:
		return judgement{metav1.ConditionTrue, v1alpha1.ReasonMinHealthyMet, messageCounts(summary, v.listeners)}
	}
}

// messageOf names the deciding listeners of a health, the first few of them.
func (v *evaluatedListeners) messageOf(health v1alpha1.Health) string {
	var named []string
	checkOff := false
	for i := range v.listeners {
		if l := &v.listeners[i]; l.Health == health && l.MissingSince == nil && v.facts.decides(l) {
			named = append(named, describeListener(l, v.policy))
			checkOff = checkOff || l.Unavailable > 0 && l.HealthCheck == v1alpha1.HealthCheckDisabled
		}
	}
	text := firstFew(named)
	if checkOff && health == v1alpha1.Unknown {
		text += "; switch the health check on, or set healthPolicy.unavailable to Healthy"
	}
	return text
}
