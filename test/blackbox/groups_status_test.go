// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"testing"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// both are the rows of twoPorts while all servers are normal.
var both = []string{"80 sgp-1 eni-1 normal", "80 sgp-1 eni-2 normal", "443 sgp-2 eni-1 normal", "443 sgp-2 eni-2 normal"}

// unhealthy makes a server fail its check.
func unhealthy(s *fakeServer, reason string) *fakeServer {
	s.health, s.reason = "Unhealthy", fields{"ReasonCode": reason}
	return s
}

func showsGroups(t *testing.T, w *env) {
	w.checkGroups(t, "verdicts", verdictCases())
	w.checkGroups(t, "listeners", listenerCases())
}

func verdictCases() []groupCase {
	return []groupCase{
		{
			rule: "members are read before health", product: productNLB, set: twoPorts, want: good("AllBackendsNormal"), rows: both,
			listeners: []string{"80/tcp sgp-1 Healthy 2/2 Running Enabled", "443/tcpssl sgp-2 Healthy 2/2 Running Enabled"},
			calls: []string{
				"ListListeners nlb-verdicts-0", "ListServerGroupServers sgp-1", "ListServerGroupServers sgp-2",
				"GetListenerHealthStatus lsn-80@80", "GetListenerHealthStatus lsn-443@443",
			},
		},
		{
			rule: "a group that a rule has is read before the health of its listener, which is read again", product: productALB,
			set: func(b *fakeInstance) {
				b.listen(443, "HTTPS", "sgp-1").rules = [][]string{{"sgp-2"}}
				b.group("sgp-1", pods(1)...)
				b.group("sgp-2", pods(2)...)
			},
			want: good("AllBackendsNormal"), rows: []string{"443 sgp-1 eni-1 normal", "443 sgp-2 eni-2 normal"},
			calls: []string{
				"ListListeners alb-verdicts-1", "ListServerGroupServers sgp-1", "GetListenerHealthStatus lsn-443",
				"ListServerGroupServers sgp-2", "GetListenerHealthStatus lsn-443",
			},
		},
		{
			rule: "one failing group among ten is unhealthy", product: productALB,
			set: func(b *fakeInstance) {
				exampleIngress(b)
				for _, s := range b.groups["sgp-7"].servers {
					unhealthy(s, "CONNECT_TIMEOUT")
				}
			},
			want: bad("BelowMinHealthy"), message: "listener 443/https (server group sgp-7) has 0 normal of 3 backends",
			has: []string{"80 sgp-7 eni-70 abnormal CONNECT_TIMEOUT", "443 sgp-7 eni-72 abnormal CONNECT_TIMEOUT", "443 sgp-6 eni-60 normal"},
		},
		{
			rule: "listeners share a group, which is read once and has the health of each", product: productALB,
			set: func(b *fakeInstance) {
				b.listen(80, "HTTP", "sgp-1")
				b.listen(443, "HTTPS", "sgp-1").health = map[string]map[string]string{"sgp-1": {"eni-1": "Unhealthy", "eni-2": "Unhealthy"}}
				b.group("sgp-1", pods(1, 2)...)
			},
			want:      bad("BelowMinHealthy"),
			listeners: []string{"80/http sgp-1 Healthy 2/2 Running Enabled", "443/https sgp-1 Unhealthy 0/2 Running Enabled"},
			rows:      []string{"80 sgp-1 eni-1 normal", "80 sgp-1 eni-2 normal", "443 sgp-1 eni-1 abnormal", "443 sgp-1 eni-2 abnormal"},
			calls: []string{
				"ListListeners alb-verdicts-3", "ListServerGroupServers sgp-1", "GetListenerHealthStatus lsn-80", "GetListenerHealthStatus lsn-443",
			},
		},
		{
			rule: "a group of the listener and of two rules counts once", product: productALB,
			set: func(b *fakeInstance) {
				b.listen(443, "HTTPS", "sgp-1").rules = [][]string{{"sgp-1"}, {"sgp-1", "sgp-2"}}
				b.group("sgp-1", pod(1), unhealthy(pod(2), "CONNECT_FAILED"))
				b.group("sgp-2", pods(3)...)
			},
			want:      good("MinHealthyMet"),
			listeners: []string{"443/https sgp-1 Healthy 1/2 Running Enabled", "443/https sgp-2 Healthy 1/1 Running Enabled"},
			rows:      []string{"443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 abnormal CONNECT_FAILED", "443 sgp-2 eni-3 normal"},
		},
		{
			rule: "a group that gets copies has rows and no verdict", product: productALB,
			set: func(b *fakeInstance) {
				b.listen(443, "HTTPS", "sgp-1").rules = [][]string{{"sgp-2"}}
				b.group("sgp-1", pods(1)...)
				b.group("sgp-2", unhealthy(pod(2), "CONNECT_FAILED")).action = "TrafficMirror"
			},
			want: good("AllBackendsNormal"), listeners: []string{"443/https sgp-1 Healthy 1/1 Running Enabled"},
			rows: []string{"443 sgp-1 eni-1 normal", "443 sgp-2 eni-2 abnormal CONNECT_FAILED"},
		},
		{
			rule: "a group that only the health of a listener has", product: productALB,
			set: func(b *fakeInstance) {
				b.listen(443, "HTTPS", "sgp-1").rules = [][]string{{"sgp-2"}}
				b.group("sgp-1", pods(1)...)
				b.group("sgp-2", unhealthy(pod(2), "CONNECT_FAILED"), pod(3)).unlisted = true
			},
			want:      bad("BelowMinHealthy"),
			listeners: []string{"443/https sgp-1 Healthy 1/1 Running Enabled", "443/https sgp-2 Unhealthy 0/1 Running Enabled"},
			rows:      []string{"443 sgp-1 eni-1 normal", "443 sgp-2 eni-2 abnormal CONNECT_FAILED"},
		},
		{
			rule: "a rule that is deleted with its group after the health named them", product: productALB,
			set: setAll(func(b *fakeInstance) {
				b.listen(443, "HTTPS", "sgp-1").rules = [][]string{{"sgp-2"}}
				b.group("sgp-1", pods(1)...)
				b.group("sgp-2", pods(2)...)
			}, changedBefore("ListServerGroupServers sgp-2", func(b *fakeInstance) {
				b.listeners[0].rules = nil
				delete(b.groups, "sgp-2")
			})),
			want: good("AllBackendsNormal"), rows: []string{"443 sgp-1 eni-1 normal"},
		},
	}
}

func listenerCases() []groupCase {
	return []groupCase{
		{
			rule: "a stopped listener has no rows, and no verdict", product: productNLB,
			set:  func(b *fakeInstance) { twoPorts(b); b.listeners[0].status = "Stopped" },
			want: good("AllBackendsNormal"), rows: both[2:],
			listeners: []string{"80/tcp Unknown 0/0 Stopped", "443/tcpssl sgp-2 Healthy 2/2 Running Enabled"},
		},
		{
			rule: "a port in the range of a listener", product: productNLB,
			set: func(b *fakeInstance) {
				twoPorts(b)
				l := b.listen(0, "UDP", "sgp-3")
				l.first, l.last = 9000, 9100
				b.group("sgp-3", pods(7)...)
			},
			edit: func(o *v1alpha1.LoadBalancerHealth) { o.Spec.ListenerPort = new(int32(9050)) },
			want: good("AllBackendsNormal"), listeners: []string{"9000/udp sgp-3 Healthy 1/1 Running Enabled"}, rows: []string{"9000 sgp-3 eni-7 normal"},
			calls: []string{"ListListeners nlb-listeners-1", "ListServerGroupServers sgp-3", "GetListenerHealthStatus lsn-0@0"},
		},
		{
			rule: "a protocol of NLB alone", product: productNLB, set: twoPorts,
			edit: func(o *v1alpha1.LoadBalancerHealth) { o.Spec.ListenerProtocol = v1alpha1.ProtocolTCPSSL },
			want: good("AllBackendsNormal"), listeners: []string{"443/tcpssl sgp-2 Healthy 2/2 Running Enabled"}, rows: both[2:],
		},
		{
			rule: "a listener that is deleted after it was listed", product: productNLB,
			set: deletedBefore("GetListenerHealthStatus lsn-443@443"), want: good("AllBackendsNormal"), rows: both[:2],
			listeners: []string{"80/tcp sgp-1 Healthy 2/2 Running Enabled"},
		},
		{
			rule: "a listener that is deleted after it was listed", product: productALB,
			set: deletedBefore("GetListenerHealthStatus lsn-443"), want: good("AllBackendsNormal"), rows: both[:2],
			listeners: []string{"80/http sgp-1 Healthy 2/2 Running Enabled"},
		},
	}
}

// deletedBefore deletes the listener of port 443 before a call.
func deletedBefore(call string) func(*fakeInstance) {
	return func(b *fakeInstance) {
		twoPorts(b)
		b.before = func(_ int, c instanceCall) *fakeResponse {
			if c.String() == call {
				b.without(b.listeners[len(b.listeners)-1].id)
			}
			return nil
		}
	}
}

// onePort has one listener with a group of the servers.
func onePort(servers ...*fakeServer) func(*fakeInstance) {
	return func(b *fakeInstance) {
		b.listen(443, map[*groupProduct]string{productNLB: "TCP", productALB: "HTTPS"}[b.product], "sgp-1")
		b.group("sgp-1", servers...)
	}
}

func withStatus(s *fakeServer, status string) *fakeServer {
	s.status = status
	return s
}

func withHealth(s *fakeServer, health string) *fakeServer {
	s.health = health
	return s
}

func withWeight(s *fakeServer, weight int) *fakeServer {
	s.weight = weight
	return s
}
