// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// written sets how long ago an object was created, changed by a user, and observed.
func written(o *v1alpha1.LoadBalancerHealth, created, changed, observed time.Duration) *v1alpha1.LoadBalancerHealth {
	at := func(ago time.Duration) metav1.Time { return metav1.NewTime(noon.Add(-ago)) }
	o.CreationTimestamp = at(created)
	o.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl", Time: new(at(changed))}, {Manager: "other"}}
	for i := range o.Status.Conditions {
		o.Status.Conditions[i].LastTransitionTime = at(created)
	}
	if observed > 0 {
		o.Status.LastObservedTime = new(at(observed))
	}
	return o
}

// withRequest adds a request and the operator's state of it to an object.
func withRequest(o *v1alpha1.LoadBalancerHealth, handled, attempted string) *v1alpha1.LoadBalancerHealth {
	o.Annotations = map[string]string{v1alpha1.ObserveRequestedAtAnnotation: "now"}
	o.Status.LastHandledObserveRequest, o.Status.LastAttemptedObserveRequest = handled, attempted
	return o
}

func stalledWith(reason string) [][3]string {
	return append(conditions("False", reason, "False", reason), [3]string{v1alpha1.ConditionStalled, "True", reason})
}

func TestStaleness(t *testing.T) {
	t.Parallel()

	const day, old, hour = 24 * time.Hour, 7 * time.Minute, time.Hour
	failing := conditions("True", v1alpha1.ReasonAllBackendsNormal, "False", v1alpha1.ReasonThrottled)
	stale := conditions("Unknown", v1alpha1.ReasonObservationStale, "False", v1alpha1.ReasonThrottled)
	edited, hourly, suspended, moved := object("web", allNormal(), "normal"), object("web", allNormal(), "normal"), object("web", allNormal(), "normal"), object("web", append(allNormal(), [3]string{v1alpha1.ConditionReconciling, "True", v1alpha1.ReasonProgressing}), "normal")
	edited.Generation = 2
	hourly.Spec.Interval.Duration = hour
	suspended.Spec.Suspend = true
	for name, c := range map[string]struct {
		object *v1alpha1.LoadBalancerHealth
		want   string
	}{
		"within heartbeat and intervals":       {written(object("web", allNormal(), "normal"), day, day, 6*time.Minute-6*time.Second), ""},
		"older than those":                     {written(object("web", allNormal(), "normal"), day, day, 6*time.Minute-5*time.Second), "5m"},
		"a label since":                        {written(object("web", allNormal(), "normal"), day, time.Second, old), "7m"},
		"observed every hour, in time":         {written(hourly, day, day, hour+hour/2), ""},
		"observed every hour, late":            {written(hourly.DeepCopy(), day, day, hour+hour/2+old), "97m"},
		"suspended":                            {written(suspended, day, day, day), ""},
		"suspended, by the status":             {written(object("web", conditions("Unknown", v1alpha1.ReasonSuspended, "Unknown", v1alpha1.ReasonSuspended), "normal"), day, day, day), ""},
		"failing, with a valid verdict":        {written(object("web", failing, "normal"), day, day, old+25*time.Second-time.Second), ""},
		"failing, with an expired verdict":     {written(object("web", failing, "normal"), day, day, old+25*time.Second), "7m"},
		"stale":                                {written(object("web", stale, "normal"), day, day, day), ""},
		"stalled":                              {written(object("web", stalledWith(v1alpha1.ReasonForbidden)), day, day, 0), ""},
		"new":                                  {written(newObject("web"), time.Minute, time.Minute, 0), ""},
		"new for long":                         {written(newObject("web"), old, old, 0), "7m"},
		"edited now":                           {written(edited, day, time.Minute, day), ""},
		"edited long ago":                      {written(edited.DeepCopy(), day, old, day), "7m"},
		"another load balancer":                {written(moved, day, old, 0), "7m"},
		"requested now":                        {withRequest(written(object("web", allNormal(), "normal"), day, time.Minute, time.Minute), "", ""), ""},
		"requested now, not updated before":    {withRequest(written(object("web", allNormal(), "normal"), day, time.Minute, old), "", ""), "7m"},
		"requested while stale, not attempted": {withRequest(written(object("web", stale, "normal"), day, old, day), "", ""), "7m"},
		"requested while stale, attempted":     {withRequest(written(object("web", stale, "normal"), day, old, day), "", "now"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, _ := newOptions()
			want := c.want
			if want != "" {
				want = "not updated for " + want + ": is the operator running?"
			}
			if got := o.notUpdated(c.object); got != want {
				t.Errorf("%q, not %q", got, want)
			}
		})
	}
}

// newObject is an object with the defaults of the schema.
func newObject(name string) *v1alpha1.LoadBalancerHealth {
	o := object(name, nil)
	o.Status.ObservedGeneration = -1
	return o
}

func TestHeartbeatFlag(t *testing.T) {
	t.Parallel()

	o, _ := newOptions()
	o.heartbeat = 10 * time.Second
	if got, want := o.notUpdated(updatedAgo("web", 90*time.Second)), "not updated for 90s: is the operator running?"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

// The clock of a build machine may be wrong by more than a heartbeat.
func TestAPIServerClock(t *testing.T) {
	t.Parallel()

	o, _ := newOptions()
	o.connection = &connection{}
	o.connection.measureSkew(noon.Add(time.Hour).Format(http.TimeFormat), noon)
	web := updatedAgo("web", -time.Hour)
	if got := o.notUpdated(web); got != "" || o.age(web.Status.LastObservedTime) != "0s" {
		t.Errorf("%q, observed %s ago", got, o.age(web.Status.LastObservedTime))
	}
	o.connection.measureSkew("", noon)
	o.connection.measureSkew(noon.Add(-time.Second).Format(http.TimeFormat), noon)
	if got := o.notUpdated(web); got != "" || o.serverNow() != noon {
		t.Errorf("%q, at %s", got, o.serverNow())
	}
}

func TestIsStalled(t *testing.T) {
	t.Parallel()

	edited := object("web", stalledWith(v1alpha1.ReasonForbidden))
	edited.Generation = 2
	for name, c := range map[string]struct {
		object *v1alpha1.LoadBalancerHealth
		want   bool
	}{
		"stalled":                       {object("web", stalledWith(v1alpha1.ReasonForbidden)), true},
		"before an edit":                {edited, false},
		"before a request":              {withRequest(object("web", stalledWith(v1alpha1.ReasonForbidden)), "older", "older"), false},
		"the request was attempted":     {withRequest(object("web", stalledWith(v1alpha1.ReasonForbidden)), "older", "now"), true},
		"since the request was handled": {withRequest(object("web", stalledWith(v1alpha1.ReasonForbidden)), "now", "now"), true},
		"healthy":                       {object("web", allNormal(), "normal"), false},
	} {
		if got := isStalled(c.object); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestRequestIsHandled(t *testing.T) {
	t.Parallel()

	fails := func() *v1alpha1.LoadBalancerHealth {
		return object("web", conditions("True", v1alpha1.ReasonAllBackendsNormal, "False", v1alpha1.ReasonThrottled), "normal")
	}
	replaced, suspended := object("web", allNormal(), "normal"), withRequest(fails(), "", "")
	replaced.Annotations = map[string]string{v1alpha1.ObserveRequestedAtAnnotation: "other"}
	suspended.Spec.Suspend = true
	for name, c := range map[string]struct {
		object *v1alpha1.LoadBalancerHealth
		done   bool
		want   string
	}{
		"handled":             {withRequest(object("web", allNormal(), "normal"), "now", ""), true, ""},
		"not yet":             {withRequest(object("web", allNormal(), "normal"), "", ""), false, ""},
		"a transient failure": {withRequest(fails(), "", "now"), false, ""},
		"stalled before":      {withRequest(object("web", stalledWith(v1alpha1.ReasonForbidden)), "", ""), false, ""},
		"stalled":             {withRequest(object("web", stalledWith(v1alpha1.ReasonForbidden)), "", "now"), false, "web cannot be observed: Forbidden: about Forbidden"},
		"suspended meanwhile": {suspended, false, "web is suspended"},
		"another request":     {replaced, false, "another request replaced this one"},
	} {
		r := &observeRequest{value: "now", seen: true}
		done, err := r.handled(c.object)
		if done != c.done || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %t, %v", name, done, err)
		}
	}
	for _, before := range []*v1alpha1.LoadBalancerHealth{replaced, object("web", stalledWith(v1alpha1.ReasonForbidden))} {
		if _, err := (&observeRequest{value: "now"}).handled(before); err != nil {
			t.Errorf("a state from before the request: %v", err)
		}
	}
	r := &observeRequest{value: "now"}
	for want, object := range map[string]*v1alpha1.LoadBalancerHealth{
		"web could not be observed within 1s: Throttled: about Throttled; the operator retries: kubectl lbh wait web": withRequest(fails(), "", "now"),
		"web was not observed within 1s: does slb-health-operator run":                                                withRequest(fails(), "", ""),
	} {
		if got := r.timeoutMessage(object, time.Second); !strings.HasPrefix(got, want) {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestNotUpdatedIsReportedOnce(t *testing.T) {
	t.Parallel()

	o, _ := newOptions()
	shown := &recordedView{}
	f := &fleetView{o: o, c: &client{connection: &connection{}, namespace: "prod"}, view: shown, complete: true, fleet: map[cache.ObjectName]*v1alpha1.LoadBalancerHealth{}, notUpdated: map[cache.ObjectName]bool{}}
	steps := []struct {
		object *v1alpha1.LoadBalancerHealth
		want   string
	}{
		{updatedAgo("web", time.Minute), ""},
		{updatedAgo("web", 7*time.Minute), "web not updated for 7m: is the operator running?"},
		{updatedAgo("web", 8*time.Minute), ""},
		{updatedAgo("web", time.Second), "web updated again"},
		{updatedAgo("web", 7*time.Minute), "web not updated for 7m: is the operator running?"},
		{nil, ""},
		{updatedAgo("web", 7*time.Minute), "web not updated for 7m: is the operator running?"},
	}
	for _, step := range steps {
		clear(f.fleet)
		if step.object != nil {
			f.fleet[cache.ObjectName{Namespace: "prod", Name: "web"}] = step.object
		}
		shown.entries = nil
		if err := f.tick(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(shown.entries, ", "); got != step.want {
			t.Errorf("%q, not %q", got, step.want)
		}
	}
}

// recordedView records the entries.
type recordedView struct {
	entries []string
	rows    int
}

func (v *recordedView) show(s selection, entries []logEntry) error {
	v.rows = len(s.shown)
	for _, e := range entries {
		v.entries = append(v.entries, e.object+" "+e.text)
	}
	return nil
}

func (*recordedView) tick() error  { return nil }
func (*recordedView) close() error { return nil }
