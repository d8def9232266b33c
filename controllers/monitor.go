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

// Backoff of an object that was refused: no watch says that a quota has room again.
const (
	minRefusedBackoff = time.Second
	maxRefusedBackoff = time.Minute
)

// monitor creates the object that a Service asks for, keeps its label, and
// deletes it when the Service asks no more. It returns when to try again; 0:
// when something changes. The shard that the Service selects creates the object,
// and the one that serves it deletes it: the Service's labels may have changed since.
func (s *ServiceReconciler) monitor(ctx context.Context, service *corev1.Service) (time.Duration, error) {
	wanted, err := wantsObject(service)
	ours := s.Selector == nil || s.Selector.Matches(labels.Set(service.Labels))
	if err != nil {
		if ours {
			s.report(ctx, service, objectEvent{reason: v1alpha1.EventMonitorAnnotationInvalid, note: err.Error()})
		}
		return 0, nil
	}
	object := &v1alpha1.LoadBalancerHealth{}
	err = s.Client.Get(ctx, client.ObjectKeyFromObject(service), object)
	switch {
	case apierrors.IsNotFound(err) && wanted && ours:
		return s.create(ctx, service)
	case apierrors.IsNotFound(err):
		s.refusals.forget(client.ObjectKeyFromObject(service))
		return 0, nil
	case err != nil:
		return 0, err
	case wanted && !metav1.IsControlledBy(object, service):
		if !ours {
			return 0, nil
		}
		return s.taken(ctx, service, object), nil
	case wanted:
		return s.follows(ctx, service, object)
	case metav1.IsControlledBy(object, service):
		return s.remove(ctx, service, object)
	default:
		s.refusals.forget(client.ObjectKeyFromObject(service))
		return 0, nil
	}
}

// wantsObject reads the annotation of a Service: true where it asks for an
// object, and an error where it says neither yes nor no.
func wantsObject(service *corev1.Service) (bool, error) {
	value, found := service.Annotations[v1alpha1.MonitorAnnotation]
	if !found || !service.DeletionTimestamp.IsZero() {
		return false, nil
	}
	wanted, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(value)))
	if err != nil {
		return false, fmt.Errorf("the annotation %s has the value %q, which is neither true nor false: write one of them; nothing changes until then", v1alpha1.MonitorAnnotation, alicloud.CleanText(value))
	}
	return wanted, nil
}

// create makes an object with the Service's labels, so that it is of the same
// shard, and shows up under the same selectors.
func (s *ServiceReconciler) create(ctx context.Context, service *corev1.Service) (time.Duration, error) {
	if s.Schema.Lacks(fieldServiceRef) {
		return s.refused(ctx, service, "LoadBalancerHealth "+service.Name+" cannot be created: "+outdatedFor(fieldServiceRef)), nil
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
		return s.taken(ctx, service, live), nil
	case isOfEndingNamespace(err):
		return 0, nil // and so is the Service
	case isRefusal(err):
		return s.refused(ctx, service, fmt.Sprintf("LoadBalancerHealth %s cannot be created: %s. Change what refuses it, or the annotation %s; the operator tries again",
			service.Name, alicloud.CleanText(err.Error()), v1alpha1.MonitorAnnotation)), nil
	default:
		return 0, fmt.Errorf("creating the object of Service %s: %w", client.ObjectKeyFromObject(service), err)
	}
}

// taken handles an object that has the name, unless it is this Service's, or
// about to be deleted, as that of a former Service of the name.
func (s *ServiceReconciler) taken(ctx context.Context, service *corev1.Service, object metav1.Object) time.Duration {
	owner := metav1.GetControllerOf(object)
	if owner != nil && owner.Kind == cluster.KindService && owner.Name == service.Name || object.GetDeletionTimestamp() != nil {
		s.refusals.forget(client.ObjectKeyFromObject(service))
		return 0
	}
	return s.refused(ctx, service, fmt.Sprintf("LoadBalancerHealth %s exists and does not belong to the Service, so the operator leaves it alone: delete it, or set the annotation %s to false",
		service.Name, v1alpha1.MonitorAnnotation))
}

// refused reports that the object of a Service cannot be made, and says when to try again.
func (s *ServiceReconciler) refused(ctx context.Context, service *corev1.Service, note string) time.Duration {
	s.report(ctx, service, objectEvent{reason: v1alpha1.EventMonitorRefused, note: note})
	return s.refusals.backoff(client.ObjectKeyFromObject(service))
}

// report records a Warning on a Service once for each cause.
func (s *ServiceReconciler) report(ctx context.Context, service *corev1.Service, e objectEvent) {
	if !s.refusals.isNew(service, e.reason+e.note) {
		return
	}
	log.FromContext(ctx).Info("a Service asks for an object that cannot be made", "reason", e.reason, "message", e.note)
	e.eventType, e.about = corev1.EventTypeWarning, "metadata.annotations["+v1alpha1.MonitorAnnotation+"]"
	e.recordOn(s.Events, actionMonitor, &corev1.ObjectReference{
		APIVersion: "v1", Kind: cluster.KindService, Namespace: service.Namespace, Name: service.Name, UID: service.UID,
	})
}

// follows keeps the load balancer's label of an object that of its Service.
func (s *ServiceReconciler) follows(ctx context.Context, service *corev1.Service, object *v1alpha1.LoadBalancerHealth) (time.Duration, error) {
	const label = v1alpha1.ServiceLoadBalancerLabel
	is, has := service.Labels[label]
	was, had := object.Labels[label]
	if is == was && has == had {
		s.refusals.forget(client.ObjectKeyFromObject(service))
		return 0, nil
	}
	if live, err := s.ownOnly(ctx, service, object, "its label is not updated"); live == nil {
		return 0, err
	}
	var value any
	if has {
		value = is
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": object.UID, "labels": map[string]any{label: value}}})
	if err != nil {
		return 0, err
	}
	target := &v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Namespace: object.Namespace, Name: object.Name}}
	err = s.Client.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch), fieldOwner)
	return ignoreOvertaken(err)
}

// remove deletes the object of a Service that asks no more, unless others
// manage it by now.
func (s *ServiceReconciler) remove(ctx context.Context, service *corev1.Service, object *v1alpha1.LoadBalancerHealth) (time.Duration, error) {
	live, err := s.ownOnly(ctx, service, object, "it is not deleted")
	if live == nil {
		return 0, err
	}
	s.refusals.forget(client.ObjectKeyFromObject(service))
	// What became of it since it was read is for the next time.
	err = s.Client.Delete(ctx, object, client.Preconditions{UID: &live.UID, ResourceVersion: &live.ResourceVersion})
	return ignoreOvertaken(err)
}

// ownOnly reads an object past the cache, which holds no managers of fields;
// nil where it is gone, or others manage its spec.
func (s *ServiceReconciler) ownOnly(ctx context.Context, service *corev1.Service, object *v1alpha1.LoadBalancerHealth, so string) (*metav1.PartialObjectMetadata, error) {
	live := &metav1.PartialObjectMetadata{}
	if err := s.liveMetadata(ctx, object, live); err != nil || live.UID != object.UID {
		return nil, client.IgnoreNotFound(err)
	}
	if other := otherManager(live.ManagedFields); other != "" {
		if s.refusals.isNew(service, so+other) {
			log.FromContext(ctx).Info("another manager has fields of the object's spec, so the operator leaves it alone: "+so, "name", object.Name, "manager", other)
		}
		return nil, nil
	}
	return live, nil
}

// otherManager is the first manager of a field of the spec that is not the operator; "": none.
func otherManager(managed []metav1.ManagedFieldsEntry) string {
	for i := range managed {
		entry := &managed[i]
		if entry.Manager == string(fieldOwner) || entry.FieldsV1 == nil {
			continue
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			return entry.Manager // it may be
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

// ignoreOvertaken turns the conflict of a write that others came before into a time to try again.
func ignoreOvertaken(err error) (time.Duration, error) {
	if isConflict(err) {
		return conflictRetry, nil
	}
	return 0, client.IgnoreNotFound(err)
}

// isRefusal tells whether the API server refused an object for what it is, as
// for a quota or a policy: to ask again at once is of no use.
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

// isOfEndingNamespace tells whether a write was refused because the namespace is
// being deleted, or is gone: nothing there needs the write any more.
func isOfEndingNamespace(err error) bool {
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

// refusals remembers of Services what was reported, so that a cause is
// reported once, and how often the object was refused. It starts empty.
type refusals struct {
	byService sync.Map // types.NamespacedName to refusal
}

type refusal struct {
	uid   types.UID
	cause string
	tries int
}

// numbers differ between two equal causes, as the use of a quota does.
var numbers = regexp.MustCompile(`\d+`)

// isNew tells whether a cause was not reported of a Service yet, and remembers it.
func (r *refusals) isNew(service *corev1.Service, cause string) bool {
	key, is := client.ObjectKeyFromObject(service), r.of(client.ObjectKeyFromObject(service))
	cause = numbers.ReplaceAllString(cause, "#")
	if is.uid == service.UID && is.cause == cause {
		return false
	}
	r.byService.Store(key, refusal{uid: service.UID, cause: cause})
	return true
}

// backoff counts a try, and returns how long to wait for the next.
func (r *refusals) backoff(key types.NamespacedName) time.Duration {
	is := r.of(key)
	wait := min(minRefusedBackoff<<min(is.tries, 10), maxRefusedBackoff)
	is.tries++
	r.byService.Store(key, is)
	return wait
}

func (r *refusals) forget(key types.NamespacedName) { r.byService.Delete(key) }

func (r *refusals) of(key types.NamespacedName) refusal {
	if found, ok := r.byService.Load(key); ok {
		return found.(refusal)
	}
	return refusal{}
}
