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

// fieldsOfListenerStates are the fields of the CRD since listeners have a state.
var fieldsOfListenerStates = []string{
	"status.listeners[].lastTransitionTime", "status.listeners[].state", "status.listeners[].healthCheck",
	"status.listeners[].missingSince", "status.lastAttemptedObserveRequest",
}

// document is the OpenAPI document that the API server publishes for the CRD, with edits.
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

// siblings returns the properties of a schema among which the last of a path is, and its name.
func siblings(schema map[string]any, path string) (properties map[string]any, name string) {
	names := strings.Split(strings.ReplaceAll(path, "[]", ""), ".")
	for _, name := range names[:len(names)-1] {
		schema = schema["properties"].(map[string]any)[name].(map[string]any)
		if items, ok := schema["items"].(map[string]any); ok {
			schema = items
		}
	}
	return schema["properties"].(map[string]any), names[len(names)-1]
}

// drop removes a property from a schema, by its path.
func drop(path string) func(map[string]any) {
	return func(schema map[string]any) {
		properties, name := siblings(schema, path)
		delete(properties, name)
	}
}

func TestMissingFieldsIn(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(map[string]any)
		want []string
	}{
		"this version's":                               {func(map[string]any) {}, nil},
		"an older one":                                 {dropListenerStates, fieldsOfListenerStates},
		"a field of a pointer":                         {drop("status.observedTarget.serviceName"), []string{"status.observedTarget.serviceName"}},
		"a field of an embedded struct":                {drop("status.listeners.abnormal"), []string{"status.listeners[].abnormal"}},
		"a field of a condition":                       {drop("status.conditions.observedGeneration"), []string{"status.conditions[].observedGeneration"}},
		"a whole list":                                 {drop("status.backends"), []string{"status.backends"}},
		"a field of the spec that the operator writes": {drop("spec.serviceRef"), []string{"spec.serviceRef"}},
		"a field that only users write":                {drop("spec.interval"), nil},
		"a status with unknown fields":                 {func(schema map[string]any) { open(schema, "status") }, nil},
		"a field with unknown fields": {func(schema map[string]any) {
			open(schema["properties"].(map[string]any)["status"].(map[string]any), "summary")
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			schema, err := schemaIn(document(t, test.edit))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if missing := missingFieldsIn(schema); missing != nil {
				got = missing.paths
			}
			slices.Sort(got)
			if !slices.Equal(got, slices.Sorted(slices.Values(test.want))) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	for name, broken := range map[string]string{"an empty document": "", "of another API": `{"components":{"schemas":{"x":{}}}}`} {
		if schema, err := schemaIn([]byte(broken)); err == nil {
			t.Errorf("%s: got %v", name, schema)
		}
	}
}

// add adds a property to a schema, by its path.
func add(path string) func(map[string]any) {
	return func(schema map[string]any) {
		properties, name := siblings(schema, path)
		properties[name] = map[string]any{"type": "string"}
	}
}

func TestNewer(t *testing.T) {
	for name, test := range map[string]struct {
		edits []func(map[string]any)
		want  bool
	}{
		"this version's":                         {nil, false},
		"an older one":                           {[]func(map[string]any){dropListenerStates}, false},
		"with a field":                           {[]func(map[string]any){add("status.zone")}, true},
		"with a field of a pointer":              {[]func(map[string]any){add("status.summary.draining")}, true},
		"with a field of a row":                  {[]func(map[string]any){add("status.backends.zone")}, true},
		"with a field of a row, without another": {[]func(map[string]any){dropListenerStates, add("status.listeners.zone")}, true},
		"with a field of a condition":            {[]func(map[string]any){add("status.conditions.zone")}, true},
		"with a field of the spec":               {[]func(map[string]any){add("spec.zone")}, false},
		"with any field":                         {[]func(map[string]any){func(schema map[string]any) { open(schema, "status") }}, true},
	} {
		t.Run(name, func(t *testing.T) {
			schema, messages := schemaOf(t, document(t, test.edits...))
			equal(t, "newer before the first comparison", schema.Newer(), false)
			for range 2 {
				schema.Check(t.Context())
				equal(t, "newer", schema.Newer(), test.want)
			}
			logged := slices.DeleteFunc(*messages, func(m string) bool { return !strings.Contains(m, `"unknownFields"=true`) })
			equal(t, "logged once", len(logged) == 1, test.want)
		})
	}
	equal(t, "newer without a schema", (*Schema)(nil).Newer(), false)
}

// open makes a property accept unknown fields.
func open(schema map[string]any, name string) {
	schema["properties"].(map[string]any)[name] = map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
}

func schemaOf(t *testing.T, documents ...[]byte) (*Schema, *[]string) {
	t.Helper()
	var messages []string
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
		Log: funcr.New(func(_, message string) { messages = append(messages, message) }, funcr.Options{}),
	}, &messages
}

func TestFitClearsFieldsThatOlderCRDLacks(t *testing.T) {
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
		t.Error("Fit changed what the status shares with the stored one")
	}
	equal(t, "outdated", schema.Outdated(), true)
	for field, want := range map[string]bool{
		fieldServiceLoadBalancer: true, "status.serviceLoadBalancer.regionId": true, "status.observedTarget": true, "status.observedTarget.serviceName": true,
		fieldServiceRef: false, "status.summary": false, "status.listeners[].stat": false,
	} {
		equal(t, "lacks "+field, schema.Lacks(field), want)
	}
}

func TestOutdatedCRDIsLoggedOnce(t *testing.T) {
	older, current := document(t, dropListenerStates), document(t)
	schema, messages := schemaOf(t, nil, nil, older, older, nil, current, current, older, current)
	for i, want := range []struct {
		message  string // part of the new message; "": none
		outdated bool
	}{
		{"could not be compared", false},
		{"", false},
		{"kubectl apply", true},
		{"", true},
		{"", true}, // the last result stays in use
		{"now has every field", false},
		{"", false},
		{"status.lastAttemptedObserveRequest", true},
	} {
		before := len(*messages)
		schema.Check(t.Context())
		equal(t, "outdated", schema.Outdated(), want.outdated)
		logged := (*messages)[before:]
		if want.message == "" && len(logged) > 0 || want.message != "" && (len(logged) != 1 || !strings.Contains(logged[0], want.message)) {
			t.Errorf("check %d: logged %q, not %q", i, logged, want.message)
		}
	}
}

func TestFitWithoutSchemaKeepsEveryField(t *testing.T) {
	for _, schema := range []*Schema{nil, {}} {
		status := statusWithRows(2)
		schema.Fit(&status)
		if want := statusWithRows(2); !apiequality.Semantic.DeepEqual(status, want) {
			t.Errorf("got %v", status)
		}
		equal(t, "lacks", schema.Lacks(fieldServiceRef), false)
		equal(t, "outdated", schema.Outdated(), false)
	}
}

// The operator creates objects with spec.serviceRef, and writes status.serviceLoadBalancer.
func TestServicesReportOutdatedCRD(t *testing.T) {
	schema, _ := schemaOf(t, document(t, drop("spec.serviceRef"), drop("status.serviceLoadBalancer")))
	schema.Check(t.Context())
	cluster := &monitorCluster{service: monitoredService("true")}
	services, recorder := cluster.services()
	services.Schema = schema
	retry, err := services.monitor(t.Context(), cluster.service)
	if err != nil || retry == 0 {
		t.Errorf("got %v, %v", retry, err)
	}
	equal(t, "the number of objects created", cluster.created, 0)
	if len(recorder.recorded) != 1 || !strings.Contains(recorder.recorded[0].note, "older than the operator and has no spec.serviceRef") {
		t.Errorf("recorded %v", recorder.recorded)
	}
	d, err := services.discover(t.Context(), webRequest.NamespacedName, nil)
	if err != nil || d.Failure == nil || !d.Failure.Local || !strings.Contains(d.Failure.Message, "has no status.serviceLoadBalancer") {
		t.Errorf("got %v, %v", d.Failure, err)
	}
}
