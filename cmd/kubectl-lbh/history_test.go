// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// changed returns an object with a history of a change in each status, a minute
// apart from each other.
func changed(statuses ...metav1.ConditionStatus) *v1alpha1.LoadBalancerHealth {
	o := object("web", allNormal(), "normal")
	for i, status := range statuses {
		o.Status.History = append(o.Status.History, v1alpha1.HealthChange{
			Time: metav1.NewTime(noon.Add(-time.Duration(i+1) * time.Minute)), Status: status, Reason: "Reason" + string(status), Message: "because\x1b",
		})
	}
	return o
}

func TestHistoryIsATable(t *testing.T) {
	o, out := newOptions()
	if err := history(changed("False", "True", "Unknown"), o); err != nil {
		t.Fatal(err)
	}
	want := `TIME                   AGE   HEALTH      REASON          MESSAGE
2026-03-04T11:59:00Z   60s   Unhealthy   ReasonFalse     because·
2026-03-04T11:58:00Z   2m    Healthy     ReasonTrue      because·
2026-03-04T11:57:00Z   3m    Unknown     ReasonUnknown   because·
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

func TestEmptyHistorySaysSo(t *testing.T) {
	o, out := newOptions()
	problems := o.ErrOut.(*bytes.Buffer)
	if err := history(changed(), o); err != nil {
		t.Fatal(err)
	}
	if want := "The health of web has not changed since its first observation.\n"; out.Len() > 0 || problems.String() != want {
		t.Errorf("got %q and %q", out, problems)
	}
}

func TestTreeEndsWithTheLastChanges(t *testing.T) {
	o, out := newOptions()
	web := changed("False", "True", "False", "True")
	if err := tree(out, web, o); err != nil {
		t.Fatal(err)
	}
	want := `├─ 443/https  Healthy  1/1 normal, needs 1
│  └─ i-1 10.0.0.1:8443  normal       since 5m
└─ history
   ├─ Unhealthy  60s ago  ReasonFalse: because·
   ├─ Healthy    2m ago  ReasonTrue: because·
   └─ Unhealthy  3m ago  ReasonFalse: because·
`
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("got\n%s\nwant the suffix\n%s", out, want)
	}
}

func TestDisruptionsAllowedAreShown(t *testing.T) {
	o, _ := newOptions()
	none, some, unknown := object("none", allNormal(), "normal"), object("some", allNormal(), "normal"), object("unknown", allNormal(), "normal")
	none.Status.Summary.DisruptionsAllowed, some.Status.Summary.DisruptionsAllowed = new(int32(0)), new(int32(2))
	for object, want := range map[*v1alpha1.LoadBalancerHealth]cell{none: {"0", yellow}, some: {"2", plain}, unknown: {"-", plain}} {
		row := item{options: o, object: object}.row(optionalColumns{})
		if got := row[len(row)-1]; got != want {
			t.Errorf("%s: got %v, want %v", object.Name, got, want)
		}
	}
}
