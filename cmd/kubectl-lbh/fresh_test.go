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

// written says of an object when it was created, by whom written, and observed.
func written(o *v1alpha1.LoadBalancerHealth, created, changed, observed time.Duration) *v1alpha1.LoadBalancerHealth {
	at := func(ago time.Duration) metav1.Time { return metav1.NewTime(noon.Add(-ago)) }
	o.CreationTimestamp = at(created)
	o.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl", Time: new(at(changed))}, {Manager: "nobody"}}
	for i := range o.Status.Conditions {
		o.Status.Conditions[i].LastTransitionTime = at(created)
	}
	if observed > 0 {
		o.Status.LastObservedTime = new(at(observed))
	}
	return o
}

// requesting is an object with a request, of which the operator says this.
func requesting(o *v1alpha1.LoadBalancerHealth, handled, attempted string) *v1alpha1.LoadBalancerHealth {
	o.Annotations = map[string]string{v1alpha1.ObserveRequestedAtAnnotation: "now"}
	o.Status.LastHandledObserveRequest, o.Status.LastAttemptedObserveRequest = handled, attempted
	return o
}

func stalledBy(reason string) [][3]string {
	return append(said("False", reason, "False", reason), [3]string{v1alpha1.ConditionStalled, "True", reason})
}

func TestStaleness(t *testing.T) {
	t.Parallel()

	const day, old, hour = 24 * time.Hour, 7 * time.Minute, time.Hour
	failing := said("True", v1alpha1.ReasonAllBackendsNormal, "False", v1alpha1.ReasonThrottled)
	stale := said("Unknown", v1alpha1.ReasonObservationStale, "False", v1alpha1.ReasonThrottled)
	edited, seldom, asleep, moved := object("web", good(), "normal"), object("web", good(), "normal"), object("web", good(), "normal"), object("web", append(good(), [3]string{v1alpha1.ConditionReconciling, "True", v1alpha1.ReasonProgressing}), "normal")
	edited.Generation = 2
	seldom.Spec.Interval.Duration = hour
	asleep.Spec.Suspend = true
	for name, c := range map[string]struct {
		object *v1alpha1.LoadBalancerHealth
		want   string
	}{
		"within heartbeat and intervals":        {written(object("web", good(), "normal"), day, day, 6*time.Minute-6*time.Second), ""},
		"older than those":                      {written(object("web", good(), "normal"), day, day, 6*time.Minute-5*time.Second), "5m"},
		"a label is no update":                  {written(object("web", good(), "normal"), day, time.Second, old), "7m"},
		"observed every hour, in time":          {written(seldom, day, day, hour+hour/2), ""},
		"observed every hour, late":             {written(seldom.DeepCopy(), day, day, hour+hour/2+old), "97m"},
		"suspended":                             {written(asleep, day, day, day), ""},
		"suspended, by the status":              {written(object("web", said("Unknown", v1alpha1.ReasonSuspended, "Unknown", v1alpha1.ReasonSuspended), "normal"), day, day, day), ""},
		"failing, and the verdict may stand":    {written(object("web", failing, "normal"), day, day, old+25*time.Second-time.Second), ""},
		"failing, and the verdict cannot stand": {written(object("web", failing, "normal"), day, day, old+25*time.Second), "7m"},
		"stale, which stays as it is":           {written(object("web", stale, "normal"), day, day, day), ""},
		"stalled, which stays as it is":         {written(object("web", stalledBy(v1alpha1.ReasonForbidden)), day, day, 0), ""},
		"new":                                   {written(unobserved("web"), time.Minute, time.Minute, 0), ""},
		"new for long":                          {written(unobserved("web"), old, old, 0), "7m"},
		"edited now":                            {written(edited, day, time.Minute, day), ""},
		"edited long ago":                       {written(edited.DeepCopy(), day, old, day), "7m"},
		"another load balancer":                 {written(moved, day, old, 0), "7m"},
		"requested now":                         {requesting(written(object("web", good(), "normal"), day, time.Minute, time.Minute), "", ""), ""},
		"requested now, silent before":          {requesting(written(object("web", good(), "normal"), day, time.Minute, old), "", ""), "7m"},
		"requested of a stale one, never tried": {requesting(written(object("web", stale, "normal"), day, old, day), "", ""), "7m"},
		"requested of a stale one, and tried":   {requesting(written(object("web", stale, "normal"), day, old, day), "", "now"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, _ := newOptions()
			want := c.want
			if want != "" {
				want = "not updated for " + want + ": is the operator running?"
			}
			if got := o.silence(c.object); got != want {
				t.Errorf("%q, not %q", got, want)
			}
		})
	}
}

// unobserved is an object as the schema's defaults leave it.
func unobserved(name string) *v1alpha1.LoadBalancerHealth {
	o := object(name, nil)
	o.Status.ObservedGeneration = -1
	return o
}

func TestHeartbeatFlag(t *testing.T) {
	t.Parallel()

	o, _ := newOptions()
	o.heartbeat = 10 * time.Second
	if got, want := o.silence(silent("web", 90*time.Second)), "not updated for 90s: is the operator running?"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

// The clock of a build machine may be wrong by more than a heartbeat.
func TestAPIServerClock(t *testing.T) {
	t.Parallel()

	o, _ := newOptions()
	o.link = &link{}
	o.link.compare(noon.Add(time.Hour).Format(http.TimeFormat), noon)
	web := silent("web", -time.Hour)
	if got := o.silence(web); got != "" || o.age(web.Status.LastObservedTime) != "0s" {
		t.Errorf("%q, observed %s ago", got, o.age(web.Status.LastObservedTime))
	}
	o.link.compare("", noon)
	o.link.compare(noon.Add(-time.Second).Format(http.TimeFormat), noon)
	if got := o.silence(web); got != "" || o.serverNow() != noon {
		t.Errorf("%q, at %s", got, o.serverNow())
	}
}

func TestIsStalled(t *testing.T) {
	t.Parallel()

	edited := object("web", stalledBy(v1alpha1.ReasonForbidden))
	edited.Generation = 2
	for name, c := range map[string]struct {
		object *v1alpha1.LoadBalancerHealth
		want   bool
	}{
		"stalled":                        {object("web", stalledBy(v1alpha1.ReasonForbidden)), true},
		"before an edit":                 {edited, false},
		"before a request":               {requesting(object("web", stalledBy(v1alpha1.ReasonForbidden)), "older", "older"), false},
		"the request was tried":          {requesting(object("web", stalledBy(v1alpha1.ReasonForbidden)), "older", "now"), true},
		"since the request was answered": {requesting(object("web", stalledBy(v1alpha1.ReasonForbidden)), "now", "now"), true},
		"healthy":                        {object("web", good(), "normal"), false},
	} {
		if got := isStalled(c.object); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestRequestIsHandled(t *testing.T) {
	t.Parallel()

	fails := func() *v1alpha1.LoadBalancerHealth {
		return object("web", said("True", v1alpha1.ReasonAllBackendsNormal, "False", v1alpha1.ReasonThrottled), "normal")
	}
	replaced, asleep := object("web", good(), "normal"), requesting(fails(), "", "")
	replaced.Annotations = map[string]string{v1alpha1.ObserveRequestedAtAnnotation: "other"}
	asleep.Spec.Suspend = true
	for name, c := range map[string]struct {
		object *v1alpha1.LoadBalancerHealth
		done   bool
		want   string
	}{
		"answered":            {requesting(object("web", good(), "normal"), "now", ""), true, ""},
		"not yet":             {requesting(object("web", good(), "normal"), "", ""), false, ""},
		"a passing failure":   {requesting(fails(), "", "now"), false, ""},
		"stalled before":      {requesting(object("web", stalledBy(v1alpha1.ReasonForbidden)), "", ""), false, ""},
		"stalled":             {requesting(object("web", stalledBy(v1alpha1.ReasonForbidden)), "", "now"), false, "web cannot be observed: Forbidden: about Forbidden"},
		"suspended meanwhile": {asleep, false, "web is suspended"},
		"another request":     {replaced, false, "another request replaced this one"},
	} {
		r := &observeRequest{value: "now", seen: true}
		done, err := r.answered(c.object)
		if done != c.done || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %t, %v", name, done, err)
		}
	}
	for _, before := range []*v1alpha1.LoadBalancerHealth{replaced, object("web", stalledBy(v1alpha1.ReasonForbidden))} {
		if _, err := (&observeRequest{value: "now"}).answered(before); err != nil {
			t.Errorf("a state from before the request: %v", err)
		}
	}
	r := &observeRequest{value: "now"}
	for want, object := range map[string]*v1alpha1.LoadBalancerHealth{
		"web was not answered within 1s: Throttled: about Throttled; the operator tries again: kubectl lbh wait web": requesting(fails(), "", "now"),
		"web was not observed within 1s: does slb-health-operator run":                                               requesting(fails(), "", ""),
	} {
		if got := r.unanswered(object, time.Second); !strings.HasPrefix(got, want) {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestASilentObjectIsToldOnce(t *testing.T) {
	t.Parallel()

	o, _ := newOptions()
	shown := &recordedView{}
	f := &follower{o: o, c: &client{link: &link{}, namespace: "prod"}, view: shown, complete: true, fleet: map[cache.ObjectName]*v1alpha1.LoadBalancerHealth{}, outdated: map[cache.ObjectName]bool{}}
	steps := []struct {
		object *v1alpha1.LoadBalancerHealth
		want   string
	}{
		{silent("web", time.Minute), ""},
		{silent("web", 7*time.Minute), "web not updated for 7m: is the operator running?"},
		{silent("web", 8*time.Minute), ""},
		{silent("web", time.Second), "web updated again"},
		{silent("web", 7*time.Minute), "web not updated for 7m: is the operator running?"},
		{nil, ""},
		{silent("web", 7*time.Minute), "web not updated for 7m: is the operator running?"},
	}
	for _, step := range steps {
		clear(f.fleet)
		if step.object != nil {
			f.fleet[cache.ObjectName{Namespace: "prod", Name: "web"}] = step.object
		}
		shown.told = nil
		if err := f.tick(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(shown.told, ", "); got != step.want {
			t.Errorf("%q, not %q", got, step.want)
		}
	}
}

// recordedView keeps the lines that it is to show.
type recordedView struct{ told []string }

func (v *recordedView) show(_ []v1alpha1.LoadBalancerHealth, told []line) error {
	for _, l := range told {
		v.told = append(v.told, l.object+" "+l.text)
	}
	return nil
}

func (*recordedView) tick() error  { return nil }
func (*recordedView) close() error { return nil }
