// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// namesBy are the names of objects in an order of --sort-by.
func (o *options) namesBy(t *testing.T, sortBy string, objects ...v1alpha1.LoadBalancerHealth) []string {
	t.Helper()
	o.sortBy = sortBy
	items := o.items(objects)
	if err := o.sort(items); err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(items))
	for _, i := range items {
		names = append(names, i.object.Name)
	}
	return names
}

func TestSortBy(t *testing.T) {
	t.Parallel()

	web10 := object("web-10", conditions("False", v1alpha1.ReasonBelowMinHealthy, "True", ""), "abnormal")
	web2 := object("web-2", conditions("Unknown", v1alpha1.ReasonHealthCheckUnavailable, "True", ""), "unavailable", "normal")
	api := object("api", allNormal(), "normal", "normal", "normal")
	unseen := object("new", nil)
	for at, o := range map[time.Duration]*v1alpha1.LoadBalancerHealth{time.Hour: web10, time.Minute: web2, time.Second: api} {
		for i := range o.Status.Conditions {
			o.Status.Conditions[i].LastTransitionTime = metav1.NewTime(noon.Add(-at))
		}
		o.CreationTimestamp = metav1.NewTime(noon.Add(at))
	}
	web10.Status.Summary.Missing, api.Status.Summary.Missing = new(int32(0)), new(int32(3))
	web10.Status.Summary.DisruptionsAllowed, api.Status.Summary.DisruptionsAllowed = new(int32(0)), new(int32(2))
	o, _ := newOptions()
	for by, want := range map[string]string{
		"health": "web-10 web-2 new api", "name": "api new web-2 web-10", "ready": "web-10 web-2 new api",
		"since": "api web-2 web-10 new", "backends": "api web-2 web-10 new", "abnormal": "web-10 web-2 new api",
		"missing": "api web-10 web-2 new", "disruptions": "web-10 api web-2 new",
		".metadata.name": "api new web-2 web-10", "{.status.summary.backends}": "new web-10 web-2 api", "status.summary.missing": "web-2 new web-10 api",
		"{.metadata.creationTimestamp}":                               "new api web-2 web-10",
		`{.status.conditions[?(@.type=="Ready")].lastTransitionTime}`: "new web-10 web-2 api",
	} {
		if got := o.namesBy(t, by, *web10, *web2, *api, *unseen); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: %q, not %q", by, got, want)
		}
	}
	for by, want := range map[string]string{"{.metadata[}": "write health, name", "": "", ".spec.nothing": "no object has this field"} {
		o.sortBy = by
		_, err := o.selectItems(o.items([]v1alpha1.LoadBalancerHealth{*api}))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, not %q", by, err, want)
		}
	}
}

func TestOrdersHaveNames(t *testing.T) {
	t.Parallel()

	for _, name := range orderNames {
		if orders[name] == nil {
			t.Errorf("help names the order %s, which does not exist", name)
		}
	}
	if len(orders) != len(orderNames) {
		t.Errorf("%d orders have %d names", len(orders), len(orderNames))
	}
}

func TestCompareValues(t *testing.T) {
	t.Parallel()

	for _, ascending := range [][]any{
		{nil, int64(2), int64(10)}, {int64(1), 1.5}, {"500m", "2", "1Gi"}, {"web-2", "web-10", "web-10a"}, {"a", "b", "b1"}, {"web-02", "web-3"},
		{"2026-03-04T09:00:00Z", "2026-03-04T10:00:00Z"}, {"30s", "a"},
	} {
		for i := range len(ascending) - 1 {
			a, b := ascending[i], ascending[i+1]
			if compareValues(a, b) >= 0 || compareValues(b, a) <= 0 || compareValues(b, b) != 0 {
				t.Errorf("%v is not before %v", a, b)
			}
		}
	}
}
