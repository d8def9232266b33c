// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"reflect"
	"strconv"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// operation is one step of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// statusPatch is the smallest JSON patch from one status to another: the fields
// that differ and, if the backends are the same, the rows that differ.
// StatusClient sends it while a PUT would delete fields.
func statusPatch(previous, next *v1alpha1.LoadBalancerHealthStatus) []operation {
	var changes []operation
	previousValue, nextValue := reflect.ValueOf(previous).Elem(), reflect.ValueOf(next).Elem()
	for i := range nextValue.NumField() {
		before, after := previousValue.Field(i).Interface(), nextValue.Field(i).Interface()
		name, _, _ := strings.Cut(nextValue.Type().Field(i).Tag.Get("json"), ",")
		path := "/status/" + name
		if rows, ok := after.([]v1alpha1.BackendStatus); ok {
			if rowPatches, ok := rowChanges(path, before.([]v1alpha1.BackendStatus), rows); ok {
				changes = append(changes, rowPatches...)
				continue
			}
		} else if apiequality.Semantic.DeepEqual(before, after) {
			continue
		}
		if isEmpty(nextValue.Field(i)) {
			changes = append(changes, operation{Op: "remove", Path: path})
		} else {
			changes = append(changes, operation{Op: "add", Path: path, Value: after}) // also replaces
		}
	}
	return changes
}

// rowChanges replaces single rows; false when the backends differ, or when so
// many rows differ that the whole list is shorter.
func rowChanges(path string, previous, next []v1alpha1.BackendStatus) ([]operation, bool) {
	if len(previous) != len(next) {
		return nil, false
	}
	var changes []operation
	for i := range next {
		if !health.SameBackend(&previous[i], &next[i]) {
			return nil, false
		}
		if health.SameRow(&previous[i], &next[i]) {
			continue
		}
		if len(changes) > len(next)/2 {
			return nil, false
		}
		changes = append(changes, operation{Op: "replace", Path: path + "/" + strconv.Itoa(i), Value: &next[i]})
	}
	return changes, true
}

func isEmpty(v reflect.Value) bool {
	return v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0
}
