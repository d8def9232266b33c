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

// monitorCluster has a Service, and an object of its name or none.
type monitorCluster struct {
	fakeCluster
	service *corev1.Service
	object  *v1alpha1.LoadBalancerHealth // in the cache
	stored  *v1alpha1.LoadBalancerHealth // what the API server has besides
	refuse  error

	created, deleted, patched int
	patch                     string
	owner                     string
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
	var chosen client.CreateOptions
	chosen.ApplyOptions(options)
	c.created, c.owner = c.created+1, chosen.FieldManager
	return c.refuse
}

func (c *monitorCluster) Delete(_ context.Context, _ client.Object, options ...client.DeleteOption) error {
	var chosen client.DeleteOptions
	chosen.ApplyOptions(options)
	if chosen.Preconditions == nil || chosen.Preconditions.UID == nil || chosen.Preconditions.ResourceVersion == nil {
		return errors.New("whatever became of it meanwhile is deleted")
	}
	c.deleted++
	return c.refuse
}

func (c *monitorCluster) Patch(_ context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	var chosen client.PatchOptions
	chosen.ApplyOptions(options)
	data, err := patch.Data(object)
	c.patched, c.patch, c.owner = c.patched+1, string(data), chosen.FieldManager
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

func monitored(annotation string) *corev1.Service {
	service := webService(map[string]string{v1alpha1.MonitorAnnotation: annotation})
	service.UID = "uid-service"
	return service
}

// ofTheService makes an object that of the Service that asks for it.
func ofTheService(o *v1alpha1.LoadBalancerHealth) {
	ofService("web", nil)(o)
	o.Labels = map[string]string{v1alpha1.ServiceLoadBalancerLabel: "lb-1"}
	o.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: cluster.KindService, Name: "web", UID: "uid-service", Controller: new(true)}}
}

func managedBy(manager, fields, subresource string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.ManagedFields = append(o.ManagedFields, metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationApply, Subresource: subresource, FieldsV1: metav1.NewFieldsV1(fields),
		})
	}
}

const (
	ofSpec   = `{"f:spec":{"f:interval":{}}}`
	ofLabels = `{"f:metadata":{"f:labels":{"f:app":{}}}}`
)

func (c *monitorCluster) services() (*ServiceReconciler, *fakeRecorder) {
	services, recorder := newServiceReconciler(c, newClock())
	services.Enabled, services.RegionID = true, "cn-hangzhou"
	return services, recorder
}

func serviceObject(edits ...func(*v1alpha1.LoadBalancerHealth)) *v1alpha1.LoadBalancerHealth {
	made := newObject(append([]func(*v1alpha1.LoadBalancerHealth){ofTheService}, edits...)...)
	return &made
}

func TestTheAnnotationIsABoolean(t *testing.T) {
	for value, want := range map[string]string{
		"true": "yes", "True": "yes", "tRuE": "yes", " true\n": "yes", "1": "yes", "t": "yes",
		"false": "no", "FALSE": "no", "0": "no", "f ": "no",
		"yes": "neither", "on": "neither", "": "neither", "2": "neither", "true,": "neither",
	} {
		got := "no"
		wanted, err := wantsObject(monitored(value))
		if err != nil {
			got = "neither"
		} else if wanted {
			got = "yes"
		}
		equal(t, "the annotation "+value, got, want)
	}
	wanted, err := wantsObject(webService(nil))
	equal(t, "without the annotation", wanted, false)
	if err != nil {
		t.Error(err)
	}
	ending := monitored("maybe")
	ending.DeletionTimestamp = &metav1.Time{Time: start}
	if wanted, err := wantsObject(ending); wanted || err != nil {
		t.Errorf("one that is being deleted: %t, %v", wanted, err)
	}
}

func TestWhatAServiceAsksForIsDone(t *testing.T) {
	former, anothers, going := serviceObject(), serviceObject(), serviceObject()
	former.OwnerReferences[0].UID = "uid-former"
	anothers.OwnerReferences = nil
	going.OwnerReferences, going.DeletionTimestamp = nil, &metav1.Time{Time: start}
	for name, test := range map[string]struct {
		annotation                string
		object, stored            *v1alpha1.LoadBalancerHealth
		refuse                    error
		created, deleted, patched int
		event                     string
		retry                     bool
	}{
		"an object":                         {annotation: "true", created: 1},
		"none":                              {annotation: "false"},
		"it is there":                       {annotation: "true", object: serviceObject()},
		"it asks no more":                   {annotation: "false", object: serviceObject(), deleted: 1},
		"others only looked after labels":   {annotation: "false", object: serviceObject(managedBy("kubectl", ofLabels, "")), deleted: 1},
		"the operator made its spec":        {annotation: "false", object: serviceObject(managedBy(string(fieldOwner), ofSpec, "")), deleted: 1},
		"the status is no spec":             {annotation: "false", object: serviceObject(managedBy("other", `{"f:status":{}}`, "status")), deleted: 1},
		"others manage its spec":            {annotation: "false", object: serviceObject(managedBy("argocd", ofSpec, ""))},
		"others manage what cannot be read": {annotation: "false", object: serviceObject(managedBy("argocd", `{"f:`, ""))},
		"it was replaced meanwhile":         {annotation: "false", object: serviceObject(), stored: serviceObject(func(o *v1alpha1.LoadBalancerHealth) { o.UID = "uid-next" })},
		"it was written meanwhile":          {annotation: "false", object: serviceObject(), refuse: errConflict, deleted: 1, retry: true},
		"neither yes nor no":                {annotation: "maybe", event: v1alpha1.EventMonitorAnnotationInvalid},
		"neither, with an object":           {annotation: "", object: serviceObject(), event: v1alpha1.EventMonitorAnnotationInvalid},
		"its name is taken":                 {annotation: "true", object: anothers, event: v1alpha1.EventMonitorRefused, retry: true},
		"taken, in another shard":           {annotation: "true", stored: anothers, refuse: apierrors.NewAlreadyExists(healths, "web"), created: 1, event: v1alpha1.EventMonitorRefused, retry: true},
		"the cache is behind":               {annotation: "true", stored: serviceObject(), refuse: apierrors.NewAlreadyExists(healths, "web"), created: 1},
		"a former Service's":                {annotation: "true", object: former},
		"one that is going":                 {annotation: "true", object: going},
		"another's, and it asks no more":    {annotation: "false", object: anothers},
		"no room":                           {annotation: "true", refuse: errQuota, created: 1, event: v1alpha1.EventMonitorRefused, retry: true},
		"a policy": {annotation: "true", refuse: apierrors.NewInvalid(schema.GroupKind{Group: "slb.lbhealth.dev", Kind: v1alpha1.Kind}, "web", nil),
			created: 1, event: v1alpha1.EventMonitorRefused, retry: true},
		"a namespace that ends": {annotation: "true", refuse: endingNamespace(), created: 1},
		"a namespace that went": {annotation: "true", refuse: apierrors.NewNotFound(corev1.Resource("namespaces"), "prod"), created: 1},
		"another label":         {annotation: "true", object: serviceObject(func(o *v1alpha1.LoadBalancerHealth) { o.Labels[v1alpha1.ServiceLoadBalancerLabel] = "lb-0" }), patched: 1},
		"another label, another manager": {annotation: "true", object: serviceObject(managedBy("argocd", ofSpec, ""), func(o *v1alpha1.LoadBalancerHealth) {
			o.Labels[v1alpha1.ServiceLoadBalancerLabel] = "lb-0"
		})},
	} {
		t.Run(name, func(t *testing.T) {
			fake := &monitorCluster{service: monitored(test.annotation), object: test.object, stored: test.stored, refuse: test.refuse}
			services, recorder := fake.services()
			retry, err := services.monitor(t.Context(), fake.service)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "created", fake.created, test.created)
			equal(t, "deleted", fake.deleted, test.deleted)
			equal(t, "patched", fake.patched, test.patched)
			equal(t, "is tried again", retry > 0, test.retry)
			event := ""
			for _, recorded := range recorder.recorded {
				event += recorded.reason
			}
			equal(t, "the event", event, test.event)
		})
	}
}

func endingNamespace() error {
	err := apierrors.NewForbidden(healths, "web", errors.New("unable to create new content in namespace prod because it is being terminated"))
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	return err
}

func TestARefusalIsReportedOnTheServiceOnceForEachCause(t *testing.T) {
	fake := &monitorCluster{service: monitored("true"), refuse: errQuota}
	services, recorder := fake.services()
	var waits []time.Duration
	try := func() {
		t.Helper()
		wait, err := services.monitor(t.Context(), fake.service)
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, wait)
	}
	for range 10 {
		try()
	}
	fake.refuse = apierrors.NewForbidden(healths, "web", errors.New("exceeded quota: few, requested: count/loadbalancerhealths.slb.lbhealth.dev=1, used: 3, limited: 3"))
	try()
	if len(recorder.recorded) != 1 {
		t.Fatalf("told %v", recorder.recorded)
	}
	recorded := recorder.recorded[0]
	equal(t, "the kind", recorded.regarding.Kind, "Service")
	equal(t, "the API version", recorded.regarding.APIVersion, "v1")
	equal(t, "the name", recorded.regarding.Namespace+"/"+recorded.regarding.Name+" "+string(recorded.regarding.UID), "prod/web uid-service")
	equal(t, "the type", recorded.eventType, corev1.EventTypeWarning)
	if !strings.Contains(recorded.note, "exceeded quota: few") || !strings.Contains(recorded.note, "tries again") {
		t.Errorf("the note is %q", recorded.note)
	}
	if waits[0] != minRefusedBackoff || waits[1] != 2*minRefusedBackoff || waits[9] != maxRefusedBackoff {
		t.Errorf("it waits %v", waits)
	}

	fake.refuse = apierrors.NewForbidden(healths, "web", errors.New("policy says no"))
	try()
	equal(t, "events after another cause", len(recorder.recorded), 2)
	fake.refuse = nil
	try()
	fake.refuse = errQuota
	try()
	equal(t, "events after the cause came back", len(recorder.recorded), 3)
	fake.service.UID = "uid-next"
	try()
	equal(t, "events of another Service", len(recorder.recorded), 4)
	equal(t, "the wait after it was possible", waits[len(waits)-2], minRefusedBackoff)
	equal(t, "the owner of the fields", fake.owner, "slb-health-operator")
}

// An API server that fails says nothing of the object.
func TestAFailureOfTheAPIServerIsNoRefusal(t *testing.T) {
	for _, failure := range []error{
		errors.New("connection refused"), apierrors.NewInternalError(errors.New("failed calling webhook")),
		apierrors.NewTooManyRequests("slow down", 1), apierrors.NewUnauthorized("who are you"), errConflict,
		apierrors.NewNotFound(healths, "web"), &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusServiceUnavailable}},
	} {
		fake := &monitorCluster{service: monitored("true"), refuse: failure}
		services, recorder := fake.services()
		if _, err := services.monitor(t.Context(), fake.service); !errors.Is(err, failure) {
			t.Errorf("%v: got %v", failure, err)
		}
		equal(t, "the number of events", len(recorder.recorded), 0)
	}
}

// The object that a Service asks for may be refused, by a quota or a policy.
func TestAnObjectThatCannotBeMadeDoesNotHoldUpTheOthersOfItsService(t *testing.T) {
	fake := &monitorCluster{service: monitored("true"), refuse: errQuota}
	fake.objects = []v1alpha1.LoadBalancerHealth{newObject(ofService(webRequest.Name, nil))}
	services, _ := fake.services()
	result, err := services.Reconcile(t.Context(), webRequest)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the number of writes", fake.writes, 1)
	equal(t, "the time until it is tried again", result.RequeueAfter, minRefusedBackoff)
}

func TestTheObjectOfAServiceGoesWhereverTheServiceWent(t *testing.T) {
	fake := &monitorCluster{service: monitored("false"), object: serviceObject()}
	services, _ := fake.services()
	services.Selector = labels.SelectorFromSet(labels.Set{"shard": "a"})
	fake.service.Labels["shard"] = "b"
	if _, err := services.monitor(t.Context(), fake.service); err != nil {
		t.Fatal(err)
	}
	equal(t, "the number of objects deleted", fake.deleted, 1)
}

// Each shard sees every Service.
func TestOneShardReportsWhatIsWrongWithAService(t *testing.T) {
	taken := serviceObject()
	taken.OwnerReferences = nil
	for _, fake := range []*monitorCluster{{service: monitored("maybe")}, {service: monitored("true"), object: taken}, {service: monitored("true")}} {
		services, recorder := fake.services()
		services.Selector = labels.SelectorFromSet(labels.Set{"shard": "a"})
		if _, err := services.monitor(t.Context(), fake.service); err != nil {
			t.Fatal(err)
		}
		equal(t, "the number of events", len(recorder.recorded), 0)
		equal(t, "the number of objects created", fake.created, 0)
	}
}

func TestTheLabelOfALoadBalancerFollowsTheService(t *testing.T) {
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
		fake := &monitorCluster{service: monitored("true"), object: serviceObject()}
		fake.service.Labels, fake.object.Labels = test.service, test.object
		services, _ := fake.services()
		if _, err := services.monitor(t.Context(), fake.service); err != nil {
			t.Fatal(err)
		}
		equal(t, name, fake.patch, test.patch)
	}
}

func TestAServiceThatIsGoneLeavesNothingBehind(t *testing.T) {
	fake := &monitorCluster{service: monitored("true"), refuse: errQuota}
	services, _ := fake.services()
	if _, err := services.Reconcile(t.Context(), webRequest); err != nil {
		t.Fatal(err)
	}
	key := types.NamespacedName{Namespace: "prod", Name: "web"}
	if _, found := services.refusals.byService.Load(key); !found {
		t.Fatal("nothing is remembered")
	}
	fake.service = nil
	if _, err := services.Reconcile(t.Context(), webRequest); err != nil {
		t.Fatal(err)
	}
	if _, found := services.refusals.byService.Load(key); found {
		t.Error("a Service that is gone is remembered")
	}
}
