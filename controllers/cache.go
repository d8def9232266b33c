// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// Slim is the cache's transform: it drops what the operator never reads of an
// object, and keeps each of the few words that make up most statuses once, not
// once for each row. Statuses are written by patches of what differs, so
// nothing that is dropped here is lost.
func Slim(object any) (any, error) {
	lbh, ok := object.(*v1alpha1.LoadBalancerHealth)
	if !ok {
		return object, nil
	}
	lbh.ManagedFields = nil
	delete(lbh.Annotations, corev1.LastAppliedConfigAnnotation)
	status := &lbh.Status
	for i := range status.Backends {
		row := &status.Backends[i]
		for _, word := range []*string{&row.Type, &row.ListenerProtocol, &row.ServerHealthStatus} {
			shareWord(word)
		}
	}
	for i := range status.Listeners {
		shareWord(&status.Listeners[i].Protocol)
		shareWord(&status.Listeners[i].Health)
	}
	for i := range status.Conditions {
		shareCondition(&status.Conditions[i])
	}
	return lbh, nil
}

func shareCondition(c *metav1.Condition) {
	shareWord(&c.Status)
	for _, word := range []*string{&c.Type, &c.Reason, &c.Message} {
		shareWord(word)
	}
}

// shareWord makes equal words share their memory.
func shareWord[T ~string](word *T) { *word = unique.Make(*word).Value() }
