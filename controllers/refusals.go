// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"regexp"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Backoff after the API server refused an object: no watch reports that a quota
// has room again.
const (
	minRefusedBackoff = time.Second
	maxRefusedBackoff = time.Minute
)

// refusals is what this process reported on each Service, so that it reports a
// cause once, and how often the API server refused the object. A process may
// lose all of it.
type refusals struct {
	byService sync.Map // types.NamespacedName to refusal
}

type refusal struct {
	uid      types.UID
	cause    string
	attempts int
}

// numbers differ between two reports of one cause, such as the usage of a quota.
var numbers = regexp.MustCompile(`\d+`)

// isNew reports whether a cause is a new one for a Service, and stores it.
func (r *refusals) isNew(service *corev1.Service, cause string) bool {
	key := client.ObjectKeyFromObject(service)
	last := r.of(key)
	cause = numbers.ReplaceAllString(cause, "#")
	if last.uid == service.UID && last.cause == cause {
		return false
	}
	r.byService.Store(key, refusal{uid: service.UID, cause: cause})
	return true
}

// backoff counts an attempt, and returns the delay before the next.
func (r *refusals) backoff(key types.NamespacedName) time.Duration {
	last := r.of(key)
	delay := min(minRefusedBackoff<<min(last.attempts, 10), maxRefusedBackoff)
	last.attempts++
	r.byService.Store(key, last)
	return delay
}

func (r *refusals) forget(key types.NamespacedName) { r.byService.Delete(key) }

func (r *refusals) of(key types.NamespacedName) refusal {
	if found, ok := r.byService.Load(key); ok {
		return found.(refusal)
	}
	return refusal{}
}
