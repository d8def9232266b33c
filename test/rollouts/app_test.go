// SPDX-License-Identifier: Apache-2.0

package rollouts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rolloutsv1 "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

const (
	// name is that of each Rollout, Service and LoadBalancerHealth of the examples.
	name       = "web"
	v1, v2     = "registry.example.com/web:1.4.0", "registry.example.com/web:1.5.0"
	gateLabel  = "slb.lbhealth.dev/readiness-gate"
	healthGate = "health.slb.lbhealth.dev/" + name
	cloudGate  = standin.CloudGatePrefix + name
)

// app is the Rollout of an example, in a namespace of its own.
type app struct {
	*suite
	namespace string
	replicas  int
	blueGreen bool
	firstHash string // of the pods of v1
	lb        *standin.LoadBalancer
	recorder  *standin.Recorder
	queries   *harness.Relay // to Prometheus
	apiServer *harness.Relay // for Jobs
}

// newApp creates the example with an analysis, and returns when its first version serves
// and the LoadBalancerHealth says so: a stored verdict must promote nothing.
func (s *suite) newApp(t *testing.T, o appOptions) *app {
	t.Helper()
	a := s.prepareApp(t, name)
	a.blueGreen = o.example == blueGreen
	a.createAnalysis(t, o.analysis)
	a.createRollout(t, o)
	a.await(t, "the first version", func() (bool, error) {
		r, err := a.rollout()
		if r.Status.Phase == rolloutsv1.RolloutPhaseDegraded {
			return false, errors.New(r.Status.Message)
		}
		a.firstHash = r.Status.StableRS
		return r.Status.Phase == rolloutsv1.RolloutPhaseHealthy && a.recorder.Serving() == a.replicas, client.IgnoreNotFound(err)
	})
	a.await(t, "a healthy load balancer", a.isReady)
	a.recorder.Restart()
	return a
}

// prepareApp creates a namespace, and a load balancer for a Service in it.
func (s *suite) prepareApp(t *testing.T, service string) *app {
	t.Helper()
	a := &app{suite: s, namespace: fmt.Sprintf("app-%02d", s.apps.Add(1))}
	var err error
	a.lb, a.recorder, err = s.cluster.AddLoadBalancer(types.NamespacedName{Namespace: a.namespace, Name: service}, "lb-"+a.namespace,
		standin.Always(standin.Normal), standin.Listener{Port: 443, Protocol: "tcp", BackendPort: 8443, CheckDelay: checkDelay})
	if err != nil {
		t.Fatal(err)
	}
	a.queries = harness.OpenRelayFor(t, s.prometheus.Address)
	apiServer, err := url.Parse(s.Plane.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	a.apiServer = harness.OpenRelayFor(t, apiServer.Host)
	s.relays.Store(a.namespace, a.apiServer)
	a.CreateNamespace(t, a.namespace)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(a.describe())
		}
	})
	return a
}

// createAnalysis creates the AnalysisTemplate of an example and what it needs.
func (a *app) createAnalysis(t *testing.T, file string) {
	t.Helper()
	for _, object := range read(t, file) {
		switch object.GetKind() {
		case "AnalysisTemplate":
			a.create(t, a.hastenAnalysis(t, harness.Decode[rolloutsv1.AnalysisTemplate](t, object)))
		case "ServiceAccount":
			a.create(t, harness.Decode[corev1.ServiceAccount](t, object))
		case "Role":
			a.create(t, harness.Decode[rbacv1.Role](t, object))
		case "RoleBinding":
			binding := harness.Decode[rbacv1.RoleBinding](t, object)
			binding.Subjects[0].Namespace = a.namespace
			a.create(t, binding)
		default:
			t.Fatalf("%s has a %s", file, object.GetKind())
		}
	}
}

// createRollout creates the objects of an example.
func (a *app) createRollout(t *testing.T, o appOptions) {
	t.Helper()
	objects := read(t, o.example)
	service := harness.Only[corev1.Service](t, objects, "Service")
	if o.withoutGates {
		delete(service.Labels, gateLabel)
	}
	health := harness.Only[v1alpha1.LoadBalancerHealth](t, objects, "LoadBalancerHealth")
	hastenHealth(health)
	r := harness.Only[rolloutsv1.Rollout](t, objects, "Rollout")
	a.replicas = int(*r.Spec.Replicas)
	hastenRollout(t, r)
	if o.analysis == byJob {
		useJob(t, r)
	}
	for _, object := range []client.Object{service, health, r} {
		a.create(t, object)
	}
}

func (a *app) create(t *testing.T, object client.Object) {
	t.Helper()
	object.SetNamespace(a.namespace)
	if err := a.client.Create(a.Ctx, object); err != nil {
		t.Fatal(err)
	}
}

// update begins the rollout of the second version.
func (a *app) update(t *testing.T) {
	t.Helper()
	r, err := a.rollout()
	if err != nil {
		t.Fatal(err)
	}
	r = r.DeepCopy()
	before := client.MergeFrom(r.DeepCopy())
	r.Spec.Template.Spec.Containers[0].Image = v2
	if err := a.client.Patch(a.Ctx, r, before); err != nil {
		t.Fatal(err)
	}
}

// setHealth sets what health checks find for the pods of the second version.
func (a *app) setHealth(t *testing.T, health string) {
	t.Helper()
	if err := a.lb.SetCheck(func(ip string) string {
		if a.imageAt(ip) == v2 {
			return health
		}
		return standin.Normal
	}); err != nil {
		t.Fatal(err)
	}
}

// hangSLB lets every call about the load balancer hang.
func (a *app) hangSLB(t *testing.T) {
	t.Helper()
	a.Admin(t, http.MethodPost, "faults", map[string]any{"kind": "hang", "loadBalancerId": a.lb.ID})
}

func (a *app) imageAt(ip string) string {
	if pod := a.cluster.PodAt(ip); pod != nil {
		return pod.Spec.Containers[0].Image
	}
	return ""
}

// registered reports whether the load balancer has backends, all of one version.
func (a *app) registered(image string) bool {
	addresses := a.lb.Addresses()
	return len(addresses) > 0 && !slices.ContainsFunc(addresses, func(ip string) bool { return a.imageAt(ip) != image })
}

// rollout returns the Rollout, from the cache.
func (a *app) rollout() (*rolloutsv1.Rollout, error) {
	r := &rolloutsv1.Rollout{}
	return r, a.cluster.Get(a.Ctx, client.ObjectKey{Namespace: a.namespace, Name: name}, r)
}

// health returns the LoadBalancerHealth, from the cache.
func (a *app) health() (*v1alpha1.LoadBalancerHealth, error) {
	h := &v1alpha1.LoadBalancerHealth{}
	return h, a.cluster.Get(a.Ctx, client.ObjectKey{Namespace: a.namespace, Name: name}, h)
}

func (a *app) isReady() (bool, error) {
	health, err := a.health()
	return isTrue(health.Status.Conditions, v1alpha1.ConditionReady) && int(health.Status.Summary.Normal) == a.replicas, err
}

// measured returns the results of the analyses of the second version, the first first.
func (a *app) measured() ([]rolloutsv1.MetricResult, error) {
	list := &rolloutsv1.AnalysisRunList{}
	if err := a.cluster.List(a.Ctx, list, client.InNamespace(a.namespace)); err != nil {
		return nil, err
	}
	slices.SortFunc(list.Items, func(a, b rolloutsv1.AnalysisRun) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	var results []rolloutsv1.MetricResult
	for i := range list.Items {
		results = append(results, list.Items[i].Status.MetricResults...)
	}
	return results, nil
}

// await waits for something that the stand-ins watch.
func (a *app) await(t *testing.T, what string, done func() (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.cluster.Await(ctx, done); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// pods returns the pods of a version.
func (a *app) pods(image string) ([]corev1.Pod, error) {
	list := &corev1.PodList{}
	err := a.cluster.List(a.Ctx, list, client.InNamespace(a.namespace), client.MatchingLabels{"app": name})
	return slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool { return pod.Spec.Containers[0].Image != image }), err
}

func isTrue(conditions []metav1.Condition, kind string) bool {
	return slices.ContainsFunc(conditions, func(c metav1.Condition) bool { return c.Type == kind && c.Status == metav1.ConditionTrue })
}

// describe is for a test that failed.
func (a *app) describe() string {
	var text strings.Builder
	fmt.Fprintf(&text, "serving: %s\nregistered: %s\nstand-ins: %v\ncontroller: %v\n", a.recorder, a.lb.Addresses(), a.cluster.Failures(), a.controller.Alive())
	if r, err := a.rollout(); err == nil {
		fmt.Fprintf(&text, "rollout: %s, %s, abort %v, step %v, stable %s, current %s, active %s\n", r.Status.Phase, r.Status.Message,
			r.Status.Abort, r.Status.CurrentStepIndex, r.Status.StableRS, r.Status.CurrentPodHash, r.Status.BlueGreen.ActiveSelector)
	}
	if h, err := a.health(); err == nil {
		for _, c := range h.Status.Conditions {
			fmt.Fprintf(&text, "%s=%s(%s) ", c.Type, c.Status, c.Message)
		}
	}
	results, _ := a.measured()
	for i := range results {
		fmt.Fprintf(&text, "\n%s: %s %s", results[i].Name, results[i].Phase, results[i].Message)
		for _, m := range results[i].Measurements {
			fmt.Fprintf(&text, "\n  %s %s %s", m.Phase, m.Value, m.Message)
		}
	}
	list := &corev1.PodList{}
	_ = a.cluster.List(context.Background(), list, client.InNamespace(a.namespace))
	for i := range list.Items {
		pod := &list.Items[i]
		fmt.Fprintf(&text, "\n%s %s %s %s %s", pod.Name, pod.Spec.Containers[0].Image, pod.Status.PodIP, pod.Status.Phase, pod.Status.Message)
	}
	return text.String()
}

// read returns the objects of an example.
func read(t *testing.T, file string) []unstructured.Unstructured {
	t.Helper()
	return harness.ParseManifests(t, harness.ReadFile(t, filepath.Join(docs, file)))
}
