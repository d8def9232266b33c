// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/simulator"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const folder = "../../config/samples"

// The sample objects, simulator.yaml and steps.go must match.
func TestObjectsMatchTheSimulator(t *testing.T) {
	config, err := simulator.ParseConfig(simulatorConfig)
	if err != nil {
		t.Fatal(err)
	}
	allowed := func(id, secret, loadBalancer string) bool {
		return slices.ContainsFunc(config.Accounts, func(a simulator.Account) bool {
			return a.AccessKeyID == id && a.AccessKeySecret == secret && slices.Contains(a.Allow, loadBalancer)
		})
	}
	objects, secrets := readObjects(t)
	for _, o := range objects {
		if !slices.ContainsFunc(config.LoadBalancers, func(lb simulator.LoadBalancer) bool {
			return lb.LoadBalancerID == o.Spec.LoadBalancerID && lb.RegionID == o.Spec.RegionID
		}) {
			t.Errorf("%s: the simulator has no %s in %s", o.Name, o.Spec.LoadBalancerID, o.Spec.RegionID)
		}
		id, secret := accessKeyID, accessKeySecret
		if o.Spec.Credentials != nil {
			data := secrets[o.Spec.Credentials.SecretRef.Name].Data
			id, secret = string(data["accessKeyId"]), string(data["accessKeySecret"])
		}
		if !allowed(id, secret, o.Spec.LoadBalancerID) {
			t.Errorf("%s: the simulator lets no account %q see %s", o.Name, id, o.Spec.LoadBalancerID)
		}
	}
	for _, name := range []object{web, api, partner} {
		if !slices.ContainsFunc(objects, func(o v1alpha1.LoadBalancerHealth) bool { return o.Name == string(name) && o.Namespace == namespace }) {
			t.Errorf("the samples have no %s/%s", namespace, name)
		}
	}
}

// missing.go must match checkout.yaml, and the load balancer has every pod in the beginning.
func TestCheckoutMatchesTheSteps(t *testing.T) {
	config, err := simulator.ParseConfig(simulatorConfig)
	if err != nil {
		t.Fatal(err)
	}
	var registered, expected []string
	var id string
	for _, manifest := range harness.ParseManifests(t, harness.ReadFile(t, "checkout.yaml")) {
		if manifest.GetKind() != "Namespace" && manifest.GetNamespace() != storeNamespace {
			t.Errorf("%s %s is in %q", manifest.GetKind(), manifest.GetName(), manifest.GetNamespace())
		}
		switch manifest.GetKind() {
		case "Service":
			id = manifest.GetLabels()[v1alpha1.ServiceLoadBalancerLabel]
		case "EndpointSlice":
			for _, e := range harness.Decode[discoveryv1.EndpointSlice](t, manifest).Endpoints {
				expected = append(expected, e.Addresses...)
			}
		}
	}
	for _, lb := range config.LoadBalancers {
		if lb.LoadBalancerID == id && slices.Contains(config.Accounts[0].Allow, id) {
			for _, b := range lb.Backends {
				registered = append(registered, b.ServerIP)
			}
		}
	}
	if !strings.Contains(checkoutBackends, "/"+id+"/") || len(expected) != 3 || !slices.Equal(registered, expected) {
		t.Errorf("load balancer %q has %q, not %q", id, registered, expected)
	}
}

// rollouts.go and cluster.go must match shop.yaml, and the operator's account may observe its load balancer.
func TestShopMatchesTheSteps(t *testing.T) {
	config, err := simulator.ParseConfig(simulatorConfig)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(config.Accounts[0].Allow, shopBalancer) {
		t.Errorf("the simulator lets the operator not see %s", shopBalancer)
	}
	for _, manifest := range harness.ParseManifests(t, harness.ReadFile(t, "shop.yaml")) {
		switch manifest.GetKind() {
		case "Service":
			if manifest.GetName() != string(shopObject) || manifest.GetNamespace() != shopNamespace {
				t.Errorf("the Service is %s/%s", manifest.GetNamespace(), manifest.GetName())
			}
		case "Deployment":
			shop := harness.Decode[appsv1.Deployment](t, manifest)
			strategy := shop.Spec.Strategy.RollingUpdate
			if *shop.Spec.Replicas != shopReplicas || strategy.MaxSurge.IntValue() != shopSurge || strategy.MaxUnavailable.IntValue() != 0 {
				t.Errorf("%d replicas, %+v", *shop.Spec.Replicas, strategy)
			}
			image, _, _ := strings.Cut(shop.Spec.Template.Spec.Containers[0].Image, ":")
			if !strings.HasSuffix(updateShop, " "+shop.Spec.Template.Spec.Containers[0].Name+"="+image) {
				t.Errorf("%q does not set the image of %s", updateShop, image)
			}
		}
	}
}

func readObjects(t *testing.T) (objects []v1alpha1.LoadBalancerHealth, secrets map[string]corev1.Secret) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "slb_*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	secrets = map[string]corev1.Secret{}
	for _, file := range files {
		content := harness.ReadFile(t, file)
		for _, manifest := range harness.ParseManifests(t, content) {
			if manifest.GetKind() == "Secret" {
				secret := harness.Decode[corev1.Secret](t, manifest)
				secrets[secret.Name] = *secret
			} else {
				objects = append(objects, *harness.Decode[v1alpha1.LoadBalancerHealth](t, manifest))
			}
		}
	}
	return objects, secrets
}

func TestExpectations(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ready := metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonMinHealthyMet,
		ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(began),
	}
	o := v1alpha1.LoadBalancerHealth{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "1", Generation: 1}}
	o.Status.Conditions = []metav1.Condition{ready}
	o.Status.Summary = &v1alpha1.Summary{Counts: v1alpha1.Counts{Backends: 4, Normal: 3, Abnormal: 1}}
	failed := eventsv1.Event{Reason: "BackendAbnormal", Note: "backend i-web-1 is abnormal", Regarding: corev1.ObjectReference{UID: o.UID}}
	others := eventsv1.Event{Reason: "BackendAbnormal", Note: "backend i-web-2 is abnormal", Regarding: corev1.ObjectReference{UID: "2"}}
	now := snapshot{
		objects: []v1alpha1.LoadBalancerHealth{o},
		events:  []eventsv1.Event{failed, others},
		since:   began.Add(time.Second),
		pods: []corev1.Pod{
			podWith("health.slb.lbhealth.dev/web", corev1.ConditionFalse, "BackendAbnormal"),
			podWith("health.slb.lbhealth.dev/web", corev1.ConditionFalse, "NotRegistered"),
			podWith("health.slb.lbhealth.dev/web", corev1.ConditionTrue, "BackendNormal"),
			podWith("health.slb.lbhealth.dev/api", corev1.ConditionFalse, "BackendAbnormal"),
		},
		fewest: 3,
	}
	later := now
	later.since = began.Add(-time.Second)
	edited := now
	edited.objects = []v1alpha1.LoadBalancerHealth{*o.DeepCopy()}
	edited.objects[0].Generation = 2

	for name, tc := range map[string]struct {
		expected expectation
		now      snapshot
		seen     string // "" when it is met
	}{
		"condition":                   {web.condition("Ready", metav1.ConditionTrue, "MinHealthyMet"), now, ""},
		"condition, another reason":   {web.condition("Ready", metav1.ConditionTrue, "AllBackendsNormal"), now, "web: Ready is True (MinHealthyMet: )"},
		"condition of an older spec":  {web.condition("Ready", metav1.ConditionTrue, "MinHealthyMet"), edited, "web: Ready is True"},
		"condition that is not there": {web.condition("Healthy", metav1.ConditionTrue, ""), now, "no condition Healthy"},
		"steady":                      {web.steadilyReady(), now, ""},
		"steady, but changed":         {web.steadilyReady(), later, "Ready changed to True meanwhile"},
		"counts":                      {web.counts(3, 1), now, ""},
		"other counts":                {web.counts(4, 0), now, "web: 3 normal, 1 abnormal"},
		"event":                       {web.event("BackendAbnormal", "i-web-1"), now, ""},
		"event about another":         {web.event("BackendAbnormal", "i-web-1", "i-web-2"), now, "1 events BackendAbnormal: backend i-web-1"},
		"event of another reason":     {web.event("BackendNormal", "i-web-1"), now, "1 events"},
		"another object":              {api.counts(3, 1), now, "api: no such object"},
		"closed gates":                {web.closedGates(1, "BackendAbnormal"), now, ""},
		"fewer closed gates":          {web.closedGates(2, "BackendAbnormal"), now, "web: 1 closed gates (BackendAbnormal)"},
		"an open gate":                {web.closedGates(1, "BackendNormal"), now, "web: 0 closed gates"},
		"fewest":                      {web.fewestServing(3), now, ""},
		"fewer":                       {web.fewestServing(4), now, "web: the fewest that served were 3"},
		"more":                        {web.fewestServing(0), now, "web: the fewest that served were 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			met, seen := tc.expected.check(tc.now)
			if met != (tc.seen == "") {
				t.Errorf("met is %t: %s", met, seen)
			}
			if !strings.Contains(seen, tc.seen) {
				t.Errorf("%q is not in %q", tc.seen, seen)
			}
			if (unmet([]expectation{tc.expected}, tc.now) == "") != met {
				t.Error("unmet says otherwise")
			}
		})
	}
}

func podWith(condition corev1.PodConditionType, status corev1.ConditionStatus, reason string) corev1.Pod {
	return corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: condition, Status: status, Reason: reason}}}}
}

func TestSentenceNamesEachObjectOnce(t *testing.T) {
	t.Parallel()
	got := sentence([]expectation{web.counts(3, 1), web.steadilyReady(), api.counts(4, 0)})
	if want := "web: 3 normal, 1 abnormal, Ready unchanged; api: 4 normal, 0 abnormal"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
