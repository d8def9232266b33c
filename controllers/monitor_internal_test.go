// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
)

var (
	healths  = schema.GroupResource{Group: "slb.lbhealth.dev", Resource: "loadbalancerhealths"}
	errQuota = apierrors.NewForbidden(healths, "web", errors.New("exceeded quota: few, requested: count/loadbalancerhealths.slb.lbhealth.dev=1, used: 2, limited: 2"))
)

// monitorCluster is a client.Client with a Service, and at most one object of its name.
type monitorCluster struct {
	fakeCluster
	service *corev1.Service
	object  *v1alpha1.LoadBalancerHealth // in the cache
	stored  *v1alpha1.LoadBalancerHealth // in the API server; nil: as in the cache
	err     error                        // of Create and Delete

	created, deleted, patched int
	patch                     string
	fieldOwner                string
}

func (c *monitorCluster) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	switch into := into.(type) {
	case *corev1.Service:
		if c.service == nil {
			return apierrors.NewNotFound(corev1.Resource("services"), key.Name)
		}
		c.service.DeepCopyInto(into)
	case *v1alpha1.LoadBalancerHealth:
		if c.object == nil {
			return apierrors.NewNotFound(healths, key.Name)
		}
		c.object.DeepCopyInto(into)
		into.ManagedFields = nil // as the cache's transform does
	case *metav1.PartialObjectMetadata:
		live := c.stored
		if live == nil {
			live = c.object
		}
		if live == nil {
			return apierrors.NewNotFound(healths, key.Name)
		}
		live.ObjectMeta.DeepCopyInto(&into.ObjectMeta)
	}
	return nil
}

func (c *monitorCluster) Create(_ context.Context, _ client.Object, options ...client.CreateOption) error {
	var applied client.CreateOptions
	applied.ApplyOptions(options)
	c.created, c.fieldOwner = c.created+1, applied.FieldManager
	return c.err
}

func (c *monitorCluster) Delete(_ context.Context, _ client.Object, options ...client.DeleteOption) error {
	var applied client.DeleteOptions
	applied.ApplyOptions(options)
	if applied.Preconditions == nil || applied.Preconditions.UID == nil || applied.Preconditions.ResourceVersion == nil {
		return errors.New("the deletion has no preconditions")
	}
	c.deleted++
	return c.err
}

func (c *monitorCluster) Patch(_ context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	var applied client.PatchOptions
	applied.ApplyOptions(options)
	data, err := patch.Data(object)
	c.patched, c.patch, c.fieldOwner = c.patched+1, string(data), applied.FieldManager
	return err
}

// webService is a Service with the load balancer lb-1.
func webService(annotations map[string]string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "prod", Name: "web", UID: "u", ResourceVersion: "7",
			Labels: map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-1", "app": "web"}, Annotations: annotations,
		},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}}},
	}
}

func monitoredService(annotation string) *corev1.Service {
	service := webService(map[string]string{v1alpha1.MonitorAnnotation: annotation})
	service.UID = "uid-service"
	return service
}

// ownedByService makes the Service web the controller of an object.
func ownedByService(o *v1alpha1.LoadBalancerHealth) {
	withServiceRef("web", nil)(o)
	o.Labels = map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-1"}
	o.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: cluster.KindService, Name: "web", UID: "uid-service", Controller: new(true)}}
	managedBy(string(fieldOwner), `{"f:spec":{"f:serviceRef":{}}}`, "")(o)
}

func withoutManagers(o *v1alpha1.LoadBalancerHealth) { o.ManagedFields = nil }

func managedBy(manager, fields, subresource string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.ManagedFields = append(o.ManagedFields, metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationApply, Subresource: subresource, FieldsV1: metav1.NewFieldsV1(fields),
		})
	}
}

const (
	specFields  = `{"f:spec":{"f:interval":{}}}`
	labelFields = `{"f:metadata":{"f:labels":{"f:app":{}}}}`
)

func (c *monitorCluster) services() (*ServiceReconciler, *fakeRecorder) {
	services, recorder := newServiceReconciler(c, newClock())
	services.Enabled, services.RegionID = true, "cn-hangzhou"
	return services, recorder
}

func serviceObject(edits ...func(*v1alpha1.LoadBalancerHealth)) *v1alpha1.LoadBalancerHealth {
	object := newObject(append([]func(*v1alpha1.LoadBalancerHealth){ownedByService}, edits...)...)
	return &object
}

// foreignObject is an object that no Service controls.
func foreignObject() *v1alpha1.LoadBalancerHealth {
	return serviceObject(func(o *v1alpha1.LoadBalancerHealth) { o.OwnerReferences = nil })
}

func ownedBy(uid types.UID) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) { o.OwnerReferences[0].UID = uid }
}

func terminating(o *v1alpha1.LoadBalancerHealth) {
	o.OwnerReferences, o.DeletionTimestamp = nil, &metav1.Time{Time: start}
}

var monitorTests = map[string]struct {
	annotation                string
	object, stored            *v1alpha1.LoadBalancerHealth
	err                       error
	created, deleted, patched int
	event                     string
	retry                     bool
}{
	"monitored":                             {annotation: "true", created: 1, event: v1alpha1.EventMonitorCreated},
	"not monitored":                         {annotation: "false"},
	"the object exists":                     {annotation: "true", object: serviceObject()},
	"no longer monitored":                   {annotation: "false", object: serviceObject(), deleted: 1, event: v1alpha1.EventMonitorDeleted},
	"another manager has labels":            {annotation: "false", object: serviceObject(managedBy("kubectl", labelFields, "")), deleted: 1, event: v1alpha1.EventMonitorDeleted},
	"no manager has its spec":               {annotation: "false", object: serviceObject(withoutManagers, managedBy(string(fieldOwner), labelFields, ""))},
	"another manager has the status":        {annotation: "false", object: serviceObject(managedBy("other", `{"f:status":{}}`, "status")), deleted: 1, event: v1alpha1.EventMonitorDeleted},
	"another manager has its spec":          {annotation: "false", object: serviceObject(managedBy("argocd", specFields, ""))},
	"another manager has unreadable fields": {annotation: "false", object: serviceObject(managedBy("argocd", `{"f:`, ""))},
	"the object was replaced":               {annotation: "false", object: serviceObject(), stored: serviceObject(func(o *v1alpha1.LoadBalancerHealth) { o.UID = "uid-next" })},
	"the deletion conflicts":                {annotation: "false", object: serviceObject(), err: errConflict, deleted: 1, retry: true},
	"no boolean":                            {annotation: "maybe", event: v1alpha1.EventMonitorAnnotationInvalid},
	"no boolean, with an object":            {annotation: "", object: serviceObject(), event: v1alpha1.EventMonitorAnnotationInvalid},
	"a foreign object has the name":         {annotation: "true", object: foreignObject(), event: v1alpha1.EventMonitorRefused, retry: true},
	"a foreign object of another shard":     {annotation: "true", stored: foreignObject(), err: apierrors.NewAlreadyExists(healths, "web"), created: 1, event: v1alpha1.EventMonitorRefused, retry: true},
	"the cache lags behind":                 {annotation: "true", stored: serviceObject(), err: apierrors.NewAlreadyExists(healths, "web"), created: 1},
	"the object of a former Service":        {annotation: "true", object: serviceObject(ownedBy("uid-former"))},
	"a terminating object":                  {annotation: "true", object: serviceObject(terminating)},
	"a foreign object, not monitored":       {annotation: "false", object: foreignObject()},
	"a quota":                               {annotation: "true", err: errQuota, created: 1, event: v1alpha1.EventMonitorRefused, retry: true},
	"a policy": {annotation: "true", err: apierrors.NewInvalid(schema.GroupKind{Group: "slb.lbhealth.dev", Kind: v1alpha1.Kind}, "web", nil),
		created: 1, event: v1alpha1.EventMonitorRefused, retry: true},
	"a terminating namespace": {annotation: "true", err: terminatingNamespace(), created: 1},
	"a deleted namespace":     {annotation: "true", err: apierrors.NewNotFound(corev1.Resource("namespaces"), "prod"), created: 1},
	"another label":           {annotation: "true", object: serviceObject(func(o *v1alpha1.LoadBalancerHealth) { o.Labels[v1alpha1.ServiceLoadBalancerLabel] = "lb-0" }), patched: 1},
	"another label, another manager": {annotation: "true", object: serviceObject(managedBy("argocd", specFields, ""), func(o *v1alpha1.LoadBalancerHealth) {
		o.Labels[v1alpha1.ServiceLoadBalancerLabel] = "lb-0"
	})},
}

func TestMonitor(t *testing.T) {
	for name, test := range monitorTests {
		t.Run(name, func(t *testing.T) {
			fake := &monitorCluster{service: monitoredService(test.annotation), object: test.object, stored: test.stored, err: test.err}
			services, recorder := fake.services()
			retry, err := services.monitor(t.Context(), fake.service)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "created", fake.created, test.created)
			equal(t, "deleted", fake.deleted, test.deleted)
			equal(t, "patched", fake.patched, test.patched)
			equal(t, "is retried", retry > 0, test.retry)
			event := ""
			for _, recorded := range recorder.recorded {
				event += recorded.reason
			}
			equal(t, "the event", event, test.event)
		})
	}
}

func terminatingNamespace() error {
	err := apierrors.NewForbidden(healths, "web", errors.New("unable to create new content in namespace prod because it is being terminated"))
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	return err
}

func TestRefusalIsReportedOncePerCause(t *testing.T) {
	fake := &monitorCluster{service: monitoredService("true"), err: errQuota}
	services, recorder := fake.services()
	var waits []time.Duration
	monitor := func() {
		t.Helper()
		wait, err := services.monitor(t.Context(), fake.service)
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, wait)
	}
	for range 10 {
		monitor()
	}
	fake.err = apierrors.NewForbidden(healths, "web", errors.New("exceeded quota: few, requested: count/loadbalancerhealths.slb.lbhealth.dev=1, used: 3, limited: 3"))
	monitor()
	if len(recorder.recorded) != 1 {
		t.Fatalf("recorded %v", recorder.recorded)
	}
	recorded := recorder.recorded[0]
	equal(t, "the kind", recorded.regarding.Kind, "Service")
	equal(t, "the API version", recorded.regarding.APIVersion, "v1")
	equal(t, "the name", recorded.regarding.Namespace+"/"+recorded.regarding.Name+" "+string(recorded.regarding.UID), "prod/web uid-service")
	equal(t, "the type", recorded.eventType, corev1.EventTypeWarning)
	if !strings.Contains(recorded.note, "exceeded quota: few") || !strings.Contains(recorded.note, "the operator retries") {
		t.Errorf("the note is %q", recorded.note)
	}
	if waits[0] != minRefusedBackoff || waits[1] != 2*minRefusedBackoff || waits[9] != maxRefusedBackoff {
		t.Errorf("the backoffs are %v", waits)
	}

	fake.err = apierrors.NewForbidden(healths, "web", errors.New("denied by policy"))
	monitor()
	equal(t, "events after another cause", len(recorder.recorded), 2)
	fake.err = nil
	monitor()
	equal(t, "the event after the success", recorder.recorded[2].reason, v1alpha1.EventMonitorCreated)
	fake.err = errQuota
	monitor()
	equal(t, "events after the cause recurred", len(recorder.recorded), 4)
	fake.service.UID = "uid-next"
	monitor()
	equal(t, "events of another Service", len(recorder.recorded), 5)
	equal(t, "the backoff after a success", waits[len(waits)-2], minRefusedBackoff)
	equal(t, "the field owner", fake.fieldOwner, "slb-health-operator")
}

func TestAPIServerFailureIsNotARefusal(t *testing.T) {
	for _, failure := range []error{
		errors.New("connection refused"), apierrors.NewInternalError(errors.New("failed calling webhook")),
		apierrors.NewTooManyRequests("slow down", 1), apierrors.NewUnauthorized("invalid token"), errConflict,
		apierrors.NewNotFound(healths, "web"), &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusServiceUnavailable}},
	} {
		fake := &monitorCluster{service: monitoredService("true"), err: failure}
		services, recorder := fake.services()
		if _, err := services.monitor(t.Context(), fake.service); !errors.Is(err, failure) {
			t.Errorf("%v: got %v", failure, err)
		}
		equal(t, "the number of events", len(recorder.recorded), 0)
	}
}

// A quota or a policy may refuse the object of a Service.
func TestRefusedObjectDoesNotDelayOthersOfItsService(t *testing.T) {
	fake := &monitorCluster{service: monitoredService("true"), err: errQuota}
	fake.objects = []v1alpha1.LoadBalancerHealth{newObject(withServiceRef(webRequest.Name, nil))}
	services, _ := fake.services()
	result, err := services.Reconcile(t.Context(), webRequest)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the number of writes", fake.writes, 1)
	equal(t, "the time until the retry", result.RequeueAfter, minRefusedBackoff)
}

func TestObjectIsDeletedByItsOwnShard(t *testing.T) {
	fake := &monitorCluster{service: monitoredService("false"), object: serviceObject()}
	services, _ := fake.services()
	services.Selector = labels.SelectorFromSet(labels.Set{"shard": "a"})
	fake.service.Labels["shard"] = "b"
	if _, err := services.monitor(t.Context(), fake.service); err != nil {
		t.Fatal(err)
	}
	equal(t, "the number of objects deleted", fake.deleted, 1)
}

// Every shard watches all Services.
func TestOnlyTheServicesShardReports(t *testing.T) {
	for _, fake := range []*monitorCluster{{service: monitoredService("maybe")}, {service: monitoredService("true"), object: foreignObject()}, {service: monitoredService("true")}} {
		services, recorder := fake.services()
		services.Selector = labels.SelectorFromSet(labels.Set{"shard": "a"})
		if _, err := services.monitor(t.Context(), fake.service); err != nil {
			t.Fatal(err)
		}
		equal(t, "the number of events", len(recorder.recorded), 0)
		equal(t, "the number of objects created", fake.created, 0)
	}
}

func TestLoadBalancerLabelIsSynced(t *testing.T) {
	for name, test := range map[string]struct {
		service, object map[string]string
		patch           string
	}{
		"another": {map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-2"}, map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-1"},
			`{"metadata":{"labels":{"service.k8s.alibaba/loadbalancer-id":"lb-2"},"uid":"uid-web"}}`},
		"the first": {map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-2"}, nil,
			`{"metadata":{"labels":{"service.k8s.alibaba/loadbalancer-id":"lb-2"},"uid":"uid-web"}}`},
		"none": {nil, map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-1"},
			`{"metadata":{"labels":{"service.k8s.alibaba/loadbalancer-id":null},"uid":"uid-web"}}`},
		"another label": {map[string]string{"app": "api"}, map[string]string{"app": "web"}, ""},
	} {
		fake := &monitorCluster{service: monitoredService("true"), object: serviceObject()}
		fake.service.Labels, fake.object.Labels = test.service, test.object
		services, _ := fake.services()
		if _, err := services.monitor(t.Context(), fake.service); err != nil {
			t.Fatal(err)
		}
		equal(t, name, fake.patch, test.patch)
	}
}

func TestDeletedServiceIsForgotten(t *testing.T) {
	fake := &monitorCluster{service: monitoredService("true"), err: errQuota}
	services, _ := fake.services()
	if _, err := services.Reconcile(t.Context(), webRequest); err != nil {
		t.Fatal(err)
	}
	key := types.NamespacedName{Namespace: "prod", Name: "web"}
	if _, found := services.refusals.byService.Load(key); !found {
		t.Fatal("the refusal is not stored")
	}
	fake.service = nil
	if _, err := services.Reconcile(t.Context(), webRequest); err != nil {
		t.Fatal(err)
	}
	if _, found := services.refusals.byService.Load(key); found {
		t.Error("the refusals of a deleted Service are stored")
	}
}
