// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// groupCallSpecs count the calls of several intervals.
var groupCallSpecs = []spec{
	{"an NLB with two ports costs at most four calls an interval, and no writes without a change", func(t *testing.T, w *env) {
		b := newInstance(productNLB, "economy")
		twoPorts(b)
		countsCalls(t, w, b, 4)
	}},
	{"an ALB with two listeners and ten Services costs at most three calls an interval, and no writes without a change", func(t *testing.T, w *env) {
		b := newInstance(productALB, "economy")
		exampleIngress(b)
		countsCalls(t, w, b, 3)
	}},
	{"an ALB with more than twenty server groups lists them in two calls", func(t *testing.T, w *env) {
		b := newInstance(productALB, "many-groups")
		l := b.listen(443, "HTTPS", "sgp-0")
		for n := range 25 {
			id := fmt.Sprintf("sgp-%d", n)
			b.group(id, pods(n)...)
			l.rules = append(l.rules, []string{id})
		}
		b.groups["sgp-0"].servers = pods(100, 101)
		countsCalls(t, w, b, 3)
		lists := slices.DeleteFunc(b.texts(0), func(call string) bool { return !strings.HasPrefix(call, "ListServerGroups ") })
		NewWithT(t).Expect(strings.Count(lists[0], ",")+strings.Count(lists[1], ",")+2).To(Equal(25), "groups in the first two lists")
	}},
}

// countsCalls observes an instance that does not change, and counts the calls of each interval at its server.
func countsCalls(t *testing.T, w *env, b *fakeInstance, most int) {
	t.Helper()
	g := NewWithT(t)
	object := observing(w.groups.addInstance(b), often)
	w.create(t, object)
	w.await(t, object, good("AllBackendsNormal"))
	before, start, first := w.versions(t, object), time.Now(), len(b.texts(0))
	b.await(t, first+watchedIntervals*most)
	made, took := b.texts(first), time.Since(start)
	g.Expect(w.versions(t, object)).To(Equal(before))

	observations := b.observations(made)
	g.Expect(len(observations)).To(BeNumerically(">=", watchedIntervals-1))
	for i, calls := range observations {
		if len(calls) > most {
			t.Errorf("observation %d after the first one has %d calls: %q", i+1, len(calls), calls)
		}
	}
	// The wait may begin within an observation, and end after a late one.
	g.Expect(len(observations)).To(BeNumerically("<=", int(took/interval)+2), "observations in "+took.String())
	g.Expect(w.events(g, object)).To(BeEmpty())
}

// observations splits calls after the health of the last listener, which ends an observation while nothing changes.
func (b *fakeInstance) observations(calls []string) [][]string {
	last := "GetListenerHealthStatus " + b.listeners[len(b.listeners)-1].id
	var all [][]string
	begin := 0
	for i, call := range calls {
		if call == last {
			all = append(all, calls[begin:i+1])
			begin = i + 1
		}
	}
	return all
}

func followsServers(t *testing.T, w *env) {
	g := NewWithT(t)
	drained, grown := newInstance(productNLB, "drained"), newInstance(productALB, "grown")
	onePort(pods(1, 2)...)(drained)
	// A stopped listener makes each observation list the listeners, so that members of NLB are counted, too.
	drained.listen(80, "TCP", "sgp-1").status = "Stopped"
	drained.listen(8443, "TCPSSL", "sgp-2")
	drained.group("sgp-2", pods(3)...)
	onePort(pods(1, 2)...)(grown)
	// A second group, so that members of ALB are counted, not read.
	grown.listeners[0].rules = [][]string{{"sgp-2"}}
	grown.group("sgp-2", pods(3)...)
	objects := []*fakeInstance{drained, grown}
	for _, b := range objects {
		object := observing(w.groups.addInstance(b), often)
		w.create(t, object)
		w.await(t, object, good("AllBackendsNormal"))
	}
	awaitRows := func(b *fakeInstance, rows ...string) {
		t.Helper()
		w.eventually(t, func(g Gomega) { g.Expect(groupRows(w.get(g, observing(b)))).To(Equal(rows)) })
	}

	drained.change(func() { drained.groups["sgp-1"].servers[1].weight = 0 })
	awaitRows(drained, "443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 unused", "8443 sgp-2 eni-3 normal")
	drained.change(func() { drained.groups["sgp-1"].servers = pods(1) })
	awaitRows(drained, "443 sgp-1 eni-1 normal", "8443 sgp-2 eni-3 normal")
	g.Expect(drained.texts(0)).To(ContainElement("ListServerGroups sgp-1,sgp-2"))
	g.Expect(w.events(g, observing(drained))).To(BeEmpty())

	grown.change(func() { grown.groups["sgp-1"].servers = append(grown.groups["sgp-1"].servers, pod(9)) })
	awaitRows(grown, "443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 normal", "443 sgp-1 eni-9 normal", "443 sgp-2 eni-3 normal")
	w.awaitEvents(t, observing(grown), map[string]int{"Normal BackendAdded": 1})
	// The number of members remains, so the health has to show the new one.
	grown.change(func() { grown.groups["sgp-2"].servers = []*fakeServer{withHealth(pod(4), "Initial")} })
	awaitRows(grown, "443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 normal", "443 sgp-1 eni-9 normal", "443 sgp-2 eni-4 unavailable")
	grown.change(func() { grown.groups["sgp-2"].servers[0].health = "" })
	awaitRows(grown, "443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 normal", "443 sgp-1 eni-9 normal", "443 sgp-2 eni-4 normal")
}

// takesPermits observes with an operator that may call once a second.
func takesPermits(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace = "permits"
	w.createNamespace(t, namespace)
	w.startOperator(t, operatorOptions{
		name: namespace, endpoint: w.serveUnused(t).URL, account: w.groups.caller,
		args: append(w.groups.endpoints(), "--slb-qps=1", "--slb-burst=1"),
	})
	b := newInstance(productNLB, "permits")
	twoPorts(b)
	object := observing(w.groups.addInstance(b))
	object.Namespace = namespace
	start := time.Now()
	w.create(t, object)
	w.await(t, object, good("AllBackendsNormal"))
	g.Expect(b.texts(0)).To(HaveLen(5))
	g.Expect(time.Since(start)).To(BeNumerically(">", 3900*time.Millisecond), "five calls, one a second")
	for _, r := range w.history(t, w.groups.recorder, object) {
		if rows := groupRows(r.object); len(rows) > 0 {
			g.Expect(rows).To(Equal(both))
		}
	}
}
