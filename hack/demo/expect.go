// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// An expectation is one thing that a step must make visible in the cluster.
type expectation struct {
	what string
	// check returns whether the snapshot meets it, and what the snapshot has.
	check func(snapshot) (met bool, seen string)
}

// unmet describes the expectations that are not met; "" when all are.
func unmet(expected []expectation, now snapshot) string {
	var lines []string
	for _, e := range expected {
		if met, seen := e.check(now); !met {
			lines = append(lines, "  expected: "+e.what, "  seen:     "+seen)
		}
	}
	return strings.Join(lines, "\n")
}

// An object is the name of a LoadBalancerHealth.
type object string

// condition expects a condition that was decided for the current spec.
func (o object) condition(conditionType string, status metav1.ConditionStatus, reason string) expectation {
	return o.expect(fmt.Sprintf("%s is %s (%s)", conditionType, status, reason), func(found *v1alpha1.LoadBalancerHealth, _ snapshot) (bool, string) {
		c := meta.FindStatusCondition(found.Status.Conditions, conditionType)
		if c == nil {
			return false, "no condition " + conditionType
		}
		met := c.Status == status && c.Reason == reason && c.ObservedGeneration == found.Generation
		return met, fmt.Sprintf("%s is %s (%s: %s)", conditionType, c.Status, c.Reason, c.Message)
	})
}

// steadilyReady expects no transition of Ready since the step began.
func (o object) steadilyReady() expectation {
	return o.expect("Ready unchanged", func(found *v1alpha1.LoadBalancerHealth, now snapshot) (bool, string) {
		c := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionReady)
		if c == nil {
			return false, "no condition Ready"
		}
		return !c.LastTransitionTime.After(now.since), "Ready changed to " + string(c.Status) + " meanwhile"
	})
}

// counts expects so many normal and so many abnormal backends.
func (o object) counts(normal, abnormal int32) expectation {
	text := func(n, a int32) string { return fmt.Sprintf("%d normal, %d abnormal", n, a) }
	return o.expect(text(normal, abnormal), func(found *v1alpha1.LoadBalancerHealth, _ snapshot) (bool, string) {
		summary := found.Status.Summary
		if summary == nil {
			return false, "no summary"
		}
		return summary.Normal == normal && summary.Abnormal == abnormal, text(summary.Normal, summary.Abnormal)
	})
}

// event expects events of one reason: for each text, one whose note contains it.
func (o object) event(reason string, texts ...string) expectation {
	return o.expect("event "+reason+" about "+strings.Join(texts, ", "), func(found *v1alpha1.LoadBalancerHealth, now snapshot) (bool, string) {
		var notes, seen []string
		for _, e := range now.events {
			if e.Regarding.UID != found.UID {
				continue
			}
			seen = append(seen, e.Reason+": "+e.Note)
			if e.Reason == reason {
				notes = append(notes, e.Note)
			}
		}
		for _, text := range texts {
			if !slices.ContainsFunc(notes, func(note string) bool { return strings.Contains(note, text) }) {
				return false, fmt.Sprintf("%d events %s", len(seen), strings.Join(seen, "; "))
			}
		}
		return true, ""
	})
}

// closedGates expects so many pods whose gate is closed for the reason.
func (o object) closedGates(number int, reason string) expectation {
	text := func(n int) string { return fmt.Sprintf("%d closed gates (%s)", n, reason) }
	return o.expect(text(number), func(_ *v1alpha1.LoadBalancerHealth, now snapshot) (bool, string) {
		closed := 0
		for i := range now.pods {
			for _, c := range now.pods[i].Status.Conditions {
				if string(c.Type) == v1alpha1.ReadinessGatePrefix+string(o) && c.Status == corev1.ConditionFalse && c.Reason == reason {
					closed++
				}
			}
		}
		return closed == number, text(closed)
	})
}

// fewestServing expects that at some time so many backends served, and never fewer.
func (o object) fewestServing(number int) expectation {
	text := func(n int) string { return fmt.Sprintf("the fewest that served were %d", n) }
	return o.expect(text(number), func(_ *v1alpha1.LoadBalancerHealth, now snapshot) (bool, string) {
		return now.fewest == number, text(now.fewest)
	})
}

func (o object) expect(what string, check func(*v1alpha1.LoadBalancerHealth, snapshot) (bool, string)) expectation {
	return expectation{
		what: string(o) + ": " + what,
		check: func(now snapshot) (bool, string) {
			for i := range now.objects {
				if now.objects[i].Name == string(o) {
					met, seen := check(&now.objects[i], now)
					return met, string(o) + ": " + seen
				}
			}
			return false, string(o) + ": no such object"
		},
	}
}
