// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func TestMonitorAnnotationIsBoolean(t *testing.T) {
	for value, want := range map[string]string{
		"true": "yes", "True": "yes", "tRuE": "yes", " true\n": "yes", "1": "yes", "t": "yes",
		"false": "no", "FALSE": "no", "0": "no", "f ": "no",
		"yes": "neither", "on": "neither", "": "neither", "2": "neither", "true,": "neither",
	} {
		for _, all := range []bool{false, true} {
			got := "no"
			decision, err := decideMonitor(monitoredService(value), all)
			if err != nil {
				got = "neither"
			} else if decision.action == createObject {
				got = "yes"
			}
			equal(t, "the annotation "+value, got, want)
		}
	}
}

func ofType(serviceType corev1.ServiceType) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.Type = serviceType }
}

func ofClass(class string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.LoadBalancerClass = &class }
}

func withLoadBalancer(id string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Labels[v1alpha1.ServiceLoadBalancerLabel] = id
		if id == "" {
			delete(s.Labels, v1alpha1.ServiceLoadBalancerLabel)
		}
	}
}

func annotated(value string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Annotations = map[string]string{v1alpha1.MonitorAnnotation: value} }
}

func deletedService(s *corev1.Service) { s.DeletionTimestamp = &metav1.Time{Time: start} }

// decisionTests are by edits of a Service with the load balancer lb-1 and no annotation.
var decisionTests = map[string]struct {
	edits          []func(*corev1.Service)
	all, annotated string // action and state with each value of --monitor
}{
	"a load balancer":                   {nil, "create pending", "delete"},
	"an annotation true":                {edits(annotated("true")), "create pending", "create pending"},
	"an annotation false":               {edits(annotated("false")), "delete opted_out", "delete opted_out"},
	"no load balancer yet":              {edits(withLoadBalancer("")), "keep pending", "delete"},
	"none yet, annotated":               {edits(withLoadBalancer(""), annotated("true")), "create pending", "create pending"},
	"a load balancer of another vendor": {edits(withLoadBalancer(""), ofClass("metallb.io/metallb")), "delete unsupported", "delete"},
	"an NLB instance to come":           {edits(withLoadBalancer(""), ofClass("alibabacloud.com/nlb")), "keep pending", "delete"},
	"an NLB instance":                   {edits(withLoadBalancer("nlb-1"), ofClass("alibabacloud.com/nlb")), "create pending", "delete"},
	"an NLB instance, annotated":        {edits(withLoadBalancer("nlb-1"), annotated("true")), "create pending", "create pending"},
	"a Gateway Load Balancer":           {edits(withLoadBalancer("gwlb-1")), "delete unsupported", "delete"},
	"a label that is no id":             {edits(withLoadBalancer("lb 1")), "delete unsupported", "delete"},
	"a CLB instance with a class":       {edits(ofClass("example.com/clb")), "create pending", "delete"},
	"an empty class":                    {edits(ofClass(""), withLoadBalancer("")), "keep pending", "delete"},
	"type ClusterIP":                    {edits(ofType(corev1.ServiceTypeClusterIP)), "delete", "delete"},
	"type NodePort, annotated":          {edits(ofType(corev1.ServiceTypeNodePort), annotated("true")), "create pending", "create pending"},
	"a terminating Service":             {edits(deletedService), "delete", "delete"},
	"a terminating Service, annotated":  {edits(deletedService, annotated("true")), "delete", "delete"},
	"terminating, no boolean":           {edits(deletedService, annotated("maybe")), "delete", "delete"},
}

func edits(all ...func(*corev1.Service)) []func(*corev1.Service) { return all }

// editedService is a Service with the load balancer lb-1 after edits.
func editedService(all ...func(*corev1.Service)) *corev1.Service {
	service := webService(nil)
	service.UID = "uid-service"
	for _, edit := range all {
		edit(service)
	}
	return service
}

func TestDecision(t *testing.T) {
	actions := map[monitorAction]string{deleteObject: "delete", keepObject: "keep", createObject: "create"}
	for name, test := range decisionTests {
		t.Run(name, func(t *testing.T) {
			for all, want := range map[bool]string{true: test.all, false: test.annotated} {
				decision, err := decideMonitor(editedService(test.edits...), all)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "the decision", strings.TrimSpace(actions[decision.action]+" "+decision.state), want)
			}
		})
	}
}

// sameNameByID is an object of the Service's name that a user created for a load balancer.
func sameNameByID(id string) *v1alpha1.LoadBalancerHealth {
	object := newObject(func(o *v1alpha1.LoadBalancerHealth) { o.Spec.LoadBalancerID = id })
	return &object
}

var monitorAllTests = map[string]struct {
	edits            []func(*corev1.Service)
	object           *v1alpha1.LoadBalancerHealth
	err              error
	created, deleted int
	event, state     string
	retry            bool
}{
	"a load balancer":                     {created: 1, event: v1alpha1.EventMonitorCreated, state: stateMonitored},
	"after a restart":                     {object: serviceObject(), state: stateMonitored},
	"opted out":                           {edits: edits(annotated("false")), object: serviceObject(), deleted: 1, event: v1alpha1.EventMonitorDeleted, state: stateOptedOut},
	"opted out from the start":            {edits: edits(annotated("false")), state: stateOptedOut},
	"no boolean":                          {edits: edits(annotated("no")), object: serviceObject(), event: v1alpha1.EventMonitorAnnotationInvalid, state: stateInvalid},
	"no load balancer yet":                {edits: edits(withLoadBalancer("")), state: statePending},
	"the load balancer is replaced":       {edits: edits(withLoadBalancer("")), object: serviceObject(), state: stateMonitored},
	"an NLB instance":                     {edits: edits(withLoadBalancer("nlb-1")), created: 1, event: v1alpha1.EventMonitorCreated, state: stateMonitored},
	"a Gateway Load Balancer":             {edits: edits(withLoadBalancer("gwlb-1")), state: stateUnsupported},
	"a Gateway Load Balancer instead":     {edits: edits(withLoadBalancer("gwlb-1")), object: serviceObject(), deleted: 1, event: v1alpha1.EventMonitorDeleted, state: stateUnsupported},
	"another type":                        {edits: edits(ofType(corev1.ServiceTypeClusterIP)), object: serviceObject(), deleted: 1, event: v1alpha1.EventMonitorDeleted},
	"another type from the start":         {edits: edits(ofType(corev1.ServiceTypeClusterIP))},
	"a terminating Service":               {edits: edits(deletedService), object: serviceObject(), deleted: 1},
	"a user's object of the Service":      {object: foreignObject(), state: stateMonitored},
	"… where the user opted out":          {edits: edits(annotated("false")), object: foreignObject(), state: stateOptedOut},
	"… where the user requested one":      {edits: edits(annotated("true")), object: foreignObject(), event: v1alpha1.EventMonitorRefused, state: stateRefused, retry: true},
	"a user's object of its id":           {object: sameNameByID("lb-1"), state: stateMonitored, retry: true},
	"a user's object of another":          {object: sameNameByID("lb-2"), event: v1alpha1.EventMonitorRefused, state: stateRefused, retry: true},
	"a user's object, and another type":   {edits: edits(ofType(corev1.ServiceTypeClusterIP)), object: foreignObject()},
	"another manager has its spec":        {edits: edits(annotated("false")), object: serviceObject(managedBy("argocd", specFields, "")), state: stateOptedOut},
	"no manager has its spec":             {edits: edits(annotated("false")), object: serviceObject(withoutManagers), state: stateOptedOut},
	"the object of a former Service":      {object: serviceObject(ownedBy("uid-former")), state: statePending},
	"a quota":                             {err: errQuota, created: 1, event: v1alpha1.EventMonitorRefused, state: stateRefused, retry: true},
	"a terminating namespace":             {err: terminatingNamespace(), created: 1},
	"a deletion that conflicts":           {edits: edits(annotated("false")), object: serviceObject(), err: errConflict, deleted: 1, state: stateOptedOut, retry: true},
	"NLB's class, and no load balancer":   {edits: edits(withLoadBalancer(""), ofClass("alibabacloud.com/nlb")), state: statePending},
	"another class, no load balancer":     {edits: edits(withLoadBalancer(""), ofClass("metallb.io/metallb")), state: stateUnsupported},
	"annotated, and no load balancer":     {edits: edits(withLoadBalancer(""), annotated("true")), created: 1, event: v1alpha1.EventMonitorCreated, state: stateMonitored},
	"annotated, with an NLB instance":     {edits: edits(withLoadBalancer("nlb-1"), annotated("true")), created: 1, event: v1alpha1.EventMonitorCreated, state: stateMonitored},
	"annotated, of type ClusterIP":        {edits: edits(ofType(corev1.ServiceTypeClusterIP), annotated("true")), created: 1, event: v1alpha1.EventMonitorCreated, state: stateMonitored},
	"a user's object that is terminating": {object: serviceObject(terminating, func(o *v1alpha1.LoadBalancerHealth) { o.Spec.ServiceRef.Name = "api" }), state: statePending},
}

func TestMonitorAll(t *testing.T) {
	for name, test := range monitorAllTests {
		t.Run(name, func(t *testing.T) {
			fake := &monitorCluster{service: editedService(test.edits...), object: test.object, err: test.err}
			services, recorder := fake.services()
			services.MonitorAll = true
			retry, err := services.monitor(t.Context(), fake.service)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "created", fake.created, test.created)
			equal(t, "deleted", fake.deleted, test.deleted)
			equal(t, "is retried", retry > 0, test.retry)
			equal(t, "the events", reasons(recorder), test.event)
			equal(t, "the state", statesOf(services)["prod"], test.state)
		})
	}
}

func reasons(recorder *fakeRecorder) string {
	var all []string
	for _, recorded := range recorder.recorded {
		all = append(all, recorded.reason)
	}
	return strings.Join(all, " ")
}

// statesOf are the states that metrics count, by namespace.
func statesOf(services *ServiceReconciler) map[string]string {
	states := map[string]string{}
	services.EachService(func(namespace, state string) { states[namespace] += state })
	return states
}

// --monitor=annotated after --monitor=all.
func TestObjectsAreDeletedAfterMonitorAll(t *testing.T) {
	for name, test := range map[string]struct {
		object  *v1alpha1.LoadBalancerHealth
		deleted int
		event   string
	}{
		"the operator's":     {serviceObject(), 1, v1alpha1.EventMonitorDeleted},
		"edited by a user":   {serviceObject(managedBy("kubectl-edit", specFields, "")), 0, ""},
		"a user's":           {foreignObject(), 0, ""},
		"of unknown origin":  {serviceObject(withoutManagers), 0, ""},
		"of a user, labeled": {serviceObject(withoutManagers, managedBy("helm", specFields, ""), managedBy(string(fieldOwner), labelFields, "")), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			fake := &monitorCluster{service: editedService(), object: test.object}
			services, recorder := fake.services()
			if _, err := services.monitor(t.Context(), fake.service); err != nil {
				t.Fatal(err)
			}
			equal(t, "deleted", fake.deleted, test.deleted)
			equal(t, "the events", reasons(recorder), test.event)
			equal(t, "the number of states", len(statesOf(services)), 0)
		})
	}
}

func TestEventsOfObjectsNameTheCause(t *testing.T) {
	for _, test := range []struct {
		all    bool
		edits  []func(*corev1.Service)
		object *v1alpha1.LoadBalancerHealth
		note   string
	}{
		{true, nil, nil, "LoadBalancerHealth web was created: the Service has a load balancer (--monitor=all)"},
		{false, edits(annotated("true")), nil, "LoadBalancerHealth web was created: the annotation slb.lbhealth.dev/monitor is true"},
		{true, edits(annotated("0")), serviceObject(), "LoadBalancerHealth web was deleted: the annotation slb.lbhealth.dev/monitor is false"},
		{false, nil, serviceObject(), "LoadBalancerHealth web was deleted: the Service has no annotation slb.lbhealth.dev/monitor"},
		{true, edits(ofType(corev1.ServiceTypeNodePort)), serviceObject(), "LoadBalancerHealth web was deleted: the Service is not of type LoadBalancer"},
		{true, edits(withLoadBalancer("gwlb-1")), serviceObject(), "LoadBalancerHealth web was deleted: the operator does not observe the load balancer of the Service"},
	} {
		fake := &monitorCluster{service: editedService(test.edits...), object: test.object}
		services, recorder := fake.services()
		services.MonitorAll = test.all
		if _, err := services.monitor(t.Context(), fake.service); err != nil {
			t.Fatal(err)
		}
		if len(recorder.recorded) != 1 {
			t.Errorf("recorded %v, not %q", recorder.recorded, test.note)
			continue
		}
		recorded := recorder.recorded[0]
		equal(t, "the note", recorded.note, test.note)
		equal(t, "the type", recorded.eventType, corev1.EventTypeNormal)
		equal(t, "the Service", recorded.regarding.Kind+" "+recorded.regarding.Name+" "+string(recorded.regarding.UID), "Service web uid-service")
	}
}

// Every shard watches all Services, and may own the object of a Service that moved.
func TestShardCountsItsOwnServices(t *testing.T) {
	for _, object := range []*v1alpha1.LoadBalancerHealth{nil, serviceObject(), foreignObject()} {
		fake := &monitorCluster{service: editedService(), object: object}
		services, recorder := fake.services()
		services.MonitorAll, services.Selector = true, labels.SelectorFromSet(labels.Set{"shard": "a"})
		if _, err := services.monitor(t.Context(), fake.service); err != nil {
			t.Fatal(err)
		}
		equal(t, "created", fake.created, 0)
		equal(t, "deleted", fake.deleted, 0)
		equal(t, "the events", reasons(recorder), "")
		equal(t, "the number of states", len(statesOf(services)), 0)
		fake.service.Labels["shard"] = "a"
		if _, err := services.monitor(t.Context(), fake.service); err != nil {
			t.Fatal(err)
		}
		equal(t, "the number of states of its own", len(statesOf(services)), 1)
	}
}

func TestStateOfServiceIsCurrent(t *testing.T) {
	fake := &monitorCluster{service: editedService()}
	services, _ := fake.services()
	services.MonitorAll = true
	reconcile := func() map[string]string {
		t.Helper()
		if _, err := services.Reconcile(t.Context(), webRequest); err != nil {
			t.Fatal(err)
		}
		return statesOf(services)
	}
	expect := func(state string) {
		t.Helper()
		want := map[string]string{"prod": state}
		if state == "" {
			want = map[string]string{}
		}
		if got := reconcile(); !maps.Equal(got, want) {
			t.Errorf("the states are %v, not %v", got, want)
		}
	}
	expect(stateMonitored)
	annotated("false")(fake.service)
	expect(stateOptedOut)
	annotated("maybe")(fake.service)
	expect(stateInvalid)
	fake.service.Annotations = nil
	withLoadBalancer("")(fake.service)
	expect(statePending)
	ofType(corev1.ServiceTypeClusterIP)(fake.service)
	expect("")
	annotated("false")(fake.service)
	expect(stateOptedOut)
	fake.service = nil // deleted
	expect("")
}
