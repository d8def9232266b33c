// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
)

// fieldOwner is the operator's name among the managers of an object's fields.
const fieldOwner = client.FieldOwner("slb-health-operator")

// Backoff after the API server refused an object: no watch reports that a quota
// has room again.
const (
	minRefusedBackoff = time.Second
	maxRefusedBackoff = time.Minute
)

// monitor creates the object of a Service with MonitorAnnotation, updates its
// label, and deletes it when the annotation is removed. It returns after what
// time to retry; 0: on the next change. The shard of the Service creates the
// object. The shard of the object deletes it: the Service may have moved since.
func (s *ServiceReconciler) monitor(ctx context.Context, service *corev1.Service) (time.Duration, error) {
	monitored, err := isMonitored(service)
	inShard := s.Selector == nil || s.Selector.Matches(labels.Set(service.Labels))
	if err != nil {
		if inShard {
			s.report(ctx, service, objectEvent{reason: v1alpha1.EventMonitorAnnotationInvalid, note: err.Error()})
		}
		return 0, nil
	}
	object := &v1alpha1.LoadBalancerHealth{}
	err = s.Client.Get(ctx, client.ObjectKeyFromObject(service), object)
	switch {
	case apierrors.IsNotFound(err) && monitored && inShard:
		return s.create(ctx, service)
	case apierrors.IsNotFound(err):
		s.refusals.forget(client.ObjectKeyFromObject(service))
		return 0, nil
	case err != nil:
		return 0, err
	case monitored && !metav1.IsControlledBy(object, service):
		if !inShard {
			return 0, nil
		}
		return s.nameConflict(ctx, service, object), nil
	case monitored:
		return s.syncLabel(ctx, service, object)
	case metav1.IsControlledBy(object, service):
		return s.remove(ctx, service, object)
	default:
		s.refusals.forget(client.ObjectKeyFromObject(service))
		return 0, nil
	}
}

// isMonitored parses the annotation of a Service: true when it requests an
// object, and an error when it is no boolean.
func isMonitored(service *corev1.Service) (bool, error) {
	value, found := service.Annotations[v1alpha1.MonitorAnnotation]
	if !found || !service.DeletionTimestamp.IsZero() {
		return false, nil
	}
	monitored, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(value)))
	if err != nil {
		return false, fmt.Errorf("the annotation %s has the value %q, which is neither true nor false: write one of them; nothing changes until then", v1alpha1.MonitorAnnotation, alicloud.CleanText(value))
	}
	return monitored, nil
}

// create creates an object with the Service's labels, so that it is in the same
// shard, and the same selectors match it.
func (s *ServiceReconciler) create(ctx context.Context, service *corev1.Service) (time.Duration, error) {
	if s.Schema.Lacks(fieldServiceRef) {
		return s.reportRefusal(ctx, service, "LoadBalancerHealth "+service.Name+" cannot be created: "+outdatedFor(fieldServiceRef)), nil
	}
	object := &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: service.Namespace, Name: service.Name, Labels: maps.Clone(service.Labels),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: cluster.KindService, Name: service.Name, UID: service.UID, Controller: new(true)}},
		},
		Spec: v1alpha1.LoadBalancerHealthSpec{ServiceRef: &v1alpha1.ServiceReference{Name: service.Name}},
	}
	err := s.Client.Create(ctx, object, fieldOwner)
	switch {
	case err == nil:
		s.refusals.forget(client.ObjectKeyFromObject(service))
		return 0, nil
	case apierrors.IsAlreadyExists(err):
		live := &metav1.PartialObjectMetadata{}
		if err := s.liveMetadata(ctx, object, live); err != nil {
			return 0, client.IgnoreNotFound(err)
		}
		return s.nameConflict(ctx, service, live), nil
	case isNamespaceTerminating(err):
		return 0, nil // the Service terminates, too
	case isRefusal(err):
		return s.reportRefusal(ctx, service, fmt.Sprintf("LoadBalancerHealth %s cannot be created: %s. Remove the cause, or set the annotation %s to false; the operator retries",
			service.Name, alicloud.CleanText(err.Error()), v1alpha1.MonitorAnnotation)), nil
	default:
		return 0, fmt.Errorf("creating the object of Service %s: %w", client.ObjectKeyFromObject(service), err)
	}
}

// nameConflict reports an object that has the name. It does not report one that
// is deleted soon: a terminating one, and that of a former Service of the name.
func (s *ServiceReconciler) nameConflict(ctx context.Context, service *corev1.Service, object metav1.Object) time.Duration {
	owner := metav1.GetControllerOf(object)
	if owner != nil && owner.Kind == cluster.KindService && owner.Name == service.Name || object.GetDeletionTimestamp() != nil {
		s.refusals.forget(client.ObjectKeyFromObject(service))
		return 0
	}
	return s.reportRefusal(ctx, service, fmt.Sprintf("LoadBalancerHealth %s exists and is not controlled by the Service, so the operator does not change it: delete it, or set the annotation %s to false",
		service.Name, v1alpha1.MonitorAnnotation))
}

// reportRefusal reports that the object of a Service cannot be created, and
// returns after what time to retry.
func (s *ServiceReconciler) reportRefusal(ctx context.Context, service *corev1.Service, note string) time.Duration {
	s.report(ctx, service, objectEvent{reason: v1alpha1.EventMonitorRefused, note: note})
	return s.refusals.backoff(client.ObjectKeyFromObject(service))
}

// report records a Warning on a Service, once for each cause.
func (s *ServiceReconciler) report(ctx context.Context, service *corev1.Service, e objectEvent) {
	if !s.refusals.isNew(service, e.reason+e.note) {
		return
	}
	log.FromContext(ctx).Info("the object of a Service cannot be created", "reason", e.reason, "message", e.note)
	e.eventType, e.about = corev1.EventTypeWarning, "metadata.annotations["+v1alpha1.MonitorAnnotation+"]"
	e.recordOn(s.Events, actionMonitor, &corev1.ObjectReference{
		APIVersion: "v1", Kind: cluster.KindService, Namespace: service.Namespace, Name: service.Name, UID: service.UID,
	})
}

// syncLabel copies the load balancer's label of a Service to its object.
func (s *ServiceReconciler) syncLabel(ctx context.Context, service *corev1.Service, object *v1alpha1.LoadBalancerHealth) (time.Duration, error) {
	const label = v1alpha1.ServiceLoadBalancerLabel
	want, wanted := service.Labels[label]
	got, found := object.Labels[label]
	if got == want && found == wanted {
		s.refusals.forget(client.ObjectKeyFromObject(service))
		return 0, nil
	}
	if live, err := s.readIfSoleManager(ctx, service, object, "its label is not updated"); live == nil {
		return 0, err
	}
	var value any
	if wanted {
		value = want
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": object.UID, "labels": map[string]any{label: value}}})
	if err != nil {
		return 0, err
	}
	target := &v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: object.Namespace, Name: object.Name}}
	err = s.Client.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch), fieldOwner)
	return requeueConflict(err)
}

// remove deletes the object of a Service that no longer requests it, unless
// another field manager manages its spec.
func (s *ServiceReconciler) remove(ctx context.Context, service *corev1.Service, object *v1alpha1.LoadBalancerHealth) (time.Duration, error) {
	live, err := s.readIfSoleManager(ctx, service, object, "it is not deleted")
	if live == nil {
		return 0, err
	}
	s.refusals.forget(client.ObjectKeyFromObject(service))
	// The next reconcile handles a change since the read.
	err = s.Client.Delete(ctx, object, client.Preconditions{UID: &live.UID, ResourceVersion: &live.ResourceVersion})
	return requeueConflict(err)
}

// readIfSoleManager reads an object past the cache, which drops managedFields.
// It returns nil when the object does not exist, or when another manager has a
// field of its spec; consequence is what the log then says.
func (s *ServiceReconciler) readIfSoleManager(ctx context.Context, service *corev1.Service, object *v1alpha1.LoadBalancerHealth, consequence string) (*metav1.PartialObjectMetadata, error) {
	live := &metav1.PartialObjectMetadata{}
	if err := s.liveMetadata(ctx, object, live); err != nil || live.UID != object.UID {
		return nil, client.IgnoreNotFound(err)
	}
	if manager := conflictingManager(live.ManagedFields); manager != "" {
		if s.refusals.isNew(service, consequence+manager) {
			log.FromContext(ctx).Info("another manager has fields of the object's spec: "+consequence, "name", object.Name, "manager", manager)
		}
		return nil, nil
	}
	return live, nil
}

// conflictingManager is the first manager other than the operator that has a
// field of the spec; "": none.
func conflictingManager(managed []metav1.ManagedFieldsEntry) string {
	for i := range managed {
		entry := &managed[i]
		if entry.Manager == string(fieldOwner) || entry.FieldsV1 == nil {
			continue
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			return entry.Manager // it may have one
		}
		if _, found := fields["f:spec"]; found {
			return entry.Manager
		}
	}
	return ""
}

// liveMetadata reads the metadata of an object past the cache.
func (s *ServiceReconciler) liveMetadata(ctx context.Context, object client.Object, live *metav1.PartialObjectMetadata) error {
	ctx, cancel := context.WithTimeout(ctx, kubernetesTimeout)
	defer cancel()
	live.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.Kind))
	return s.Live.Get(ctx, client.ObjectKeyFromObject(object), live)
}

// requeueConflict returns after what time to retry a write that conflicted.
func requeueConflict(err error) (time.Duration, error) {
	if isConflict(err) {
		return conflictRetry, nil
	}
	return 0, client.IgnoreNotFound(err)
}

// isRefusal reports whether the API server rejected an object itself, as a quota
// or a policy does: an immediate retry is of no use.
func isRefusal(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	switch code := status.Status().Code; code {
	case http.StatusUnauthorized, http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return false
	default:
		return code >= http.StatusBadRequest && code < http.StatusInternalServerError
	}
}

// isNamespaceTerminating reports whether a write was refused because the
// namespace is terminating or deleted: the write is no longer needed.
func isNamespaceTerminating(err error) bool {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return true
	}
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Kind == "namespaces"
}

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
