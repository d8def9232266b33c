// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// A writeForm is a way to write a status. All but apply fail when the resourceVersion
// has changed; apply has an owner instead.
type writeForm struct {
	name string
	// metadataOnly requests a response without spec and status.
	metadataOnly bool
	// kind is empty for an update, which is a PUT.
	kind types.PatchType
	body func(stored, next *v1alpha1.LoadBalancerHealth) ([]byte, error)
}

// operatorForm is the operator's form, with which the limit is measured, too.
var operatorForm = writeForms()[0]

func writeForms() []writeForm {
	return []writeForm{
		{name: "PUT of the status, metadata response", body: statusBody, metadataOnly: true},
		{name: "PUT of the object, metadata response", body: objectBody, metadataOnly: true},
		{name: "PUT of the object", body: objectBody},
		{name: "JSON patch of changed rows, metadata response", kind: types.JSONPatchType, body: jsonBody, metadataOnly: true},
		{name: "JSON patch of changed rows", kind: types.JSONPatchType, body: jsonBody},
		{name: "merge patch of changed fields, metadata response", kind: types.MergePatchType, body: mergeBody, metadataOnly: true},
		{name: "merge patch of the status, metadata response", kind: types.MergePatchType, body: wholeBody, metadataOnly: true},
		{name: "server-side apply, metadata response", kind: types.ApplyYAMLPatchType, body: applyBody, metadataOnly: true},
	}
}

func objectBody(_, next *v1alpha1.LoadBalancerHealth) ([]byte, error) { return json.Marshal(next) }

// statusBody has no spec and no other metadata, which a write of the status ignores.
func statusBody(stored, next *v1alpha1.LoadBalancerHealth) ([]byte, error) {
	return json.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": v1alpha1.Kind,
		"metadata": map[string]string{"namespace": stored.Namespace, "name": stored.Name, "resourceVersion": stored.ResourceVersion},
		"status":   next.Status,
	})
}

func wholeBody(stored, next *v1alpha1.LoadBalancerHealth) ([]byte, error) {
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": stored.ResourceVersion},
		"status":   next.Status,
	})
}

func mergeBody(stored, next *v1alpha1.LoadBalancerHealth) ([]byte, error) {
	return client.MergeFromWithOptions(stored, client.MergeFromWithOptimisticLock{}).Data(next)
}

func applyBody(stored, next *v1alpha1.LoadBalancerHealth) ([]byte, error) {
	return json.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": v1alpha1.Kind,
		"metadata": metav1.ObjectMeta{Name: stored.Name, Namespace: stored.Namespace},
		"status":   next.Status,
	})
}

// An operation is defined by RFC 6902.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// jsonBody replaces the fields of the status that differ, and of the backends only
// the rows that differ. It replaces the resourceVersion by itself: with another
// version stored, that is a conflict, where a failed "test" would be invalid.
func jsonBody(stored, next *v1alpha1.LoadBalancerHealth) ([]byte, error) {
	operations := []operation{{Op: "replace", Path: "/metadata/resourceVersion", Value: stored.ResourceVersion}}
	from, to := reflect.ValueOf(stored.Status), reflect.ValueOf(next.Status)
	for i := range from.NumField() {
		name, _, _ := strings.Cut(from.Type().Field(i).Tag.Get("json"), ",")
		switch {
		case name == "backends" && len(stored.Status.Backends) == len(next.Status.Backends):
			operations = append(operations, changedRows(stored.Status.Backends, next.Status.Backends)...)
		case !reflect.DeepEqual(from.Field(i).Interface(), to.Field(i).Interface()):
			operations = append(operations, operation{Op: "add", Path: "/status/" + name, Value: to.Field(i).Interface()})
		}
	}
	return json.Marshal(operations)
}

func changedRows(stored, next []v1alpha1.BackendStatus) []operation {
	var operations []operation
	for i := range next {
		if stored[i] != next[i] {
			operations = append(operations, operation{Op: "replace", Path: fmt.Sprintf("/status/backends/%d", i), Value: next[i]})
		}
	}
	return operations
}
