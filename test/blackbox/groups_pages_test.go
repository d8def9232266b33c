// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"testing"
)

// manyPods are normal pods with the numbers from first on.
func manyPods(first, n int) []*fakeServer {
	servers := make([]*fakeServer, n)
	for i := range servers {
		servers[i] = pod(first + i)
	}
	return servers
}

// changedBefore edits the instance once, before a call.
func changedBefore(call string, edit func(b *fakeInstance)) func(*fakeInstance) {
	return func(b *fakeInstance) {
		b.before = func(_ int, c instanceCall) *fakeResponse {
			if edit != nil && c.String() == call {
				edit(b)
				edit = nil
			}
			return nil
		}
	}
}

func setAll(sets ...func(*fakeInstance)) func(*fakeInstance) {
	return func(b *fakeInstance) {
		for _, set := range sets {
			set(b)
		}
	}
}

const (
	membersOf  = "ListServerGroupServers sgp-1"
	healthOf   = "GetListenerHealthStatus lsn-443"
	secondPage = " from 100"
)

func readsChangingPages(t *testing.T, w *env) {
	removeFirst := func(b *fakeInstance) { b.groups["sgp-1"].servers = b.groups["sgp-1"].servers[1:] }
	addFirst := func(b *fakeInstance) {
		b.groups["sgp-1"].servers = append([]*fakeServer{pod(999)}, b.groups["sgp-1"].servers...)
	}
	threeListeners := func(b *fakeInstance) {
		b.pageSize = 1
		for _, port := range []int{80, 443, 8443} {
			b.listen(port, "TCP", "sgp-1")
		}
		b.group("sgp-1", pod(1))
	}
	cases := []groupCase{
		{
			rule: "a member is removed, so that another one moves to a page that was read", product: productNLB,
			set:  setAll(onePort(manyPods(0, 250)...), changedBefore(membersOf+secondPage, removeFirst)),
			want: good("AllBackendsNormal"), listeners: []string{"443/tcp sgp-1 Healthy 249/249 Running Enabled"},
			has: []string{"443 sgp-1 eni-100 normal"},
		},
		{
			rule: "a member is added, so that another one is on two pages", product: productALB,
			set:  setAll(onePort(manyPods(0, 250)...), changedBefore(membersOf+secondPage, addFirst)),
			want: good("AllBackendsNormal"), listeners: []string{"443/https sgp-1 Healthy 251/251 Running Enabled"},
			has: []string{"443 sgp-1 eni-999 normal"},
		},
		{
			rule: "a listener is removed, so that another one moves to a page that was read", product: productNLB,
			set:  setAll(threeListeners, changedBefore("ListListeners nlb-pages-2 from 1", func(b *fakeInstance) { b.without("lsn-80@80") })),
			want: good("AllBackendsNormal"),
			listeners: []string{
				"443/tcp sgp-1 Healthy 1/1 Running Enabled", "8443/tcp sgp-1 Healthy 1/1 Running Enabled",
			},
		},
		{
			rule: "seventy servers that fail are on three pages of health", product: productALB,
			set: setAll(onePort(append(manyPods(0, 70), pod(70))...), func(b *fakeInstance) {
				for _, s := range b.groups["sgp-1"].servers[:70] {
					s.health = "Unhealthy"
				}
			}),
			want: good("MinHealthyMet"), listeners: []string{"443/https sgp-1 Healthy 1/71 Running Enabled"}, has: []string{"443 sgp-1 eni-70 normal"},
			calls: []string{
				"ListListeners alb-pages-3", membersOf, healthOf, healthOf + " from 30", healthOf + " from 60",
				healthOf, healthOf + " from 30", healthOf + " from 60", // which confirm that none moved
			},
		},
		{
			rule: "a server recovers, so that another one moves to a page of health that was read", product: productALB,
			set: setAll(onePort(manyPods(0, 41)...), func(b *fakeInstance) {
				for _, s := range b.groups["sgp-1"].servers[:40] {
					s.health = "Unhealthy"
				}
			}, changedBefore(healthOf+" from 30", func(b *fakeInstance) { b.groups["sgp-1"].servers[0].health = "" })),
			want: good("MinHealthyMet"), listeners: []string{"443/https sgp-1 Healthy 2/41 Running Enabled"},
			has: []string{"443 sgp-1 eni-0 normal", "443 sgp-1 eni-30 abnormal"},
		},
		{
			rule: "a page whose next page is itself", product: productALB, want: failing("InvalidResponse"),
			set: setAll(onePort(manyPods(0, 3)...), func(b *fakeInstance) {
				b.edit = func(c instanceCall, content fields) {
					if c.action == "ListServerGroupServers" {
						content["NextToken"] = tokenOf(0)
					}
				}
			}),
		},
		{rule: "pages of members without an end", product: productNLB, set: endless("ListServerGroupServers"), want: failing("InvalidResponse")},
		{rule: "pages of health without an end", product: productALB, set: endless("GetListenerHealthStatus"), want: failing("InvalidResponse")},
		{rule: "pages of listeners without an end", product: productALB, set: endless("ListListeners"), want: failing("InvalidResponse")},
	}
	w.checkGroups(t, "pages", cases)
}

// endless makes each page of an action have a next one. The number of calls is bounded.
func endless(action string) func(*fakeInstance) {
	return func(b *fakeInstance) {
		onePort(pods(1)...)(b)
		b.before = func(n int, c instanceCall) *fakeResponse {
			if n > 500 {
				panic(action + " was called 500 times")
			}
			if c.action != action || c.form.Get("NextToken") == "" {
				return nil
			}
			list := map[string]string{"ListServerGroupServers": "Servers", "GetListenerHealthStatus": "ListenerHealthStatus", "ListListeners": "Listeners"}[action]
			next := document(200, fields{"RequestId": fmt.Sprintf("R-%d", n), list: []fields{}, "NextToken": fmt.Sprintf("next-%d", n)})
			return &next
		}
		b.edit = func(c instanceCall, content fields) {
			if c.action == action {
				content["NextToken"] = "first"
			}
		}
	}
}
