// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// fieldsOfListenerStates are the fields that the CRD has got since listeners have a state.
var fieldsOfListenerStates = []string{
	"status.listeners[].lastTransitionTime", "status.listeners[].state", "status.listeners[].healthCheck",
	"status.listeners[].missingSince", "status.lastAttemptedObserveRequest",
}

// document returns the OpenAPI document of the CRD, as the API server serves it, with edits.
func document(t *testing.T, edits ...func(schema map[string]any)) []byte {
	t.Helper()
	content, err := os.ReadFile("../config/crd/bases/slb.lbhealth.dev_loadbalancerhealths.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(content, &crd); err != nil {
		t.Fatal(err)
	}
	schema := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	schema["x-kubernetes-group-version-kind"] = []any{map[string]any{"group": "slb.lbhealth.dev", "version": "v1alpha1", "kind": "LoadBalancerHealth"}}
	for _, edit := range edits {
		edit(schema)
	}
	data, err := json.Marshal(map[string]any{"components": map[string]any{"schemas": map[string]any{
		"dev.lbhealth.slb.v1alpha1.LoadBalancerHealthList": map[string]any{},
		"dev.lbhealth.slb.v1alpha1.LoadBalancerHealth":     schema,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// dropListenerStates makes the schema that of the version before listeners had a state.
func dropListenerStates(schema map[string]any) {
	for _, path := range fieldsOfListenerStates {
		drop(path)(schema)
	}
}

// drop deletes a property of a schema, by its path.
func drop(path string) func(map[string]any) {
	return func(schema map[string]any) {
		names := strings.Split(strings.ReplaceAll(path, "[]", ""), ".")
		for _, name := range names[:len(names)-1] {
			schema = schema["properties"].(map[string]any)[name].(map[string]any)
			if items, ok := schema["items"].(map[string]any); ok {
				schema = items
			}
		}
		delete(schema["properties"].(map[string]any), names[len(names)-1])
	}
}

func TestWhatACustomResourceDefinitionLacks(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(map[string]any)
		want []string
	}{
		"this version's":           {func(map[string]any) {}, nil},
		"an older one":             {dropListenerStates, fieldsOfListenerStates},
		"a field of a pointer":     {drop("status.observedTarget.serviceName"), []string{"status.observedTarget.serviceName"}},
		"a field of an embedded":   {drop("status.listeners.abnormal"), []string{"status.listeners[].abnormal"}},
		"a field of a condition":   {drop("status.conditions.observedGeneration"), []string{"status.conditions[].observedGeneration"}},
		"a whole list":             {drop("status.backends"), []string{"status.backends"}},
		"what an object asks with": {drop("spec.serviceRef"), []string{"spec.serviceRef"}},
		"a field that is not ours": {drop("spec.interval"), nil},
		"one that drops nothing":   {func(schema map[string]any) { open(schema, "status") }, nil},
		"one that drops nothing below": {func(schema map[string]any) {
			open(schema["properties"].(map[string]any)["status"].(map[string]any), "summary")
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			is, err := lackingIn(document(t, test.edit))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if is != nil {
				got = is.paths
			}
			slices.Sort(got)
			if !slices.Equal(got, slices.Sorted(slices.Values(test.want))) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	for name, broken := range map[string]string{"no document": "", "of others": `{"components":{"schemas":{"x":{}}}}`} {
		if is, err := lackingIn([]byte(broken)); err == nil {
			t.Errorf("%s: got %v", name, is)
		}
	}
}

// open makes a property hold whatever it is given.
func open(schema map[string]any, name string) {
	schema["properties"].(map[string]any)[name] = map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
}

func schemaOf(t *testing.T, documents ...[]byte) (*Schema, *[]string) {
	t.Helper()
	var lines []string
	return &Schema{
		Read: func(context.Context) ([]byte, error) {
			next := documents[0]
			if len(documents) > 1 {
				documents = documents[1:]
			}
			if next == nil {
				return nil, errors.New("forbidden")
			}
			return next, nil
		},
		Log: funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{}),
	}, &lines
}

func TestAStatusIsFitForAnOlderCustomResourceDefinition(t *testing.T) {
	schema, _ := schemaOf(t, document(t, dropListenerStates,
		drop("status.serviceLoadBalancer"), drop("status.observedTarget.serviceName"), drop("status.backends.pod")))
	schema.Check(t.Context())
	at := metav1.NewTime(start)
	status := v1alpha1.LoadBalancerHealthStatus{
		ServiceLoadBalancer:         &v1alpha1.ServiceLoadBalancer{ServiceName: "web"},
		ObservedTarget:              &v1alpha1.ObservedTarget{ServiceName: "web", LoadBalancerID: "lb-1"},
		Summary:                     &v1alpha1.Summary{Listeners: 1},
		Listeners:                   []v1alpha1.ListenerStatus{{Port: 80, State: v1alpha1.ListenerRunning, MissingSince: &at, LastTransitionTime: &at, Counts: v1alpha1.Counts{Normal: 1}}},
		Backends:                    []v1alpha1.BackendStatus{{ServerID: "i-1", Pod: "prod/web", Node: "n"}, {ServerID: "i-2", Pod: "prod/web-2"}},
		LastAttemptedObserveRequest: "1", LastHandledObserveRequest: "0",
	}
	shared := *status.DeepCopy()
	before, fit := shared.DeepCopy(), shared
	schema.Fit(&fit)
	want := v1alpha1.LoadBalancerHealthStatus{
		ObservedTarget:            &v1alpha1.ObservedTarget{LoadBalancerID: "lb-1"},
		Summary:                   &v1alpha1.Summary{Listeners: 1},
		Listeners:                 []v1alpha1.ListenerStatus{{Port: 80, Counts: v1alpha1.Counts{Normal: 1}}},
		Backends:                  []v1alpha1.BackendStatus{{ServerID: "i-1", Node: "n"}, {ServerID: "i-2"}},
		LastHandledObserveRequest: "0",
	}
	if !apiequality.Semantic.DeepEqual(fit, want) {
		t.Errorf("got %+v, want %+v", fit, want)
	}
	if !apiequality.Semantic.DeepEqual(&shared, before) {
		t.Error("what the status shares with the stored one was changed")
	}
	equal(t, "outdated", schema.Outdated(), true)
	for field, want := range map[string]bool{
		fieldServiceLoadBalancer: true, "status.serviceLoadBalancer.regionId": true, "status.observedTarget": true, "status.observedTarget.serviceName": true,
		fieldServiceRef: false, "status.summary": false, "status.listeners[].stat": false,
	} {
		equal(t, "lacks "+field, schema.Lacks(field), want)
	}
}

func TestAnOutdatedCustomResourceDefinitionIsSaidOnce(t *testing.T) {
	older, current := document(t, dropListenerStates), document(t)
	schema, lines := schemaOf(t, nil, nil, older, older, nil, current, current, older, current)
	for i, want := range []struct {
		says     string // in a new line; "": none
		outdated bool
	}{
		{"could not be compared", false},
		{"", false},
		{"kubectl apply", true},
		{"", true},
		{"", true}, // what was known holds
		{"has every field", false},
		{"", false},
		{"status.lastAttemptedObserveRequest", true},
	} {
		before := len(*lines)
		schema.Check(t.Context())
		equal(t, "outdated", schema.Outdated(), want.outdated)
		said := (*lines)[before:]
		if want.says == "" && len(said) > 0 || want.says != "" && (len(said) != 1 || !strings.Contains(said[0], want.says)) {
			t.Errorf("check %d: said %q, not %q", i, said, want.says)
		}
	}
}

func TestWithoutASchemaNothingIsLeftOut(t *testing.T) {
	for _, schema := range []*Schema{nil, {}} {
		status := statusOf(2)
		schema.Fit(&status)
		if want := statusOf(2); !apiequality.Semantic.DeepEqual(status, want) {
			t.Errorf("got %v", status)
		}
		equal(t, "lacks", schema.Lacks(fieldServiceRef), false)
		equal(t, "outdated", schema.Outdated(), false)
	}
}

// An object that Services ask for, and the objects that name one, need fields of their own.
func TestServicesSayThatTheCustomResourceDefinitionIsTooOld(t *testing.T) {
	schema, _ := schemaOf(t, document(t, drop("spec.serviceRef"), drop("status.serviceLoadBalancer")))
	schema.Check(t.Context())
	cluster := &monitorCluster{service: monitored("true")}
	services, recorder := cluster.services()
	services.Schema = schema
	retry, err := services.monitor(t.Context(), cluster.service)
	if err != nil || retry == 0 {
		t.Errorf("got %v, %v", retry, err)
	}
	equal(t, "the number of objects created", cluster.created, 0)
	if len(recorder.recorded) != 1 || !strings.Contains(recorder.recorded[0].note, "older than the operator and has no spec.serviceRef") {
		t.Errorf("told %v", recorder.recorded)
	}
	d, err := services.discover(t.Context(), webRequest.NamespacedName, nil)
	if err != nil || d.Failure == nil || !d.Failure.Local || !strings.Contains(d.Failure.Message, "has no status.serviceLoadBalancer") {
		t.Errorf("got %v, %v", d.Failure, err)
	}
}
