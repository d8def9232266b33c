// SPDX-License-Identifier: Apache-2.0

package servergroup

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// fakeAPI is an API in memory, with a clock that each call moves by 10 ms.
type fakeAPI struct {
	now       time.Time
	listeners []Listener
	// rules are the groups of the rules of a listener, by its id.
	rules  map[string][]string
	groups map[string]*fakeGroup
	// pageSize is the most items of a page; 0: no bound.
	pageSize int
	calls    []string
	// before is called before each call; its error is that of the call.
	before func(call string) error
}

type fakeGroup struct {
	members []Member
	health  map[string]ServerHealth // by ServerID
	check   string
}

func newFakeAPI() *fakeAPI {
	return &fakeAPI{now: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC), rules: map[string][]string{}, groups: map[string]*fakeGroup{}}
}

// forward adds a listener that forwards to a new group, whose members are normal
// pods with the numbers.
func (f *fakeAPI) forward(port int32, groupID string, pods ...int) {
	f.listeners = append(f.listeners, Listener{
		ID: "lsn-" + strconv.Itoa(int(port)), Port: port, EndPort: port, Protocol: "tcp", Status: statusRunning, GroupIDs: []string{groupID},
	})
	f.group(groupID, pods...)
}

func (f *fakeAPI) group(id string, pods ...int) {
	g := &fakeGroup{health: map[string]ServerHealth{}, check: checkOn}
	for _, n := range pods {
		g.members = append(g.members, pod(n))
	}
	f.groups[id] = g
}

func pod(n int) Member {
	return Member{ServerID: "eni-" + strconv.Itoa(n), ServerIP: "10.9.0." + strconv.Itoa(n), Type: "eni", Port: 8080, Status: "available"}
}

// fail makes a pod of a group not normal.
func (g *fakeGroup) fail(n int, status string) {
	m := pod(n)
	g.health[m.ServerID] = ServerHealth{ServerID: m.ServerID, ServerIP: m.ServerIP, Port: m.Port, Status: status, Reason: "CONNECT_FAILED"}
}

// call records a call.
func (f *fakeAPI) call(call string) error {
	f.calls = append(f.calls, call)
	f.now = f.now.Add(10 * time.Millisecond)
	if f.before != nil {
		return f.before(call)
	}
	return nil
}

func pageOf[T any](f *fakeAPI, items []T, token string) (Page[T], error) {
	from, _ := strconv.Atoi(token)
	to := len(items)
	if f.pageSize > 0 {
		to = min(to, from+f.pageSize)
	}
	page := Page[T]{Items: slices.Clone(items[min(from, to):to]), Total: new(len(items)), RequestID: "R-" + strconv.Itoa(len(f.calls))}
	if to < len(items) {
		page.Next = strconv.Itoa(to)
	}
	return page, nil
}

func notFound(code string) error {
	return &alicloud.Error{Kind: alicloud.ServiceError, Code: "ResourceNotFound." + code}
}

func (f *fakeAPI) Listeners(_ context.Context, _ *alicloud.Request, token string) (Page[Listener], error) {
	if err := f.call(ActionListeners); err != nil {
		return Page[Listener]{}, err
	}
	return pageOf(f, f.listeners, token)
}

func (f *fakeAPI) LoadBalancer(context.Context, *alicloud.Request) (Page[struct{}], error) {
	return Page[struct{}]{}, f.call(ActionLoadBalancer)
}

func (f *fakeAPI) Groups(_ context.Context, _ *alicloud.Request, ids []string, token string) (Page[Group], error) {
	if err := f.call(ActionGroups); err != nil {
		return Page[Group]{}, err
	}
	var groups []Group
	for _, id := range ids {
		if g := f.groups[id]; g != nil {
			groups = append(groups, Group{ID: id, Servers: new(len(g.members)), HealthCheck: g.check})
		}
	}
	return pageOf(f, groups, token)
}

func (f *fakeAPI) Members(_ context.Context, _ *alicloud.Request, id, token string) (Page[Member], error) {
	if err := f.call(ActionMembers + " " + id); err != nil {
		return Page[Member]{}, err
	}
	g := f.groups[id]
	if g == nil {
		return Page[Member]{}, notFound("ServerGroup")
	}
	return pageOf(f, g.members, token)
}

func (f *fakeAPI) Health(_ context.Context, _ *alicloud.Request, id, token string) (Page[GroupHealth], error) {
	if err := f.call(ActionHealth + " " + id); err != nil {
		return Page[GroupHealth]{}, err
	}
	at := slices.IndexFunc(f.listeners, func(l Listener) bool { return l.ID == id })
	if at < 0 {
		return Page[GroupHealth]{}, notFound("Listener")
	}
	var items []GroupHealth
	for _, id := range append(slices.Clone(f.listeners[at].GroupIDs), f.rules[id]...) {
		item := GroupHealth{GroupID: id, HealthCheck: checkOn, Listed: true}
		if g := f.groups[id]; g != nil {
			item.HealthCheck = g.check
			for _, m := range g.members {
				if server, failed := g.health[m.ServerID]; failed {
					item.Servers = append(item.Servers, server)
				}
			}
		}
		items = append(items, item)
	}
	return pageOf(f, items, token)
}

// testObserver is an Observer of a fakeAPI with the state of one load balancer.
type testObserver struct {
	*fakeAPI
	t        *testing.T
	observer *Observer
	state    State
	request  Request
	// permits are how many permits there are; -1: any number.
	permits int
}

func observerOf(t *testing.T, api *fakeAPI, policy Policy) *testObserver {
	t.Helper()
	test := &testObserver{fakeAPI: api, t: t, observer: NewObserver(api, policy), permits: -1}
	test.observer.now = func() time.Time { return api.now }
	test.request.Target = alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: "nlb-1"}
	return test
}

var errNoPermit = fmt.Errorf("no permit")

func (o *testObserver) permit(context.Context, string) (func(error), error) {
	if o.permits == 0 {
		return nil, errNoPermit
	}
	o.permits--
	return func(error) {}, nil
}

// try observes, and returns the calls.
func (o *testObserver) try() (observation *alicloud.Observation, calls []string, err error) {
	o.calls = nil
	observation, err = o.observer.Observe(o.t.Context(), &o.request, &o.state, o.permit)
	if (observation == nil) == (err == nil) {
		o.t.Errorf("the observation %v with the error %v", observation, err)
	}
	return observation, o.calls, err
}

// observe observes with success, and returns the calls.
func (o *testObserver) observe() (observation *alicloud.Observation, calls []string) {
	o.t.Helper()
	observation, calls, err := o.try()
	if err != nil {
		o.t.Fatal(err)
	}
	return observation, calls
}

// rows are the rows as PORT GROUP SERVER STATUS.
func rows(observation *alicloud.Observation) []string {
	var texts []string
	for i, b := range observation.Backends {
		texts = append(texts, fmt.Sprint(b.ListenerPort, " ", observation.Group(i).ServerGroupID, " ", b.ServerID, " ", b.ServerHealthStatus))
	}
	return texts
}

// demand demands rows.
func demand(t *testing.T, observation *alicloud.Observation, want ...string) {
	t.Helper()
	if got := rows(observation); !slices.Equal(got, want) {
		t.Errorf("got the rows %q, want %q", got, want)
	}
}

// demandCalls demands calls, in order.
func demandCalls(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got the calls %q, want %q", got, want)
	}
}
