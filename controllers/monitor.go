// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
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

// monitor creates or deletes the object of a Service, and stores the state of the
// Service for metrics. It returns after what time to retry; 0: on the next change.
func (s *ServiceReconciler) monitor(ctx context.Context, service *corev1.Service) (time.Duration, error) {
	decision, invalid := decideMonitor(service, s.MonitorAll)
	inShard := s.Selector == nil || s.Selector.Matches(labels.Set(service.Labels))
	var state string
	var retry time.Duration
	var err error
	switch {
	case invalid == nil:
		if !inShard && decision.action == createObject {
			decision.action = keepObject // another shard creates it
		}
		state, retry, err = s.reconcileObject(ctx, service, decision)
	case inShard:
		s.warn(ctx, service, v1alpha1.EventMonitorAnnotationInvalid, invalid.Error())
		state = stateInvalid
	}
	if err != nil {
		return 0, err
	}
	if !inShard {
		state = "" // another shard counts it
	}
	s.states.set(client.ObjectKeyFromObject(service), state)
	return retry, nil
}

// reconcileObject creates the object of a Service, updates its label, or deletes
// it. The shard of the Service creates the object. The shard of the object
// deletes it: the Service may have moved since.
func (s *ServiceReconciler) reconcileObject(ctx context.Context, service *corev1.Service, decision monitorDecision) (state string, retry time.Duration, err error) {
	object := &v1alpha1.LoadBalancerHealth{}
	err = s.Client.Get(ctx, client.ObjectKeyFromObject(service), object)
	exists := err == nil
	switch {
	case client.IgnoreNotFound(err) != nil:
		return "", 0, err
	case exists && metav1.IsControlledBy(object, service):
		return s.reconcileOwn(ctx, service, object, decision)
	case decision.action != createObject:
		s.refusals.forget(client.ObjectKeyFromObject(service))
		return decision.state, 0, nil
	case !exists:
		return s.create(ctx, service, decision)
	case decision.byDefault && observes(object, service) && !isDeletedSoon(object, service):
		return stateMonitored, s.useForeign(service, object), nil
	default:
		state, retry = s.nameConflict(ctx, service, object)
		return state, retry, nil
	}
}

// reconcileOwn updates or deletes the object of a Service.
func (s *ServiceReconciler) reconcileOwn(ctx context.Context, service *corev1.Service, object *v1alpha1.LoadBalancerHealth, decision monitorDecision) (string, time.Duration, error) {
	if decision.action == deleteObject {
		retry, err := s.remove(ctx, service, object, decision)
		return decision.state, retry, err
	}
	retry, err := s.syncLabel(ctx, service, object)
	return stateMonitored, retry, err
}

// useForeign accepts an object that a user created as the one of a Service. No
// watch reports that an object without serviceRef was deleted, so the operator
// checks that of a load balancer's id periodically.
func (s *ServiceReconciler) useForeign(service *corev1.Service, object *v1alpha1.LoadBalancerHealth) time.Duration {
	s.refusals.forget(client.ObjectKeyFromObject(service))
	if object.Spec.ServiceRef == nil {
		return maxRefusedBackoff
	}
	return 0
}

// create creates an object with the Service's labels, so that it is in the same
// shard, and the same selectors match it.
func (s *ServiceReconciler) create(ctx context.Context, service *corev1.Service, decision monitorDecision) (state string, retry time.Duration, err error) {
	if s.Schema.Lacks(fieldServiceRef) {
		state, retry = s.refuse(ctx, service, "LoadBalancerHealth "+service.Name+" cannot be created: "+outdatedFor(fieldServiceRef))
		return state, retry, nil
	}
	object := &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: service.Namespace, Name: service.Name, Labels: maps.Clone(service.Labels),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: cluster.KindService, Name: service.Name, UID: service.UID, Controller: new(true)}},
		},
		Spec: v1alpha1.LoadBalancerHealthSpec{ServiceRef: &v1alpha1.ServiceReference{Name: service.Name}},
	}
	err = s.Client.Create(ctx, object, fieldOwner)
	switch {
	case err == nil:
		s.refusals.forget(client.ObjectKeyFromObject(service))
		s.record(service, corev1.EventTypeNormal, v1alpha1.EventMonitorCreated, "LoadBalancerHealth "+service.Name+" was created: "+decision.cause)
		return stateMonitored, 0, nil
	case apierrors.IsAlreadyExists(err):
		live := &metav1.PartialObjectMetadata{}
		if err := s.liveMetadata(ctx, object, live); err != nil {
			return statePending, 0, client.IgnoreNotFound(err)
		}
		state, retry = s.nameConflict(ctx, service, live)
		return state, retry, nil
	case isNamespaceTerminating(err):
		return "", 0, nil // the Service terminates, too
	case isRefusal(err):
		state, retry = s.refuse(ctx, service, fmt.Sprintf("LoadBalancerHealth %s cannot be created: %s. Remove the cause, or set the annotation %s to false; the operator retries",
			service.Name, alicloud.CleanText(err.Error()), v1alpha1.MonitorAnnotation))
		return state, retry, nil
	default:
		return statePending, 0, fmt.Errorf("creating the object of Service %s: %w", client.ObjectKeyFromObject(service), err)
	}
}

// nameConflict reports an object that has the name, unless it is deleted soon or
// is the Service's own, which the cache does not have yet.
func (s *ServiceReconciler) nameConflict(ctx context.Context, service *corev1.Service, object metav1.Object) (state string, retry time.Duration) {
	own := metav1.IsControlledBy(object, service)
	if !own && !isDeletedSoon(object, service) {
		return s.refuse(ctx, service, fmt.Sprintf("LoadBalancerHealth %s exists and is not controlled by the Service, so the operator does not change it: delete it, or set the annotation %s to false",
			service.Name, v1alpha1.MonitorAnnotation))
	}
	s.refusals.forget(client.ObjectKeyFromObject(service))
	if own {
		return stateMonitored, 0
	}
	return statePending, 0
}

// isDeletedSoon reports whether an object with the name of a Service is
// terminating, or belongs to a former Service of that name.
func isDeletedSoon(object metav1.Object, service *corev1.Service) bool {
	owner := metav1.GetControllerOf(object)
	return object.GetDeletionTimestamp() != nil ||
		owner != nil && owner.Kind == cluster.KindService && owner.Name == service.Name && owner.UID != service.UID
}

// refuse reports that the object of a Service cannot be created, and returns
// after what time to retry.
func (s *ServiceReconciler) refuse(ctx context.Context, service *corev1.Service, note string) (state string, retry time.Duration) {
	s.warn(ctx, service, v1alpha1.EventMonitorRefused, note)
	return stateRefused, s.refusals.backoff(client.ObjectKeyFromObject(service))
}

// warn logs and records a Warning on a Service, once for each cause.
func (s *ServiceReconciler) warn(ctx context.Context, service *corev1.Service, reason, note string) {
	if !s.refusals.isNew(service, reason+note) {
		return
	}
	log.FromContext(ctx).Info("the object of a Service cannot be created", "reason", reason, "message", note)
	s.record(service, corev1.EventTypeWarning, reason, note)
}

// record records an event on a Service.
func (s *ServiceReconciler) record(service *corev1.Service, eventType, reason, note string) {
	e := objectEvent{eventType, reason, note, "metadata.annotations[" + v1alpha1.MonitorAnnotation + "]"}
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

// remove deletes the object of a Service that no longer has one, unless another
// field manager manages its spec.
func (s *ServiceReconciler) remove(ctx context.Context, service *corev1.Service, object *v1alpha1.LoadBalancerHealth, decision monitorDecision) (time.Duration, error) {
	live, err := s.readIfSoleManager(ctx, service, object, "it is not deleted")
	if live == nil {
		return 0, err
	}
	s.refusals.forget(client.ObjectKeyFromObject(service))
	// The next reconcile handles a change since the read.
	err = s.Client.Delete(ctx, object, client.Preconditions{UID: &live.UID, ResourceVersion: &live.ResourceVersion})
	if err == nil && service.DeletionTimestamp.IsZero() {
		s.record(service, corev1.EventTypeNormal, v1alpha1.EventMonitorDeleted, "LoadBalancerHealth "+object.Name+" was deleted: "+decision.cause)
	}
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
	if manager, conflicts := conflictingManager(live.ManagedFields); conflicts {
		if s.refusals.isNew(service, consequence+manager) {
			log.FromContext(ctx).Info("the object is not the operator's alone: "+consequence, "name", object.Name, "manager", manager)
		}
		return nil, nil
	}
	return live, nil
}

// conflictingManager returns the first manager other than the operator that has a
// field of the spec. Without any manager of the spec, as after a reset of
// managedFields, the origin of the object is unknown, which conflicts as well.
func conflictingManager(managed []metav1.ManagedFieldsEntry) (manager string, conflicts bool) {
	own := false
	for i := range managed {
		entry := &managed[i]
		if !managesSpec(entry) {
			continue
		}
		if entry.Manager != string(fieldOwner) {
			return entry.Manager, true
		}
		own = true
	}
	return "", !own
}

func managesSpec(entry *metav1.ManagedFieldsEntry) bool {
	if entry.FieldsV1 == nil {
		return false
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
		return entry.Manager != string(fieldOwner) // it may
	}
	_, found := fields["f:spec"]
	return found
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
