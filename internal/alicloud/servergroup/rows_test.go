// SPDX-License-Identifier: Apache-2.0

package servergroup

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Facts, section 5: what a product says of a server, and how it counts.
func TestHealthOfAMember(t *testing.T) {
	for name, test := range map[string]struct {
		member Member
		server *ServerHealth
		health GroupHealth
		want   string // "": no row
	}{
		"available and not named, checks on":                {Member{Status: "available"}, nil, GroupHealth{Listed: true, HealthCheck: checkOn}, "normal"},
		"not named, and nothing says whether checks are on": {Member{Status: "available"}, nil, GroupHealth{Listed: true}, "normal"},
		"not named, checks off":                             {Member{Status: "available"}, nil, GroupHealth{Listed: true, HealthCheck: checkOff}, "unavailable"},
		"not named, in a response without a list":           {Member{Status: "available"}, nil, GroupHealth{HealthCheck: checkOn}, "unavailable"},
		"a member without status, not named":                {Member{}, nil, GroupHealth{Listed: true}, "normal"},
		"unhealthy":                                         {Member{Status: "available"}, &ServerHealth{Status: "Unhealthy"}, GroupHealth{Listed: true}, "abnormal"},
		"unhealthy, in another case":                        {Member{Status: "available"}, &ServerHealth{Status: "UNHEALTHY"}, GroupHealth{Listed: true}, "abnormal"},
		"initial":                                           {Member{Status: "available"}, &ServerHealth{Status: "Initial"}, GroupHealth{Listed: true}, "unavailable"},
		"checks off":                                        {Member{Status: "available"}, &ServerHealth{Status: "Unavailable"}, GroupHealth{Listed: true}, "unavailable"},
		"unused":                                            {Member{Status: "available"}, &ServerHealth{Status: "Unused"}, GroupHealth{Listed: true}, "unused"},
		"a later word":                                      {Member{Status: "available"}, &ServerHealth{Status: "Draining"}, GroupHealth{Listed: true}, "Draining"},
		"no word":                                           {Member{Status: "available"}, &ServerHealth{}, GroupHealth{Listed: true}, "unavailable"},
		"normal, among those that are not":                  {Member{Status: "available"}, &ServerHealth{Status: "Normal"}, GroupHealth{Listed: true}, "unavailable"},
		"weight 0":                                          {Member{Status: "available", Unused: true}, nil, GroupHealth{Listed: true}, "unused"},
		"weight 0, checks off":                              {Member{Status: "available", Unused: true}, nil, GroupHealth{Listed: true, HealthCheck: checkOff}, "unused"},
		"weight 0 and unhealthy":                            {Member{Status: "available", Unused: true}, &ServerHealth{Status: "Unhealthy"}, GroupHealth{Listed: true}, "unused"},
		"being added, not named":                            {Member{Status: "adding"}, nil, GroupHealth{Listed: true}, "unavailable"},
		"being added and unhealthy":                         {Member{Status: "adding"}, &ServerHealth{Status: "Unhealthy"}, GroupHealth{Listed: true}, "unavailable"},
		"being configured":                                  {Member{Status: "configuring"}, nil, GroupHealth{Listed: true}, "unavailable"},
		"in a later state":                                  {Member{Status: "frozen"}, nil, GroupHealth{Listed: true}, "unavailable"},
		"being removed":                                     {Member{Status: "removing"}, nil, GroupHealth{Listed: true}, ""},
		"being removed and unhealthy":                       {Member{Status: "removing"}, &ServerHealth{Status: "Unhealthy"}, GroupHealth{Listed: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, listed := statusOf(&test.member, test.server, &test.health)
			if status != test.want || listed != (test.want != "") {
				t.Errorf("got %q, %t, want %q", status, listed, test.want)
			}
		})
	}
}

// Facts, section 1.3: how a health names a server of type ip is not documented.
func TestMembersThatAHealthNames(t *testing.T) {
	x := (&group{members: []Member{
		{ServerID: "i-1", ServerIP: "10.0.0.1", Port: 80},
		{ServerID: "i-1", ServerIP: "10.0.0.1", Port: 81},
		{ServerID: "eni-1", ServerIP: "10.9.0.1", Port: 8080},
		{ServerID: "eni-1", ServerIP: "10.9.0.2", Port: 8080},
		{ServerID: "172.16.0.1", ServerIP: "172.16.0.1", Port: 80},
		{ServerID: "", ServerIP: "172.16.0.2", Port: 80},
		{ServerID: "acs:fc:cn-hangzhou:1:services/f"},
	}}).indexed()
	for name, test := range map[string]struct {
		server ServerHealth
		want   []int
	}{
		"by all fields":                {ServerHealth{ServerID: "i-1", ServerIP: "10.0.0.1", Port: 81}, []int{1}},
		"without a port":               {ServerHealth{ServerID: "i-1", ServerIP: "10.0.0.1"}, []int{0, 1}},
		"without an address":           {ServerHealth{ServerID: "i-1", Port: 80}, []int{0}},
		"a pod of an ENI":              {ServerHealth{ServerID: "eni-1", ServerIP: "10.9.0.2", Port: 8080}, []int{3}},
		"an ENI without address":       {ServerHealth{ServerID: "eni-1", Port: 8080}, []int{2, 3}},
		"an address alone":             {ServerHealth{ServerIP: "10.9.0.1", Port: 8080}, []int{2}},
		"ip with its address as id":    {ServerHealth{ServerID: "172.16.0.1", ServerIP: "172.16.0.1", Port: 80}, []int{4}},
		"ip without id":                {ServerHealth{ServerIP: "172.16.0.1", Port: 80}, []int{4}},
		"ip without address":           {ServerHealth{ServerID: "172.16.0.1", Port: 80}, []int{4}},
		"ip whose member has no id":    {ServerHealth{ServerID: "172.16.0.2", ServerIP: "172.16.0.2", Port: 80}, []int{5}},
		"ip by id, member has no id":   {ServerHealth{ServerID: "172.16.0.2", Port: 80}, []int{5}},
		"a function without a port":    {ServerHealth{ServerID: "acs:fc:cn-hangzhou:1:services/f"}, []int{6}},
		"another port":                 {ServerHealth{ServerID: "i-1", ServerIP: "10.0.0.1", Port: 82}, nil},
		"another address":              {ServerHealth{ServerID: "i-1", ServerIP: "10.0.0.9", Port: 80}, nil},
		"another server, same address": {ServerHealth{ServerID: "i-2", ServerIP: "10.0.0.1", Port: 80}, nil},
		"an unknown server":            {ServerHealth{ServerID: "eni-9", ServerIP: "10.9.0.9", Port: 8080}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := x.find(&test.server); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// The unit of an ALB verdict is listener x server group; a group under several
// rules is one, with the worst of its states.
func TestListenerAndServerGroupAreTheUnit(t *testing.T) {
	api := newFakeAPI()
	api.forward(80, "sgp-1", 1)
	api.forward(443, "sgp-2", 2)
	api.rules["lsn-443"] = []string{"sgp-1", "sgp-3", "sgp-1"}
	api.group("sgp-3", 3)
	api.groups["sgp-3"].check = checkOff
	api.groups["sgp-1"].fail(1, "Unhealthy")
	observation, _ := observerOf(t, api, Policy{}).observe()
	demand(t, observation, "80 sgp-1 eni-1 abnormal", "443 sgp-2 eni-2 normal", "443 sgp-1 eni-1 abnormal", "443 sgp-3 eni-3 unavailable")
	var listeners []string
	for _, l := range observation.Groups.Listeners {
		listeners = append(listeners, fmt.Sprint(l.Port, " ", l.Protocol, " ", l.ServerGroupID, " ", l.HealthCheck, " ", l.Status))
	}
	want := []string{"80 tcp sgp-1 on running", "443 tcp sgp-2 on running", "443 tcp sgp-1 on running", "443 tcp sgp-3 off running"}
	if !slices.Equal(listeners, want) {
		t.Errorf("got %q, want %q", listeners, want)
	}
	if reason := observation.Group(0).Reason; reason != "CONNECT_FAILED" {
		t.Errorf("the reason %q", reason)
	}
	if reason := observation.Group(1).Reason; reason != "" {
		t.Errorf("the reason %q of a normal backend", reason)
	}
}

func TestHealthOfAGroupIsFolded(t *testing.T) {
	bad, initial := ServerHealth{ServerID: "eni-1", Status: "Unhealthy"}, ServerHealth{ServerID: "eni-1", Status: "Initial"}
	for name, test := range map[string]struct {
		items []GroupHealth
		want  GroupHealth
	}{
		"not named": {nil, GroupHealth{}},
		"once":      {[]GroupHealth{{HealthCheck: checkOn, Listed: true}}, GroupHealth{HealthCheck: checkOn, Listed: true}},
		"two rules": {
			[]GroupHealth{{HealthCheck: checkOn, Listed: true, Servers: []ServerHealth{initial}}, {HealthCheck: checkOn, Listed: true, Servers: []ServerHealth{bad}}},
			GroupHealth{HealthCheck: checkOn, Listed: true, Servers: []ServerHealth{initial, bad}},
		},
		"one without a list":           {[]GroupHealth{{Listed: true}, {}}, GroupHealth{}},
		"one that is mirrored":         {[]GroupHealth{{Mirror: true}, {}}, GroupHealth{}},
		"only mirrored":                {[]GroupHealth{{Mirror: true}, {Mirror: true}}, GroupHealth{Mirror: true}},
		"only one says whether checks": {[]GroupHealth{{}, {HealthCheck: checkOn}}, GroupHealth{HealthCheck: checkOn}},
		"off for one":                  {[]GroupHealth{{HealthCheck: checkOn}, {HealthCheck: checkOff}}, GroupHealth{HealthCheck: checkOff}},
	} {
		t.Run(name, func(t *testing.T) {
			health := &list[GroupHealth]{items: []GroupHealth{{GroupID: "other", Mirror: true}}}
			for _, item := range test.items {
				item.GroupID = "sgp-1"
				health.items = append(health.items, item)
			}
			test.want.GroupID = "sgp-1"
			if got := foldHealth(health, "sgp-1"); fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// An absent field is not false: nothing says that the checks are off, unless a
// server has the status of a group without checks.
func TestHealthCheckThatNothingSays(t *testing.T) {
	for status, want := range map[string]string{"": "", "Initial": "", "Unhealthy": "", "Unavailable": checkOff} {
		api := newFakeAPI()
		api.forward(80, "sgp-1", 1, 2)
		api.groups["sgp-1"].check = ""
		if status != "" {
			api.groups["sgp-1"].fail(1, status)
		}
		observation, _ := observerOf(t, api, Policy{Weights: true}).observe()
		if got := observation.Groups.Listeners[0].HealthCheck; got != want {
			t.Errorf("%s: got %q, want %q", status, got, want)
		}
		other := "normal"
		if want == checkOff {
			other = "unavailable"
		}
		if got := observation.Backends[1].ServerHealthStatus; got != other {
			t.Errorf("%s: the other server is %s, want %s", status, got, other)
		}
	}
}

func TestServerThatOnlyHealthNamesHasARow(t *testing.T) {
	result := &alicloud.Observation{Groups: &alicloud.Groups{}}
	addRows(result, &alicloud.GroupListener{ServerGroupID: "sgp-1", Listener: alicloud.Listener{Port: 80, Protocol: "tcp"}},
		&group{members: []Member{pod(1)}}, &GroupHealth{Listed: true, Servers: []ServerHealth{
			{ServerID: "eni-2", ServerIP: "10.9.0.2", Port: 8080, Status: "Initial"},
			{ServerID: "eni-2", ServerIP: "10.9.0.2", Port: 8080, Status: "Unhealthy", Reason: "CONNECT_TIMEOUT"},
			{ServerIP: "10.9.0.3", Port: 8080, Status: "Initial"},
		}})
	demand(t, result, "80 sgp-1 eni-1 normal", "80 sgp-1 eni-2 abnormal", "80 sgp-1 10.9.0.3 unavailable")
	if b := result.Backends[1]; b.Type != "eni" || b.ServerIP != "10.9.0.2" || b.Port != 8080 || b.ListenerProtocol != "tcp" || result.Groups.Rows[1].Reason != "CONNECT_TIMEOUT" {
		t.Errorf("got %+v, %+v", b, result.Groups.Rows[1])
	}
}

// The rows of an observation have a few allocations, whatever their number.
func TestRowsAllocateLittle(t *testing.T) {
	var g group
	for n := range 1000 {
		g.members = append(g.members, pod(n))
	}
	health, entry := GroupHealth{Listed: true, HealthCheck: checkOn}, alicloud.GroupListener{ServerGroupID: "sgp-1"}
	allocations := testing.AllocsPerRun(10, func() {
		result := &alicloud.Observation{Groups: &alicloud.Groups{}}
		addRows(result, &entry, &g, &health)
	})
	if allocations > 10 {
		t.Errorf("%.0f allocations for 1,000 rows", allocations)
	}
}

// cloudOfSeed is a random NLB or ALB that changes between calls.
type cloudOfSeed struct {
	*fakeAPI
	random *rand.Rand
	// failing counts, by group and server, since which call a member is not normal.
	failing map[string]int
}

func newCloudOfSeed(seed uint64) *cloudOfSeed {
	c := &cloudOfSeed{fakeAPI: newFakeAPI(), random: rand.New(rand.NewPCG(seed, 0)), failing: map[string]int{}}
	c.pageSize = c.random.IntN(4)
	for n := range 1 + c.random.IntN(3) {
		pods := make([]int, c.random.IntN(5))
		for i := range pods {
			pods[i] = 10*n + i
		}
		c.forward(int32(80+n), "sgp-"+strconv.Itoa(n), pods...)
	}
	return c
}

// change changes a member or its health, most times not at all.
func (c *cloudOfSeed) change() {
	id := "sgp-" + strconv.Itoa(c.random.IntN(len(c.listeners)))
	g, n := c.groups[id], c.random.IntN(30)
	switch m := pod(n); c.random.IntN(12) {
	case 0:
		if !slices.ContainsFunc(g.members, func(known Member) bool { return known.ServerID == m.ServerID }) {
			g.members = append(g.members, m)
			c.fail(id, n)
		}
	case 1:
		g.members = slices.DeleteFunc(g.members, func(known Member) bool { return known.ServerID == m.ServerID })
		delete(g.health, m.ServerID)
		delete(c.failing, id+m.ServerID)
	case 2:
		delete(g.health, m.ServerID)
		delete(c.failing, id+m.ServerID)
	case 3:
		if slices.ContainsFunc(g.members, func(known Member) bool { return known.ServerID == m.ServerID }) {
			c.fail(id, n)
		}
	case 4:
		c.rules[c.listeners[0].ID] = []string{id}
	}
}

func (c *cloudOfSeed) fail(id string, n int) {
	c.groups[id].fail(n, []string{"Initial", "Unhealthy", "Later"}[c.random.IntN(3)])
	if _, failing := c.failing[id+pod(n).ServerID]; !failing {
		c.failing[id+pod(n).ServerID] = len(c.calls)
	}
}

// While a load balancer changes between any two calls, and permits come one by
// one, no server is normal that was not normal during the whole observation.
func FuzzObservationOfAChangingLoadBalancer(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		cloud := newCloudOfSeed(seed)
		o := observerOf(t, cloud.fakeAPI, Policy{Weights: seed%2 == 0})
		cloud.before = func(string) error { cloud.change(); return nil }
		for range 12 {
			o.now = o.now.Add(time.Duration(cloud.random.IntN(90)) * time.Second)
			if cloud.random.IntN(4) == 0 {
				o.request.Since = o.now
			}
			clear(cloud.failing)
			for id, g := range o.groups {
				for server := range g.health {
					cloud.failing[id+server] = 0
				}
			}
			o.permits = cloud.random.IntN(12)
			observation, calls, err := o.try()
			if len(calls) > 200 {
				t.Fatalf("%d calls", len(calls))
			}
			if err != nil {
				continue
			}
			for i, b := range observation.Backends {
				since, failing := cloud.failing[observation.Group(i).ServerGroupID+b.ServerID]
				if b.ServerHealthStatus == "normal" && failing && since == 0 && !observation.RequestedAt.Before(o.now.Add(-time.Duration(len(calls)+1)*10*time.Millisecond)) {
					t.Errorf("%s is normal: %q", b.ServerID, calls)
				}
			}
		}
	})
}

// Two observations of a load balancer that does not change are equal, however
// many permits there are.
func FuzzObservationIsThatOfTheLoadBalancer(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed, uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, permits uint8) {
		cloud := newCloudOfSeed(seed)
		for range 20 {
			cloud.change()
		}
		var want []string
		for _, l := range cloud.listeners {
			ids := slices.Clone(l.GroupIDs)
			for _, id := range cloud.rules[l.ID] {
				if !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
			}
			for _, id := range ids {
				for _, m := range cloud.groups[id].members {
					status := "normal"
					if server, failed := cloud.groups[id].health[m.ServerID]; failed {
						status = server.health()
					}
					want = append(want, fmt.Sprint(l.Port, " ", id, " ", m.ServerID, " ", status))
				}
			}
		}
		o := observerOf(t, cloud.fakeAPI, Policy{Weights: seed%2 == 0})
		for range 3 {
			o.now = o.now.Add(5 * time.Second)
			for {
				o.permits = 1 + int(permits%7)
				if observation, _, err := o.try(); err == nil {
					demand(t, observation, want...)
					break
				}
			}
		}
	})
}
