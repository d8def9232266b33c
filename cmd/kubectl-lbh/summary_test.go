// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// mixed are an unhealthy object with a missing backend, a healthy one, and one that
// is Ready in a status that is not current.
func mixed() []v1alpha1.LoadBalancerHealth {
	bad := object("bad", conditions("False", v1alpha1.ReasonBelowMinHealthy, "True", ""), "abnormal", "normal")
	bad.Status.Summary.Missing = new(int32(1))
	return []v1alpha1.LoadBalancerHealth{*bad, *object("good", allNormal(), "normal"), *updatedAgo("old", 7*time.Minute)}
}

func TestSummaryIsOnStandardError(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		objects              []v1alpha1.LoadBalancerHealth
		unhealthy, noHeaders bool
		rows                 int
		want                 string
	}{
		{mixed(), false, false, 4, "3 objects: 1 Unhealthy, 1 Unknown, 1 Healthy; 4 backends: 3 normal, 1 abnormal, 1 missing\n"},
		{mixed(), true, false, 3, "3 objects (2 shown): 1 Unhealthy, 1 Unknown, 1 Healthy; 4 backends: 3 normal, 1 abnormal, 1 missing\n"},
		{mixed(), false, true, 3, ""},
		{mixed()[1:2], true, false, 0, "1 object (none shown): 1 Healthy; 1 backend: 1 normal\n"},
		{[]v1alpha1.LoadBalancerHealth{*object("new", nil)}, false, false, 2, "1 object: 1 Pending; 0 backends\n"},
		{nil, true, false, 0, "No LoadBalancerHealth found in namespace prod.\n"},
	} {
		o, out := newOptions()
		o.unhealthy, o.noHeaders = c.unhealthy, c.noHeaders
		s, err := o.selectItems(o.items(c.objects))
		if err == nil {
			err = o.writeFleet(s, "prod", optionalColumns{})
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := o.ErrOut.(*bytes.Buffer).String(); got != c.want || strings.Count(out.String(), "\n") != c.rows {
			t.Errorf("got %q and %q, want %d rows and %q", out, got, c.rows, c.want)
		}
		if hasHeader := strings.Contains(out.String(), "NAME"); hasHeader != (c.rows > 0 && !c.noHeaders) {
			t.Errorf("the header is in %q: %v", out, hasHeader)
		}
	}
}

func TestSinceIsTheAgeOfReadyOrOfTheLastUpdate(t *testing.T) {
	t.Parallel()

	o, _ := newOptions()
	old := updatedAgo("old", 7*time.Minute)
	for want, of := range map[string]*v1alpha1.LoadBalancerHealth{"0s": object("web", allNormal(), "normal"), "7m": old, "-": object("new", nil)} {
		if row := (item{options: o, object: of}).row(optionalColumns{}); row[3].text != want {
			t.Errorf("%s: %q, not %q", of.Name, row[3].text, want)
		}
	}
}
