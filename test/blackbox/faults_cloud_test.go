// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// cloudFaultCases are changes on the cloud's side that may be unintended.
var cloudFaultCases = []faultCase{
	{
		"load-balancer-is-removed", "LoadBalancerNotFound",
		"InvalidLoadBalancerId.NotFound: The specified LoadBalancerId does not exist; check spec.loadBalancerId ID and spec.regionId REGION, and that the load balancer belongs to the account of the operator's own identity",
		losesTheLoadBalancer,
	},
	{
		"permission-is-taken-away", "Forbidden",
		"Forbidden.RAM: User not authorized to operate on the specified resource; grant the RAM permission slb:DescribeHealthStatus on acs:slb:REGION:*:loadbalancer/ID to the operator's own identity",
		losesThePermission,
	},
	{"listener-is-removed", "", "", losesAListener},
	{"backend-is-removed", "", "", losesABackend},
	{"ten-thousand-rows", "", "", growsToManyRows},
}

func losesTheLoadBalancer(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, faultsNamespace, o.name)
	s.fail(refusal(http.StatusNotFound, "InvalidLoadBalancerId.NotFound", "The specified LoadBalancerId does not exist."))
	s.fails(t, o, 2*interval+slack)
	s.follow(t, 2*interval+slack, "it requires manual action", func(r *watchedObject) states {
		return with(r.base, states{"Observed": "False " + o.reason, "Ready": "False " + o.reason, "Stalled": "True " + o.reason})
	}, twoRows("abnormal"))
	s.says(t, o)
	s.heal()
	s.recoversOnRequest(t)
	s.turn(t, "normal")
	s.finish(t)
}

func losesThePermission(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, faultsNamespace, o.name)
	s.fail(refusal(http.StatusForbidden, "Forbidden.RAM", "User not authorized to operate on the specified resource."))
	s.fails(t, o, 2*interval+slack)
	s.heal()
	s.recoversOnRequest(t)
	s.turn(t, "normal")
	s.finish(t)
}

// recoversOnRequest recovers an object that needed a person, who is there now.
func (s *subject) recoversOnRequest(t *testing.T) {
	t.Helper()
	s.env.requestObservation(t, s.objects[0].object, "fixed")
	s.recovers(t)
}

// behind are rows of one server, behind each of these ports.
func behind(ports ...int) []row {
	var rows []row
	for _, port := range ports {
		rows = append(rows, row{"ServerId": "i-1", "ServerHealthStatus": "normal", "ListenerPort": port, "Protocol": "tcp", "Port": 8080})
	}
	return rows
}

func losesAListener(t *testing.T, a *faultEnv, o faultCase) {
	s := a.cast(t, faultsNamespace, o.name)
	s.objects = s.objects[:1]
	s.objects[0].base = good("AllBackendsNormal")
	s.show(behind(80, 443)...)
	s.create(t)
	s.recoverTo(t, "the first answer", behind(80, 443))
	// The listeners may not be listed here, so it may have been emptied as well as removed.
	s.show(behind(443)...)
	s.follow(t, 2*interval+slack, "the listener is not in the answer", func(*watchedObject) states { return unknown("ListenerMissing") }, behind(443))
	s.expectEvents("Normal BackendRemoved", "Warning ListenerMissing", "Warning LoadBalancerHealthUnknown")
	s.show(behind(80, 443)...)
	s.recoverTo(t, "the listener is back", behind(80, 443))
	s.expectEvents("Normal BackendAdded", "Normal ListenerReturned", "Normal LoadBalancerHealthy")
	s.finish(t)
}

func losesABackend(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, faultsNamespace, o.name)
	s.show(normalRow("i-1"))
	s.follow(t, interval+slack, "the backend is gone", func(*watchedObject) states { return good("AllBackendsNormal") }, []row{normalRow("i-1")})
	s.expectEvents("Normal BackendRemoved")
	s.objects[1].events["Normal LoadBalancerHealthy"]++
	s.show()
	s.follow(t, interval+slack, "all backends are gone", func(*watchedObject) states { return bad("NoBackends") }, nil)
	s.expectEvents("Normal BackendRemoved", "Warning LoadBalancerUnhealthy")
	s.finish(t)
}

// recoverTo waits until the rows are stored, in the states of the base.
func (s *subject) recoverTo(t *testing.T, what string, rows []row) {
	t.Helper()
	s.follow(t, 2*interval+slack, what, func(r *watchedObject) states { return r.base }, rows)
}

func growsToManyRows(t *testing.T, a *faultEnv, o faultCase) {
	const (
		listeners, servers, kept = 50, 200, keptRows
		namespace                = "many-rows"
		timeout                  = 30 * time.Second // of a call: the race detector takes its time over megabytes
	)
	a.createNamespace(t, namespace)
	a.startOperator(t, operatorOptions{
		name: namespace, namespaces: []string{namespace}, endpoint: a.slb.url(), account: a.slb.account, args: briefly("--slb-timeout=" + timeout.String()),
	})
	s := a.newSubject(t, namespace, o.name)
	var all, seen []row
	for listener := range listeners {
		for server := range servers {
			r := row{
				"ServerId": fmt.Sprintf("i-%04d", server), "ServerIp": fmt.Sprintf("10.9.0.%d", server),
				"ListenerPort": 1000 + listener, "Protocol": "tcp", "Port": 8080, "ServerHealthStatus": "normal",
			}
			if all = append(all, r); len(seen) < kept {
				seen = append(seen, r)
			}
		}
	}
	s.slack = timeout
	s.show(all...)
	s.follow(t, interval+slack+s.slack, "all rows", func(*watchedObject) states { return good("AllBackendsNormal") }, seen)
	s.expectEvents("Normal BackendsChanged")
	s.objects[1].events["Normal LoadBalancerHealthy"]++
	s.awaitCalls(t, 2, patience)
	s.show(twoRows("abnormal")...)
	s.follow(t, interval+slack+s.slack, "two rows again", func(r *watchedObject) states { return r.base }, twoRows("abnormal"))
	s.expectEvents("Warning BackendsChanged")
	s.objects[1].events["Warning LoadBalancerUnhealthy"]++
	s.finish(t)
}
