// SPDX-License-Identifier: Apache-2.0

package health

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// evaluatedListeners are listeners with their health, and the counts that make
// the verdict on the load balancer.
type evaluatedListeners struct {
	listeners []v1alpha1.ListenerStatus
	facts     *listenerFacts
	policy    policy
	// backends is the number of backends of all listeners.
	backends int32
	// deciding counts the listeners that affect the verdict. The others count
	// those among them: missing ones, unknown ones that are not missing,
	// unhealthy ones, and unhealthy ones without backends.
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

// condition is Healthy, which is as bad as the worst listener that decides. An
// observation without rows means that there are no backends, unless a listener
// is being configured.
func (v *evaluatedListeners) condition(target *v1alpha1.ObservedTarget, summary *v1alpha1.Summary, acceptProblem string) condition {
	none := v.backends == 0 && (v.unhealthy > 0 || v.unknown == 0) || v.deciding == 0
	switch {
	case none && !v.policy.wantsNone():
		return condition{metav1.ConditionFalse, v1alpha1.ReasonNoBackends, messageNoBackends(target, v.listeners, summary.Unused)}
	case v.empty > 0:
		return condition{metav1.ConditionFalse, v1alpha1.ReasonNoBackends, v.messageOf(v1alpha1.Unhealthy, productOf(target))}
	case v.unhealthy > 0:
		return condition{metav1.ConditionFalse, v1alpha1.ReasonBelowMinHealthy, v.messageOf(v1alpha1.Unhealthy, productOf(target))}
	case v.missing > 0:
		return condition{metav1.ConditionUnknown, v1alpha1.ReasonListenerMissing, messageMissing(v.listeners, acceptProblem)}
	case v.unknown > 0:
		return condition{metav1.ConditionUnknown, v1alpha1.ReasonHealthCheckUnavailable, v.messageOf(v1alpha1.Unknown, productOf(target))}
	case summary.Normal == summary.Backends:
		return condition{metav1.ConditionTrue, v1alpha1.ReasonAllBackendsNormal, messageCounts(summary, v.listeners)}
	default:
		return condition{metav1.ConditionTrue, v1alpha1.ReasonMinHealthyMet, messageCounts(summary, v.listeners)}
	}
}

// messageOf describes the first few deciding listeners that have the health.
func (v *evaluatedListeners) messageOf(health v1alpha1.Health, product string) string {
	var descriptions []string
	checkOff, allFail := false, false
	for i := range v.listeners {
		l := &v.listeners[i]
		if l.Health != health || l.MissingSince != nil || !v.facts.decides(l) {
			continue
		}
		descriptions = append(descriptions, describeListener(l, nameAmong(v.listeners, l), v.policy))
		checkOff = checkOff || uncheckedOn(l) > 0
		allFail = allFail || l.State != v1alpha1.ListenerStopped && l.Backends > 0 && l.Abnormal == l.Backends
	}
	text := fewOf(descriptions, unitOf(v.listeners))
	if checkOff && health == v1alpha1.Unknown {
		text += "; switch the health check on" + switchOf(product) + ", or set healthPolicy.unavailable to Healthy"
	}
	if allFail && product != alicloud.ProductCLB {
		text += "; while all backends of a server group fail, " + failOpenNote(product)
	}
	return text
}

// disruptionsAllowed is how many healthy backends may fail until the policy is not
// met on a listener that decides; known is false where there is none.
func (v *evaluatedListeners) disruptionsAllowed() (allowed int32, known bool) {
	for i := range v.listeners {
		l := &v.listeners[i]
		if !v.facts.decides(l) {
			continue
		}
		healthy, _ := v.policy.healthy(l.Counts)
		spare := int32(max(0, healthy-v.policy.required(l.Backends+l.Missing)))
		if l.Health == v1alpha1.Unhealthy {
			spare = 0 // it may be stopped, whatever its backends
		}
		if !known || spare < allowed {
			allowed, known = spare, true
		}
	}
	return allowed, known
}
