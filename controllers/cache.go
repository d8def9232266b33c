// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// CacheOptions are those of the manager's cache: what it holds, and how much of
// it. Pods that ended are not among it: they are nobody's backend, and in some
// clusters most there are.
func CacheOptions(namespaces []string, selector labels.Selector, names *Names) cache.Options {
	served := make(map[string]cache.Config, len(namespaces))
	for _, namespace := range namespaces {
		served[namespace] = cache.Config{}
	}
	running := fields.AndSelectors(
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)))
	return cache.Options{
		DefaultNamespaces: served,
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.LoadBalancerHealth{}: {Label: selector},
			&corev1.Pod{}:                  {Field: running},
		},
		DefaultTransform:         Slim,
		DefaultWatchErrorHandler: names.watchFailed,
	}
}

// Slim is the cache's transform: it drops what the operator never reads of an
// object, and keeps each of the few words that make up most statuses once, not
// once for each row. Statuses are written by patches of what differs, so
// nothing that is dropped here is lost.
func Slim(object any) (any, error) {
	switch object := object.(type) {
	case *v1alpha1.LoadBalancerHealth:
		slim(object)
	case *corev1.Service:
		return slimService(object), nil
	case *corev1.Node:
		return slimNode(object), nil
	case *corev1.Pod:
		return slimPod(object), nil
	}
	return object, nil
}

// only keeps the entries of a map that have one of the keys; nil for none.
func only(all map[string]string, keys ...string) map[string]string {
	var kept map[string]string
	for _, key := range keys {
		value, ok := all[key]
		if !ok {
			continue
		}
		if kept == nil {
			kept = map[string]string{}
		}
		kept[key] = value
	}
	return kept
}

func slim(lbh *v1alpha1.LoadBalancerHealth) {
	lbh.ManagedFields = nil
	delete(lbh.Annotations, corev1.LastAppliedConfigAnnotation)
	status := &lbh.Status
	for i := range status.Backends {
		row := &status.Backends[i]
		for _, word := range []*string{&row.Type, &row.ListenerProtocol, &row.ServerHealthStatus} {
			shareWord(word)
		}
		if row.Node != "" {
			shareWord(&row.Node)
		}
		if row.Diagnosis != "" {
			shareWord(&row.Diagnosis)
		}
	}
	for i := range status.Listeners {
		shareWord(&status.Listeners[i].Protocol)
		shareWord(&status.Listeners[i].Health)
	}
	for i := range status.Conditions {
		shareCondition(&status.Conditions[i])
	}
}

func shareCondition(c *metav1.Condition) {
	shareWord(&c.Status)
	for _, word := range []*string{&c.Type, &c.Reason, &c.Message} {
		shareWord(word)
	}
}

// shareWord makes equal words share their memory.
func shareWord[T ~string](word *T) { *word = unique.Make(*word).Value() }
