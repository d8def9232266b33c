// SPDX-License-Identifier: Apache-2.0

package servergroup

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// A server that moves to a page that was read is on none, and would be normal.
func TestHealthThatChangesBetweenItsPagesIsReadAgain(t *testing.T) {
	for name, test := range map[string]struct {
		always bool
		want   []string
	}{
		"once":   {false, []string{"80 sgp-2 eni-2 normal", "80 sgp-3 eni-3 abnormal"}},
		"always": {true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			api := newFakeAPI()
			api.listeners = []Listener{{ID: "lsn-80", Port: 80, EndPort: 80, Protocol: "http", Status: statusRunning}}
			for n, id := range []string{"sgp-1", "sgp-2", "sgp-3"} {
				api.group(id, n+1)
			}
			api.groups["sgp-3"].fail(3, "Unhealthy")
			rules := []string{"sgp-1", "sgp-2", "sgp-3"}
			api.rules["lsn-80"], api.pageSize = rules, 2
			pages := 0
			api.before = func(call string) error {
				if strings.HasPrefix(call, ActionHealth) {
					pages++
					switch {
					case pages == 2 || test.always && pages%2 == 0: // between the two pages, a rule is removed
						api.rules["lsn-80"] = rules[1:]
					case test.always:
						api.rules["lsn-80"] = rules
					}
				}
				return nil
			}
			observation, _, err := observerOf(t, api, Policy{}).try()
			if observation != nil {
				demand(t, observation, test.want...)
			} else if !test.always || !strings.Contains(err.Error(), "changed while it was read") {
				t.Error(err)
			}
		})
	}
}

// The health of a member that had weight 0 is that of a later weight.
func TestMemberThatRegainsItsWeightAndFailsIsAbnormal(t *testing.T) {
	api := newFakeAPI()
	api.forward(80, "sgp-1", 1, 2)
	api.forward(443, "sgp-2", 3)
	g := api.groups["sgp-1"]
	g.members[0].Unused = true
	g.fail(1, "Unused")
	o := observerOf(t, api, Policy{})
	observation, _ := o.observe()
	demand(t, observation, "80 sgp-1 eni-1 unused", "80 sgp-1 eni-2 normal", "443 sgp-2 eni-3 normal")

	g.members[0].Unused = false
	g.fail(1, "Unhealthy")
	observation, _ = o.observe()
	demand(t, observation, "80 sgp-1 eni-1 abnormal", "80 sgp-1 eni-2 normal", "443 sgp-2 eni-3 normal")
}

// A server with weight 0 of a group without health check may be listed as unchecked.
func TestUncheckedMemberWithWeightZeroIsNotReadAgain(t *testing.T) {
	api := newFakeAPI()
	api.forward(80, "sgp-1", 1, 2)
	api.forward(443, "sgp-2", 3)
	g := api.groups["sgp-1"]
	g.check, g.members[0].Unused = checkOff, true
	g.fail(1, "Unavailable")
	o := observerOf(t, api, Policy{})
	o.observe()
	_, calls := o.observe()
	demandCalls(t, calls, "ListServerGroups", "GetListenerHealthStatus lsn-80", "GetListenerHealthStatus lsn-443")
}

// twiceAPI names each server for one of two rules of a group alone, as two pages may.
type twiceAPI struct{ *fakeAPI }

func (a twiceAPI) Health(ctx context.Context, request *alicloud.Request, id, token string) (Page[GroupHealth], error) {
	page, err := a.fakeAPI.Health(ctx, request, id, token)
	for _, item := range slices.Clone(page.Items) {
		item.Servers = nil
		page.Items = append(page.Items, item)
	}
	return page, err
}

func TestServerNeedBeOnOnePageOfAGroup(t *testing.T) {
	api := newFakeAPI()
	api.forward(80, "sgp-1", 1, 2)
	api.forward(443, "sgp-2", 3)
	g := api.groups["sgp-1"]
	g.members[0].Unused = true
	g.fail(1, "Unused")
	o := observerOf(t, api, Policy{})
	o.observer.api = twiceAPI{api}
	o.observe()
	observation, calls := o.observe()
	demand(t, observation, "80 sgp-1 eni-1 unused", "80 sgp-1 eni-2 normal", "443 sgp-2 eni-3 normal")
	demandCalls(t, calls, "ListServerGroups", "GetListenerHealthStatus lsn-80", "GetListenerHealthStatus lsn-443")
}

// A health without the flag says nothing about servers that it does not name.
func TestHealthCheckThatHealthOmitsIsListed(t *testing.T) {
	api := newFakeAPI()
	api.forward(80, "sgp-1", 1)
	api.groups["sgp-1"].check = checkOff
	o := observerOf(t, api, Policy{Weights: true})
	o.observer.api = omittingAPI{api}
	observation, calls := o.observe()
	demand(t, observation, "80 sgp-1 eni-1 unavailable")
	demandCalls(t, calls, "ListListeners", "ListServerGroupServers sgp-1", "GetListenerHealthStatus lsn-80", "ListServerGroups")
}

// omittingAPI omits in the health whether groups have a health check.
type omittingAPI struct{ *fakeAPI }

func (a omittingAPI) Health(ctx context.Context, request *alicloud.Request, id, token string) (Page[GroupHealth], error) {
	page, err := a.fakeAPI.Health(ctx, request, id, token)
	for i := range page.Items {
		page.Items[i].HealthCheck = ""
	}
	return page, err
}
