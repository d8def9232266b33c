// SPDX-License-Identifier: Apache-2.0

package health

import (
	"reflect"
	"testing"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// A field that sameStatus does not compare fails this test.
func TestStatusesThatDifferInAnyFieldAreNotEqual(t *testing.T) {
	full := func() *v1alpha1.LoadBalancerHealthStatus {
		status := &v1alpha1.LoadBalancerHealthStatus{}
		fill(reflect.ValueOf(status).Elem())
		return status
	}
	if !sameStatus(full(), full()) {
		t.Fatal("a status differs from an equal one")
	}
	tried := 0
	each(reflect.ValueOf(full()).Elem(), "status", func(path string, n int) {
		tried++
		changed := full()
		at := 0
		each(reflect.ValueOf(changed).Elem(), "status", func(string, int) {}, func(value reflect.Value) {
			if at == n {
				alter(value)
			}
			at++
		})
		if apiequality.Semantic.DeepEqual(full(), changed) {
			t.Fatalf("the test did not change %s", path)
		}
		if sameStatus(full(), changed) {
			t.Errorf("%s is not compared", path)
		}
	})
	if tried < 35 {
		t.Errorf("only %d fields were tried", tried)
	}
}

func TestNilAndEmptyListsAreEqual(t *testing.T) {
	none := &v1alpha1.LoadBalancerHealthStatus{}
	empty := &v1alpha1.LoadBalancerHealthStatus{
		Conditions: []metav1.Condition{}, Listeners: []v1alpha1.ListenerStatus{}, Backends: []v1alpha1.BackendStatus{},
	}
	if !sameStatus(none, empty) {
		t.Error("nil and empty lists differ")
	}
}

// fill sets every field, and gives every list one element.
func fill(v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[metav1.Time]():
		v.Set(reflect.ValueOf(metav1.NewTime(start)))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case v.Kind() == reflect.Struct:
		for _, field := range v.Fields() {
			fill(field)
		}
	default:
		alter(v)
	}
}

// each visits every value in order, and then calls the callbacks with it.
func each(v reflect.Value, path string, visit func(path string, n int), callbacks ...func(reflect.Value)) {
	n := 0
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		switch {
		case v.Type() == reflect.TypeFor[metav1.Time]() || v.Kind() != reflect.Pointer && v.Kind() != reflect.Slice && v.Kind() != reflect.Struct:
			visit(path, n)
			for _, callback := range callbacks {
				callback(v)
			}
			n++
		case v.Kind() == reflect.Pointer:
			walk(v.Elem(), path)
		case v.Kind() == reflect.Slice:
			walk(v.Index(0), path)
		default:
			for i := range v.NumField() {
				walk(v.Field(i), path+"."+v.Type().Field(i).Name)
			}
		}
	}
	walk(v, path)
}

func alter(v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[metav1.Time]():
		v.Set(reflect.ValueOf(metav1.NewTime(start.Add(time.Hour))))
	case v.CanInt():
		v.SetInt(v.Int() + 7)
	default:
		v.SetString(v.String() + "x")
	}
}

func TestNilAndZeroPointersAreNotEqual(t *testing.T) {
	at := metav1.NewTime(start)
	for name, status := range map[string]v1alpha1.LoadBalancerHealthStatus{
		"serviceLoadBalancer": {ServiceLoadBalancer: &v1alpha1.ServiceLoadBalancer{}},
		"ingressLoadBalancer": {IngressLoadBalancer: &v1alpha1.IngressLoadBalancer{}},
		"observedTarget":      {ObservedTarget: &v1alpha1.ObservedTarget{}},
		"summary":             {Summary: &v1alpha1.Summary{}},
		"lastObservedTime":    {LastObservedTime: &at},
	} {
		if sameStatus(&status, &v1alpha1.LoadBalancerHealthStatus{}) || sameStatus(&v1alpha1.LoadBalancerHealthStatus{}, &status) {
			t.Errorf("%s is not compared", name)
		}
	}
	missing := v1alpha1.LoadBalancerHealthStatus{Listeners: []v1alpha1.ListenerStatus{{MissingSince: &at}}}
	changed := v1alpha1.LoadBalancerHealthStatus{Listeners: []v1alpha1.ListenerStatus{{LastTransitionTime: &at}}}
	none := v1alpha1.LoadBalancerHealthStatus{Listeners: []v1alpha1.ListenerStatus{{}}}
	if sameStatus(&missing, &none) || sameStatus(&none, &changed) || !sameStatus(&none, &none) {
		t.Error("the times of a listener are not compared")
	}
}
