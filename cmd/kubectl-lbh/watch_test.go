// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/tools/cache"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func textsOf(found []change) []string {
	var texts []string
	for _, c := range found {
		texts = append(texts, c.text)
	}
	return texts
}

func TestChangesBetween(t *testing.T) {
	t.Parallel()

	succeeded := v1alpha1.ReasonObservationSucceeded
	before := object("web", allNormal(), "normal", "normal")
	worse := object("web", conditions("False", v1alpha1.ReasonBelowMinHealthy, "True", succeeded), "abnormal", "normal", "normal")
	fails := object("web", conditions("True", v1alpha1.ReasonAllBackendsNormal, "False", v1alpha1.ReasonThrottled), "normal", "normal")
	moved := object("web", allNormal(), "abnormal")
	moved.Status.ObservedTarget.LoadBalancerID = "lb-other"
	omitting := object("web", allNormal(), "abnormal")
	omitting.Status.OmittedBackends = 1
	for name, c := range map[string]struct {
		before, after *v1alpha1.LoadBalancerHealth
		want          []string
	}{
		"nothing": {before, before.DeepCopy(), nil},
		"a backend, one more, the verdict": {before, worse, []string{
			"443/https i-1 10.0.0.1:8443  normal → abnormal", "443/https i-3 10.0.0.1:8443  added, normal", "Healthy → Unhealthy (BelowMinHealthy)",
		}},
		"the reverse": {worse, before, []string{
			"443/https i-1 10.0.0.1:8443  abnormal → normal", "443/https i-3 10.0.0.1:8443  removed", "Unhealthy → Healthy (AllBackendsNormal)",
		}},
		"a failure":                       {before, fails, []string{"observation failed: about Throttled"}},
		"the same failure":                {fails, fails.DeepCopy(), nil},
		"its recovery":                    {fails, before, []string{"observation recovered"}},
		"another load balancer":           {before, moved, nil},
		"a backend that the status omits": {before, omitting, []string{"443/https i-1 10.0.0.1:8443  normal → abnormal"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := textsOf(changes(c.before, c.after)); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestApplyUpdatesTheFleet(t *testing.T) {
	t.Parallel()

	fleet := map[cache.ObjectName]*v1alpha1.LoadBalancerHealth{}
	web := object("web", allNormal(), "normal")
	for _, step := range []struct {
		update
		want string
		size int
	}{
		{update{after: web}, "prod/web added", 1},
		{update{before: web, after: object("web", allNormal(), "abnormal")}, "prod/web 443/https i-1 10.0.0.1:8443  normal → abnormal", 1},
		{update{before: web}, "prod/web deleted", 0},
	} {
		entries := step.apply(fleet, noon, true)
		if len(entries) != 1 || entries[0].object+" "+entries[0].text != step.want || len(fleet) != step.size {
			t.Errorf("%+v, and %d objects; want %q and %d", entries, len(fleet), step.want, step.size)
		}
	}
}

func TestUnhealthyViewHasNoEntriesOfReadyObjects(t *testing.T) {
	t.Parallel()

	o, _ := newOptions()
	o.unhealthy = true
	shown := &recordedView{}
	f := &fleetView{o: o, c: &client{connection: &connection{}, namespace: "prod"}, view: shown, complete: true, fleet: map[cache.ObjectName]*v1alpha1.LoadBalancerHealth{}}
	good, bad := object("web", allNormal(), "normal", "normal"), object("web", conditions("False", v1alpha1.ReasonBelowMinHealthy, "True", ""), "abnormal", "normal")
	partly := object("web", conditions("True", v1alpha1.ReasonMinHealthyMet, "True", ""), "normal", "abnormal")
	for _, step := range []struct {
		update
		entries, rows int
	}{
		{update{after: good}, 0, 0},
		{update{before: good, after: partly}, 0, 0},
		{update{before: partly, after: bad}, 3, 1}, // two backends and the health
		{update{before: bad, after: good}, 2, 0},
		{update{before: good}, 0, 0},
		{update{after: bad}, 1, 1},
		{update{before: bad}, 1, 0},
	} {
		shown.entries = nil
		if err := f.onUpdate(step.update); err != nil {
			t.Fatal(err)
		}
		if len(shown.entries) != step.entries || shown.rows != step.rows {
			t.Errorf("%q and %d rows, not %d and %d", shown.entries, shown.rows, step.entries, step.rows)
		}
	}
}

func TestScreenFitsTheTerminal(t *testing.T) {
	t.Parallel()

	o, _ := newOptions()
	s := &screen{o: o, namespace: "prod"}
	for i := range 30 {
		s.selection.all = append(s.selection.all, item{options: o, object: object(fmt.Sprintf("object-%02d", i), allNormal(), "normal")})
		s.log = append(s.log, logEntry{noon, "object", change{fmt.Sprintf("change %02d", i), plain}})
	}
	s.selection.shown = s.selection.all
	for _, size := range [][2]int{{80, 24}, {40, 10}, {200, 100}, {20, 5}} {
		rows := strings.Split(strings.TrimSuffix(s.draw(size[0], size[1]), clearBelow), "\r\n")
		if len(rows) > size[1] {
			t.Errorf("%d rows of %d", len(rows), size[1])
		}
		for _, row := range rows {
			if n := displayWidth(strings.TrimSuffix(row, clearRow)); n > size[0] {
				t.Errorf("%q has %d columns of %d", row, n, size[0])
			}
		}
		if last := rows[len(rows)-1]; !strings.Contains(last, "change 29") && size[0] > 30 {
			t.Errorf("the newest change is missing: %q", last)
		}
	}
	if text := s.draw(80, 24); !strings.Contains(text, "… and ") {
		t.Error("the number of hidden objects is missing")
	}
	if text := s.draw(80, 24); !strings.Contains(text, "30 objects: 30 Healthy; 30 backends: 30 normal") {
		t.Error("the summary is missing")
	}
}

func TestTruncateKeepsEscapes(t *testing.T) {
	t.Parallel()

	row := "ab" + red.paint("cdef", true) + "gh"
	for width, want := range map[int]int{1: 1, 3: 3, 5: 5, 7: 7, 8: 8, 20: 8} {
		got := truncate(row, width)
		if n := displayWidth(got); n != want {
			t.Errorf("%q has %d columns of %d, not %d", got, n, width, want)
		}
		if truncated, whole := strings.Contains(got, "…"), width >= 8; truncated == whole {
			t.Errorf("%q in %d columns", got, width)
		}
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()

	edited := object("web", allNormal(), "normal")
	edited.Generation = 2
	failing := conditions("True", v1alpha1.ReasonAllBackendsNormal, "False", v1alpha1.ReasonThrottled)
	for want, o := range map[string]*v1alpha1.LoadBalancerHealth{
		"not observed yet":                      edited,
		"1/2 backends normal (BelowMinHealthy)": object("web", conditions("False", v1alpha1.ReasonBelowMinHealthy, "True", ""), "normal", "abnormal"),
		"cannot be observed: about Forbidden":   object("web", conditions("Unknown", v1alpha1.ReasonPending, "False", v1alpha1.ReasonForbidden)),
		"1/1 backends normal (AllBackendsNormal); cannot be observed: about Throttled": object("web", conditions("True", v1alpha1.ReasonAllBackendsNormal, "False", v1alpha1.ReasonThrottled), "normal"),
		"the requested observation is pending":                                         withRequest(object("web", failing, "normal"), "", ""),
		"the requested observation is pending; cannot be observed: about Throttled":    withRequest(object("web", failing, "normal"), "", "now"),
		"1/1 backends normal (AllBackendsNormal)":                                      object("web", allNormal(), "normal"),
	} {
		if got := progress(o, v1alpha1.ConditionHealthy); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	if reached(withRequest(object("web", allNormal(), "normal"), "older", "now"), v1alpha1.ConditionHealthy) || !reached(withRequest(object("web", allNormal(), "normal"), "now", ""), v1alpha1.ConditionHealthy) {
		t.Error("an observation before the request counts, or one after it does not")
	}
	if reached(edited, v1alpha1.ConditionHealthy) || !reached(object("web", allNormal(), "normal"), v1alpha1.ConditionHealthy) {
		t.Error("an older generation counts, or a current one does not")
	}
}
