// SPDX-License-Identifier: Apache-2.0

package servergroup

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// nlbService is the NLB of a Service with two ports.
func nlbService() *fakeAPI {
	api := newFakeAPI()
	api.forward(80, "sgp-1", 1, 2)
	api.forward(443, "sgp-2", 1, 2)
	return api
}

// albIngress is the ALB of an Ingress with two listeners and ten Services.
func albIngress() *fakeAPI {
	api := newFakeAPI()
	for _, port := range []int32{80, 443} {
		api.forward(port, "sgp-0", 1, 2)
	}
	for n := range 9 {
		id := "sgp-" + strconv.Itoa(n+1)
		api.group(id, 3*n+10, 3*n+11, 3*n+12)
		for _, l := range api.listeners {
			api.rules[l.ID] = append(api.rules[l.ID], id)
		}
	}
	return api
}

// Facts, section 1.6: 4 calls for the NLB of two ports, 3 for the ALB of the
// example while its members do not change.
func TestCallsOfAnIntervalAreBounded(t *testing.T) {
	t.Run("NLB, also while the listeners are listed again", func(t *testing.T) {
		o := observerOf(t, nlbService(), Policy{Weights: true})
		_, first := o.observe()
		demandCalls(t, first, "ListListeners", "ListServerGroupServers sgp-1", "ListServerGroupServers sgp-2", "GetListenerHealthStatus lsn-80", "GetListenerHealthStatus lsn-443")
		lists := 0
		for range 30 { // 15 minutes
			o.now = o.now.Add(30 * time.Second)
			_, calls := o.observe()
			if len(calls) > 4 {
				t.Errorf("%d calls: %q", len(calls), calls)
			}
			if slices.Contains(calls, ActionListeners) {
				lists++
			}
		}
		if lists < 2 || lists > 3 {
			t.Errorf("%d lists of listeners in 15 minutes", lists)
		}
	})
	t.Run("ALB", func(t *testing.T) {
		o := observerOf(t, albIngress(), Policy{})
		o.observe()
		for range 28 { // 2m20s, before the first members are read again
			o.now = o.now.Add(5 * time.Second)
			_, calls := o.observe()
			demandCalls(t, calls, "ListServerGroups", "GetListenerHealthStatus lsn-80", "GetListenerHealthStatus lsn-443")
		}
	})
	t.Run("one port of one group", func(t *testing.T) {
		api := newFakeAPI()
		api.forward(80, "sgp-1", 1, 2)
		for _, policy := range []Policy{{}, {Weights: true}} {
			o := observerOf(t, api, policy)
			o.observe()
			o.now = o.now.Add(30 * time.Second)
			_, calls := o.observe()
			demandCalls(t, calls, "ListServerGroupServers sgp-1", "GetListenerHealthStatus lsn-80")
		}
	})
}

// Members that nothing says have changed are read every five minutes, not all in
// one observation.
func TestMembersAreReadAgainEveryFiveMinutes(t *testing.T) {
	o := observerOf(t, albIngress(), Policy{})
	o.observe()
	readAt, total := map[string]time.Time{}, 0
	for id := range o.groups {
		readAt[id] = o.now
	}
	for range 120 { // an hour
		o.now = o.now.Add(30 * time.Second)
		_, calls := o.observe()
		total += len(calls)
		reads := 0
		for _, call := range calls {
			if action, id := call[:min(len(call), len(ActionMembers))], call[min(len(call), len(ActionMembers)+1):]; action == ActionMembers {
				reads++
				readAt[id] = o.now
			}
		}
		for id, at := range readAt {
			if age := o.now.Sub(at); age > membersEvery+30*time.Second {
				t.Errorf("the members of %s are of %s ago", id, age)
			}
		}
		if reads > 4 {
			t.Errorf("the members of %d groups were read in one observation", reads)
		}
	}
	if mean := float64(total) / 120; mean > 4.5 {
		t.Errorf("%.1f calls in the mean", mean)
	}
}

func TestMembersAreReadAgainWhere(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(o *testObserver)
		want bool
	}{
		"nothing changed":   {func(*testObserver) {}, false},
		"the count differs": {func(o *testObserver) { o.groups["sgp-1"].members = append(o.groups["sgp-1"].members, pod(99)) }, true},
		"the health names a server that is no member": {func(o *testObserver) {
			o.groups["sgp-1"].members[0] = pod(99)
			o.groups["sgp-1"].fail(99, "Initial")
		}, true},
		"an observation is requested": {func(o *testObserver) { o.request.Since = o.now }, true},
		"a pod waits for the group":   {func(o *testObserver) { o.request.Awaited = []string{"sgp-1"} }, true},
		"a pod waits for another one": {func(o *testObserver) { o.request.Awaited = []string{"sgp-2"} }, false},
		"they are old":                {func(o *testObserver) { o.now = o.now.Add(membersEvery) }, true},
		"a member failed":             {func(o *testObserver) { o.groups["sgp-1"].fail(10, "Unhealthy") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := observerOf(t, albIngress(), Policy{})
			o.observe()
			o.now = o.now.Add(5 * time.Second)
			test.edit(o)
			observation, calls := o.observe()
			if got := slices.Contains(calls, "ListServerGroupServers sgp-1"); got != test.want {
				t.Errorf("read is %t, calls %q", got, calls)
			}
			var want []string
			for _, m := range o.groups["sgp-1"].members {
				status := alicloud.HealthNormal
				if server, failed := o.groups["sgp-1"].health[m.ServerID]; failed {
					status = server.health()
				}
				want = append(want, "443 sgp-1 "+m.ServerID+" "+status)
			}
			got := slices.DeleteFunc(rows(observation), func(row string) bool { return row[:10] != "443 sgp-1 " })
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// A member that becomes available, or gets a weight, changes no number of members.
func TestMembersThatChangeAreReadEachTime(t *testing.T) {
	for name, test := range map[string]struct {
		before, after func(*fakeGroup)
		was, is       string
		always        bool // also while nothing changed
	}{
		"being added":   {func(g *fakeGroup) { g.members[0].Status = "adding" }, func(g *fakeGroup) { g.members[0].Status = "available" }, "unavailable", "normal", true},
		"being removed": {func(g *fakeGroup) { g.members[0].Status = "removing" }, func(g *fakeGroup) { g.members[0].Status = "available" }, "", "normal", true},
		"weight 0": {func(g *fakeGroup) { g.members[0].Unused = true; g.fail(10, "Unused") }, func(g *fakeGroup) {
			g.members[0].Unused = false
			clear(g.health)
		}, "unused", "normal", false},
	} {
		t.Run(name, func(t *testing.T) {
			o := observerOf(t, albIngress(), Policy{})
			test.before(o.groups["sgp-1"])
			expect := func(status string) []string {
				t.Helper()
				o.now = o.now.Add(5 * time.Second)
				observation, calls := o.observe()
				got := ""
				for _, row := range rows(observation) {
					if prefix := "443 sgp-1 eni-10 "; len(row) > len(prefix) && row[:len(prefix)] == prefix {
						got = row[len(prefix):]
					}
				}
				if got != status {
					t.Errorf("the member is %q, not %q", got, status)
				}
				return calls
			}
			expect(test.was)
			if read := slices.Contains(expect(test.was), "ListServerGroupServers sgp-1"); read != test.always {
				t.Errorf("its members are read again: %t", read)
			}
			test.after(o.groups["sgp-1"])
			expect(test.is)
			if slices.Contains(expect(test.is), "ListServerGroupServers sgp-1") {
				t.Error("the members are still read")
			}
		})
	}
}

// Facts, section 1.6: members first, health second. A server that is added in
// between and Initial must not be normal.
func TestServerThatIsAddedBetweenTwoCallsIsNotNormal(t *testing.T) {
	for at := range 5 {
		for _, policy := range []Policy{{}, {Weights: true}} {
			api, n := nlbService(), 0
			api.before = func(string) error {
				if n == at {
					g := api.groups["sgp-2"]
					g.members = append(g.members, pod(3))
					g.fail(3, "Initial")
				}
				n++
				return nil
			}
			observation, _ := observerOf(t, api, policy).observe()
			for _, row := range rows(observation) {
				if row == "443 sgp-2 eni-3 normal" {
					t.Errorf("added before call %d: %q", at, row)
				}
			}
		}
	}
}

// A replaced server, found by the health after the members were counted, is read
// before its listener's health is read again.
func TestMembersPrecedeHealthOfKeptGroups(t *testing.T) {
	o := observerOf(t, albIngress(), Policy{})
	o.observe()
	o.now = o.now.Add(5 * time.Second)
	o.groups["sgp-3"].members[1] = pod(99)
	o.groups["sgp-3"].fail(99, "Initial")
	_, calls := o.observe()
	demandCalls(t, calls, "ListServerGroups", "GetListenerHealthStatus lsn-80", "ListServerGroupServers sgp-3", "GetListenerHealthStatus lsn-80", "GetListenerHealthStatus lsn-443")
}

func TestObservationContinuesWithEachPermit(t *testing.T) {
	for _, pageSize := range []int{0, 1} {
		whole := observerOf(t, albIngress(), Policy{})
		whole.pageSize = pageSize
		want, calls := whole.observe()

		o := observerOf(t, albIngress(), Policy{})
		o.pageSize = pageSize
		var got *alicloud.Observation
		var all []string
		for got == nil {
			o.permits = 1
			o.now = o.now.Add(100 * time.Millisecond)
			observation, made, err := o.try()
			if err != nil && !errors.Is(err, errNoPermit) {
				t.Fatal(err)
			}
			if got, all = observation, append(all, made...); len(all) > len(calls) {
				t.Fatalf("the calls %q, want %q", all, calls)
			}
		}
		demandCalls(t, all, calls...)
		demand(t, got, rows(want)...)
		if o.now.Sub(got.RequestedAt) < time.Second || got.At.Before(got.RequestedAt) {
			t.Errorf("requested at %s, at %s, now %s", got.RequestedAt, got.At, o.now)
		}
	}
}

func TestPagesAreDropped(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(o *testObserver)
		want bool
	}{
		"when they are old":           {func(o *testObserver) { o.now = o.now.Add(passLifetime) }, true},
		"not before":                  {func(o *testObserver) { o.now = o.now.Add(passLifetime - time.Second) }, false},
		"of another scope":            {func(o *testObserver) { o.request.Scope.ListenerPort = 80 }, true},
		"that precede what is wanted": {func(o *testObserver) { o.request.Since = o.now }, true},
		"not when they may be as old": {func(o *testObserver) { o.request.Since = o.now.Add(-time.Minute) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := observerOf(t, nlbService(), Policy{Weights: true})
			o.permits = 4 // all but the last health
			if _, _, err := o.try(); !errors.Is(err, errNoPermit) {
				t.Fatal(err)
			}
			o.groups["sgp-1"].fail(1, "Unhealthy") // in the page that is kept
			o.permits = -1
			test.edit(o)
			observation, calls := o.observe()
			if dropped := slices.Contains(calls, "GetListenerHealthStatus lsn-80"); dropped != test.want {
				t.Errorf("dropped is %t: %q", dropped, calls)
			}
			if failed := slices.Contains(rows(observation), "80 sgp-1 eni-1 abnormal"); failed != test.want {
				t.Errorf("got %q", rows(observation))
			}
		})
	}
}

// A failed call ends the observation without a result, and the next one continues.
func TestObservationContinuesAfterATransientFailure(t *testing.T) {
	for name, test := range map[string]struct {
		failure   *alicloud.Error
		continues bool
	}{
		"throttled":   {&alicloud.Error{Kind: alicloud.Throttled, Code: "Throttling.User"}, true},
		"unreachable": {&alicloud.Error{Kind: alicloud.EndpointUnreachable}, true},
		"busy":        {&alicloud.Error{Kind: alicloud.ServiceError, Code: "SystemBusy"}, true},
		"forbidden":   {&alicloud.Error{Kind: alicloud.Forbidden, Code: "Forbidden.RAM"}, false},
		"a bad page":  {&alicloud.Error{Kind: alicloud.InvalidRequest, Code: "IllegalParam.NextToken"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			api, n := nlbService(), 0
			api.before = func(string) error {
				n++
				if n == 3 {
					return test.failure
				}
				return nil
			}
			o := observerOf(t, api, Policy{Weights: true})
			if _, _, err := o.try(); !errors.Is(err, test.failure) {
				t.Fatal(err)
			}
			_, calls := o.observe()
			if continued := len(calls) == 3; continued != test.continues {
				t.Errorf("the calls %q", calls)
			}
		})
	}
}

func TestListenerThatWasRemovedIsListedAgain(t *testing.T) {
	o := observerOf(t, nlbService(), Policy{Weights: true})
	o.observe()
	o.now = o.now.Add(30 * time.Second)
	o.listeners = o.listeners[:1]
	observation, calls := o.observe()
	demand(t, observation, "80 sgp-1 eni-1 normal", "80 sgp-1 eni-2 normal")
	if !slices.Contains(calls, ActionListeners) {
		t.Errorf("the calls %q", calls)
	}

	o.now = o.now.Add(30 * time.Second)
	o.before = func(call string) error {
		if call == "GetListenerHealthStatus lsn-80" {
			return notFound("listener")
		}
		return nil
	}
	if _, calls, err := o.try(); err == nil || len(calls) > 8 {
		t.Errorf("a listener that is listed and not found: %v, %q", err, calls)
	}
}

// Groups of two rules that are removed at the same time.
func TestGroupsThatWereRemovedAreForgotten(t *testing.T) {
	o := observerOf(t, albIngress(), Policy{})
	want, _ := o.observe()
	o.now = o.now.Add(5 * time.Second)
	for _, id := range []string{"sgp-4", "sgp-5"} {
		delete(o.groups, id)
		for l, ids := range o.rules {
			o.rules[l] = slices.DeleteFunc(ids, func(rule string) bool { return rule == id })
		}
	}
	observation, calls := o.observe()
	if len(observation.Backends) != len(want.Backends)-12 {
		t.Errorf("%d rows of %d", len(observation.Backends), len(want.Backends))
	}
	demandCalls(t, calls, "ListServerGroups", "ListServerGroupServers sgp-4", "ListServerGroupServers sgp-5", "GetListenerHealthStatus lsn-80", "GetListenerHealthStatus lsn-443")
}

// A rule and its group are removed after the health named them.
func TestGroupThatIsRemovedAfterHealthNamedItIsForgotten(t *testing.T) {
	api := newFakeAPI()
	api.forward(443, "sgp-1", 1)
	api.group("sgp-2", 2)
	api.rules["lsn-443"] = []string{"sgp-2"}
	api.before = func(call string) error {
		if call == "ListServerGroupServers sgp-2" {
			delete(api.groups, "sgp-2")
			delete(api.rules, "lsn-443")
		}
		return nil
	}
	observation, calls := observerOf(t, api, Policy{}).observe()
	demand(t, observation, "443 sgp-1 eni-1 normal")
	demandCalls(t, calls, "ListListeners", "ListServerGroupServers sgp-1", "GetListenerHealthStatus lsn-443", "ListServerGroupServers sgp-2", "GetListenerHealthStatus lsn-443")
}

// The health may name a group that the list of members does not know: neither is
// believed.
func TestGroupThatHealthNamesMustExist(t *testing.T) {
	o := observerOf(t, albIngress(), Policy{})
	delete(o.groups, "sgp-4")
	if _, calls, err := o.try(); err == nil || len(calls) > 20 {
		t.Errorf("%v after %q", err, calls)
	}
}

func TestListenerWithAnotherGroupIsListedAgain(t *testing.T) {
	o := observerOf(t, albIngress(), Policy{})
	o.observe()
	o.now = o.now.Add(5 * time.Second)
	o.group("sgp-new", 50)
	o.listeners[0].GroupIDs = []string{"sgp-new"}
	observation, calls := o.observe()
	if !slices.Contains(calls, ActionListeners) || !slices.Contains(rows(observation), "80 sgp-new eni-50 normal") || slices.Contains(rows(observation), "80 sgp-0 eni-1 unavailable") {
		t.Errorf("got %q after %q", rows(observation), calls)
	}
}

func TestLoadBalancerWithoutListenersMustExist(t *testing.T) {
	api := newFakeAPI()
	o := observerOf(t, api, Policy{})
	observation, calls := o.observe()
	demandCalls(t, calls, "ListListeners", "GetLoadBalancerAttribute")
	if len(observation.Backends) != 0 || len(observation.Groups.Listeners) != 0 {
		t.Errorf("got %+v", observation)
	}
	unknown := &alicloud.Error{Kind: alicloud.LoadBalancerNotFound, Code: "ResourceNotFound.loadBalancer"}
	api.before = func(call string) error {
		if call == ActionLoadBalancer {
			return unknown
		}
		return nil
	}
	if _, _, err := o.try(); !errors.Is(err, unknown) {
		t.Errorf("got %v", err)
	}
	api.before = nil
	api.forward(80, "sgp-1", 1)
	observation, _ = o.observe()
	demand(t, observation, "80 sgp-1 eni-1 normal")
}

func TestScopeBoundsTheCalls(t *testing.T) {
	api := nlbService()
	api.listeners = append(api.listeners, Listener{ID: "lsn-range", Port: 9000, EndPort: 9100, Protocol: "udp", Status: statusRunning, GroupIDs: []string{"sgp-2"}})
	for name, test := range map[string]struct {
		scope alicloud.Scope
		want  []string
	}{
		"a port":               {alicloud.Scope{ListenerPort: 80}, []string{"80 sgp-1 eni-1 normal", "80 sgp-1 eni-2 normal"}},
		"a port in a range":    {alicloud.Scope{ListenerPort: 9050}, []string{"9000 sgp-2 eni-1 normal", "9000 sgp-2 eni-2 normal"}},
		"a port after a range": {alicloud.Scope{ListenerPort: 9101}, nil},
		"a protocol":           {alicloud.Scope{ListenerProtocol: "udp"}, []string{"9000 sgp-2 eni-1 normal", "9000 sgp-2 eni-2 normal"}},
		"another protocol":     {alicloud.Scope{ListenerPort: 80, ListenerProtocol: "udp"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := observerOf(t, api, Policy{Weights: true})
			o.request.Scope = test.scope
			observation, calls := o.observe()
			demand(t, observation, test.want...)
			if len(calls) > 3 {
				t.Errorf("the calls %q", calls)
			}
			for i := range observation.Backends {
				if !observation.InScope(test.scope, i) || observation.InScope(alicloud.Scope{ListenerPort: 443}, i) {
					t.Errorf("row %d: InScope is wrong", i)
				}
			}
		})
	}
}

// Nothing checks the servers of a stopped listener, and it may start at any time.
func TestStoppedListenerHasNoRowsAndIsListedEachTime(t *testing.T) {
	o := observerOf(t, nlbService(), Policy{Weights: true})
	o.listeners[1].Status = statusStopped
	observation, _ := o.observe()
	demand(t, observation, "80 sgp-1 eni-1 normal", "80 sgp-1 eni-2 normal")
	if l := observation.Groups.Listeners; len(l) != 2 || l[1].Status != statusStopped || l[1].Port != 443 || l[1].ServerGroupID != "" {
		t.Errorf("the listeners %+v", l)
	}
	o.now = o.now.Add(5 * time.Second)
	o.listeners[1].Status = statusRunning
	observation, calls := o.observe()
	if len(observation.Backends) != 4 || calls[0] != ActionListeners {
		t.Errorf("got %q after %q", rows(observation), calls)
	}
}

// Each observation of such a load balancer lists the listeners, and may not count the members each time, too.
func TestWeightIsSeenBesideAStoppedListener(t *testing.T) {
	api := nlbService()
	api.forward(8443, "sgp-3", 3)
	api.listeners[2].Status = statusStopped
	o := observerOf(t, api, Policy{Weights: true})
	o.observe()
	o.groups["sgp-1"].members[0].Unused = true
	var rowsSeen, all []string
	for range 2 {
		o.now = o.now.Add(30 * time.Second)
		observation, calls := o.observe()
		rowsSeen, all = rows(observation), append(all, calls...)
	}
	if rowsSeen[0] != "80 sgp-1 eni-1 unused" {
		t.Errorf("got %q after %q", rowsSeen, all)
	}
	if counted := slices.Index(all, ActionGroups); counted != 1 || len(all) > 9 {
		t.Errorf("the calls %q", all)
	}
}

func TestMembersThatChangeBetweenTheirPagesAreReadAgain(t *testing.T) {
	api := newFakeAPI()
	api.forward(80, "sgp-1", 1, 2, 3, 4)
	api.pageSize = 2
	n := 0
	api.before = func(call string) error {
		if call == "ListServerGroupServers sgp-1" {
			n++
			if n == 2 { // between the two pages, the first pod is removed
				api.groups["sgp-1"].members = api.groups["sgp-1"].members[1:]
			}
		}
		return nil
	}
	observation, _ := observerOf(t, api, Policy{}).observe()
	demand(t, observation, "80 sgp-1 eni-2 normal", "80 sgp-1 eni-3 normal", "80 sgp-1 eni-4 normal")
	if n != 4 {
		t.Errorf("%d pages of members", n)
	}
}

// A group that moves to a page of health that was read is on none, and would have no
// health. The pages of a pass without a change are those of the last one.
func TestHealthOfSeveralPagesIsConfirmed(t *testing.T) {
	api := newFakeAPI()
	api.forward(443, "sgp-1", 1)
	for n := 2; n <= 4; n++ {
		id := "sgp-" + strconv.Itoa(n)
		api.group(id, n)
		api.rules["lsn-443"] = append(api.rules["lsn-443"], id)
	}
	api.groups["sgp-3"].fail(3, "Unhealthy")
	api.pageSize = 2
	o := observerOf(t, api, Policy{})
	observation, _ := o.observe()
	all := []string{"443 sgp-1 eni-1 normal", "443 sgp-2 eni-2 normal", "443 sgp-3 eni-3 abnormal", "443 sgp-4 eni-4 normal"}
	demand(t, observation, all...)

	n := 0
	api.before = func(call string) error {
		if call == "GetListenerHealthStatus lsn-443" {
			n++
			if n == 2 { // between the two pages, the first rule is removed
				api.rules["lsn-443"] = api.rules["lsn-443"][1:]
			}
		}
		return nil
	}
	for _, pages := range []int{6, 8} { // of all reads: two that differ and one that confirms, and one that changed nothing
		observation, _ = o.observe()
		demand(t, observation, all[0], all[2], all[3])
		if n != pages {
			t.Errorf("%d pages of health, want %d", n, pages)
		}
	}
}

// Pages that change all the time are an observation, too, after a bounded number of reads.
func TestHealthThatChangesAllTheTimeIsObserved(t *testing.T) {
	api, n := albIngress(), 0
	api.pageSize = 4
	api.before = func(call string) error {
		if call == "GetListenerHealthStatus lsn-80" {
			n++
			clear(api.groups["sgp-0"].health)
			api.groups["sgp-0"].fail(1+n%2, "Unhealthy")
		}
		return nil
	}
	if _, calls := observerOf(t, api, Policy{}).observe(); n > 3*(maxRedone+1) {
		t.Errorf("%d pages of health among %d calls", n, len(calls))
	}
}

// A listener that moves to a page that was read is on none, and would be unknown
// until the next list.
func TestListenersThatChangeBetweenTheirPagesAreListedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		times int // how often they change
		pages int // of all lists
		want  []string
	}{
		"once": {1, 2 + 2, []string{"443 sgp-2 eni-1 normal", "8443 sgp-3 eni-1 normal", "9443 sgp-4 eni-1 normal"}},
		// The second list has the listener of port 443, whose health is not found.
		"twice": {2, 2 + 2 + 1, []string{"8443 sgp-3 eni-1 normal", "9443 sgp-4 eni-1 normal"}},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI()
			for n, port := range []int32{80, 443, 8443, 9443} {
				api.forward(port, "sgp-"+strconv.Itoa(n+1), 1)
			}
			api.pageSize = 2
			pages, changes := 0, 0
			api.before = func(call string) error {
				if call != ActionListeners {
					return nil
				}
				pages++
				if pages%2 == 0 && changes < test.times {
					changes++
					api.listeners = api.listeners[1:]
				}
				return nil
			}
			observation, _ := observerOf(t, api, Policy{}).observe()
			demand(t, observation, test.want...)
			if pages != test.pages {
				t.Errorf("%d pages of listeners, want %d", pages, test.pages)
			}
		})
	}
}

// A server must not keep an observation going for ever.
func TestListenersThatChangeAllTheTimeFail(t *testing.T) {
	api, n := nlbService(), 0
	api.before = func(call string) error {
		if call == "GetListenerHealthStatus lsn-80" {
			n++
			id := "sgp-new-" + strconv.Itoa(n)
			api.group(id, n)
			api.rules["lsn-80"] = []string{id}
		}
		return nil
	}
	o := observerOf(t, api, Policy{})
	_, calls, err := o.try()
	failure, ok := errors.AsType[*alicloud.Error](err)
	if !ok || failure.Kind != alicloud.ServiceError || len(calls) > 20 {
		t.Errorf("%v after %d calls", err, len(calls))
	}
}

// A member that moves to another page between two calls is on both.
func TestMemberOnTwoPagesCountsOnce(t *testing.T) {
	o := observerOf(t, nlbService(), Policy{})
	o.state.begin(&o.request, o.now)
	o.state.pass.readingID = "sgp-1"
	if err := o.state.membersRead(&list[Member]{items: []Member{pod(1), pod(2), pod(2)}}); err != nil || len(o.state.groups["sgp-1"].members) != 2 {
		t.Errorf("%v, %+v", err, o.state.groups["sgp-1"])
	}
}

// A server replaces another one, and is normal before any observation: the number of
// members is the same. Only the observation that awaits the group reads it, also where
// it continues.
func TestAwaitedGroupHasItsServersOfNow(t *testing.T) {
	o := observerOf(t, albIngress(), Policy{})
	first, _ := o.observe()
	readAt := first.Groups.Listeners[1].MembersAt
	if readAt.IsZero() || readAt.Before(first.RequestedAt) {
		t.Errorf("the members are of %s, requested at %s", readAt, first.RequestedAt)
	}
	o.groups["sgp-1"].members[0] = pod(99)
	o.now = o.now.Add(5 * time.Second)
	kept, _ := o.observe()
	if at := kept.Groups.Listeners[1].MembersAt; !at.Equal(readAt) || slices.Contains(rows(kept), "443 sgp-1 eni-99 normal") {
		t.Errorf("the members are of %s: %q", at, rows(kept))
	}
	o.now = o.now.Add(5 * time.Second)
	o.permits = 1
	if _, _, err := o.try(); !errors.Is(err, errNoPermit) {
		t.Fatal(err)
	}
	o.permits, o.request.Awaited = -1, []string{"sgp-1"}
	awaited, _ := o.observe()
	if at := awaited.Groups.Listeners[1].MembersAt; at.Before(awaited.RequestedAt) || !slices.Contains(rows(awaited), "443 sgp-1 eni-99 normal") {
		t.Errorf("the members are of %s: %q", at, rows(awaited))
	}
}
