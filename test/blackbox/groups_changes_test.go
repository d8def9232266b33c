// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// groupChangeSpecs are about several observations.
var groupChangeSpecs = []spec{
	{"an NLB observation whose third call is throttled changes no backend, and continues there", continuesAfterThrottling},
	{"a first ALB observation whose third call is throttled invents nothing, and continues there", continuesFirstObservation},
	{"a listener that is deleted between list and health is listed again, without a failure", listsDeletedListener},
	{"a page of health that the API no longer knows ends the observation without a result", startsAgainWithoutPage},
	{"a server that is added, drained or replaced is in the next status", followsServers},
	{"a requested observation reads every list again", readsForRequests},
	{"each call of an observation takes a permit", takesPermits},
}

// throttled affects the calls about one instance, because each has a region of its own.
var throttled = refusal(400, "Throttling.User", "Request was denied due to user flow control.")

func continuesAfterThrottling(t *testing.T, w *env) {
	g := NewWithT(t)
	b := newInstance(productNLB, "throttled-third")
	twoPorts(b)
	object := observing(w.groups.addInstance(b), often)
	w.create(t, object)
	before := w.await(t, object, good("AllBackendsNormal"))

	first := 0
	b.change(func() {
		b.before = func(n int, c instanceCall) *fakeResponse {
			switch {
			case first == 0 && c.String() == membersOf: // an observation begins
				first = n
				for _, id := range []string{"sgp-1", "sgp-2"} {
					unhealthy(b.groups[id].servers[1], "CONNECT_FAILED")
				}
			case first > 0 && n == first+2:
				return &throttled
			}
			return nil
		}
	})
	w.await(t, object, good("MinHealthyMet"))
	var made []string
	b.change(func() { made = b.textsAfter(first - 1) })
	const health80, health443 = "GetListenerHealthStatus lsn-80@80", "GetListenerHealthStatus lsn-443@443"
	g.Expect(made[:5]).To(Equal([]string{membersOf, "ListServerGroupServers sgp-2", health80, health80, health443}), "an observation whose third call is throttled")

	w.demandWholeObservations(t, before)
}

// demandWholeObservations demands that an object had one failure, in which it remained as it was before, and that no
// other status has a part of an observation.
func (w *env) demandWholeObservations(t *testing.T, before *v1alpha1.LoadBalancerHealth) {
	t.Helper()
	g := NewWithT(t)
	failed := 0
	for _, r := range w.history(t, w.groups.recorder, before) {
		status := &r.object.Status
		if found := statesOf(r.object); found["Observed"] == "False Throttled" {
			failed++
			g.Expect(found).To(Equal(with(good("AllBackendsNormal"), states{"Observed": "False Throttled"})))
			g.Expect(status.Backends).To(Equal(before.Status.Backends))
			g.Expect(status.Listeners).To(Equal(before.Status.Listeners))
			g.Expect(status.LastRequestID).To(Equal(before.Status.LastRequestID))
		} else if len(status.Backends) > 0 {
			g.Expect(groupRows(r.object)).To(Or(Equal(both), Equal([]string{
				"80 sgp-1 eni-1 normal", "80 sgp-1 eni-2 abnormal CONNECT_FAILED", "443 sgp-2 eni-1 normal", "443 sgp-2 eni-2 abnormal CONNECT_FAILED",
			})), "half an observation")
		}
	}
	g.Expect(failed).To(Equal(1), "statuses with the failure")
}

func continuesFirstObservation(t *testing.T, w *env) {
	g := NewWithT(t)
	b := newInstance(productALB, "throttled-first")
	onePort(manyPods(0, 250)...)(b)
	b.before = func(n int, _ instanceCall) *fakeResponse {
		if n == 3 {
			return &throttled
		}
		return nil
	}
	object := observing(w.groups.addInstance(b), often)
	w.create(t, object)
	found := w.await(t, object, good("AllBackendsNormal"))
	g.Expect(listenerTexts(found)).To(Equal([]string{"443/https sgp-1 Healthy 250/250 Running Enabled"}))
	g.Expect(b.texts(0)[:6]).To(Equal([]string{
		"ListListeners alb-throttled-first", membersOf, membersOf + secondPage, membersOf + secondPage, membersOf + " from 200", healthOf,
	}))
	w.demandFailure(t, object, "Throttled")
}

// demandFailure demands that an object had one failure, and nothing else before its first observation.
func (w *env) demandFailure(t *testing.T, object *v1alpha1.LoadBalancerHealth, reason string) {
	t.Helper()
	failed := 0
	for _, r := range w.history(t, w.groups.recorder, object) {
		if statesOf(r.object)["Observed"] == "False "+reason {
			failed++
			nothingInvented(NewWithT(t), r.object)
		}
	}
	if failed != 1 {
		t.Errorf("%d statuses with %s", failed, reason)
	}
}

func listsDeletedListener(t *testing.T, w *env) {
	for _, product := range []*groupProduct{productNLB, productALB} {
		b := newInstance(product, "deleted-listener")
		twoPorts(b)
		object := observing(w.groups.addInstance(b), often)
		w.create(t, object)
		w.await(t, object, good("AllBackendsNormal"))
		first := len(b.texts(0))
		b.change(func() {
			b.before = func(_ int, c instanceCall) *fakeResponse {
				if c.action == "GetListenerHealthStatus" && strings.Contains(c.String(), "lsn-443") {
					b.before = nil
					b.without(c.ids[0])
				}
				return nil
			}
		})
		w.eventually(t, func(g Gomega) {
			found := w.get(g, object)
			g.Expect(statesOf(found)).To(Equal(good("AllBackendsNormal")))
			g.Expect(groupRows(found)).To(Equal(both[:2]))
			g.Expect(found.Status.Listeners).To(HaveLen(1))
		})
		NewWithT(t).Expect(b.texts(first)).To(ContainElement("ListListeners " + b.id))
		for _, r := range w.history(t, w.groups.recorder, object) {
			if observed := statesOf(r.object)["Observed"]; strings.HasPrefix(observed, "False") {
				t.Errorf("%s: Observed is %s", b.id, observed)
			}
		}
	}
}

// startsAgainWithoutPage changes the servers between two pages of health, so that the token of the second is unknown.
func startsAgainWithoutPage(t *testing.T, w *env) {
	b := newInstance(productALB, "lost-page")
	onePort(manyPods(0, 40)...)(b)
	for _, s := range b.groups["sgp-1"].servers[:39] {
		s.health = "Unhealthy"
	}
	b.before = func(_ int, c instanceCall) *fakeResponse {
		if c.String() == healthOf+" from 30" {
			b.before = nil
			lost := refusal(400, "IllegalParam.NextToken", "The param of NextToken is illegal.")
			return &lost
		}
		return nil
	}
	object := observing(w.groups.addInstance(b), often)
	w.create(t, object)
	found := w.await(t, object, good("MinHealthyMet"))
	NewWithT(t).Expect(listenerTexts(found)).To(Equal([]string{"443/https sgp-1 Healthy 1/40 Running Enabled"}))
	w.demandFailure(t, object, "InvalidRequest")
}

func readsForRequests(t *testing.T, w *env) {
	g := NewWithT(t)
	b := newInstance(productALB, "requested")
	twoPorts(b)
	object := observing(w.groups.addInstance(b))
	w.create(t, object)
	w.await(t, object, good("AllBackendsNormal"))
	first := len(b.texts(0))
	b.change(func() {
		b.listen(8443, "HTTPS", "sgp-3")
		b.group("sgp-3", pods(3)...)
		b.groups["sgp-1"].servers = pods(1, 4) // as many as before
	})
	w.requestObservation(t, object, "now")
	w.eventually(t, func(g Gomega) {
		found := w.get(g, object)
		g.Expect(found.Status.LastHandledObserveRequest).To(Equal("now"))
		g.Expect(groupRows(found)).To(Equal([]string{
			"80 sgp-1 eni-1 normal", "80 sgp-1 eni-4 normal", "443 sgp-2 eni-1 normal", "443 sgp-2 eni-2 normal", "8443 sgp-3 eni-3 normal",
		}))
	})
	g.Expect(b.texts(first)).To(Equal([]string{
		"ListListeners alb-requested", membersOf, "ListServerGroupServers sgp-2", "ListServerGroupServers sgp-3",
		"GetListenerHealthStatus lsn-80", healthOf, "GetListenerHealthStatus lsn-8443",
	}))
}
