// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"net/http"
	"testing"
	"time"
)

// cloudFaultCases are changes in the cloud that may be unintended.
var cloudFaultCases = []faultCase{
	{
		"load-balancer-is-removed", "LoadBalancerNotFound",
		"InvalidLoadBalancerId.NotFound: The specified LoadBalancerId does not exist; check spec.loadBalancerId ID and spec.regionId REGION, and that the load balancer belongs to the account of the operator's own identity",
		losesTheLoadBalancer,
	},
	{
		"permission-is-revoked", "Forbidden",
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
	s.hasMessage(t, o)
	s.recoversOnRequest(t)
}

func losesThePermission(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, faultsNamespace, o.name)
	s.fail(refusal(http.StatusForbidden, "Forbidden.RAM", "User not authorized to operate on the specified resource."))
	s.fails(t, o, 2*interval+slack)
	s.recoversOnRequest(t)
}

// recoversOnRequest removes a fault that required manual action, and requests an observation.
func (s *subject) recoversOnRequest(t *testing.T) {
	t.Helper()
	s.heal()
	s.env.requestObservation(t, s.objects[0].object, "fixed")
	s.recovers(t)
	s.finish(t, "normal")
}

// behind returns rows of one server behind each of these ports.
func behind(ports ...int) []row {
	var rows []row
	for _, port := range ports {
		rows = append(rows, row{"ServerId": "i-1", "ServerHealthStatus": "normal", "ListenerPort": port, "Protocol": "tcp", "Port": 8080})
	}
	return rows
}

func losesAListener(t *testing.T, a *faultEnv, o faultCase) {
	s := a.prepareSubject(t, faultsNamespace, o.name)
	s.objects = s.objects[:1]
	s.objects[0].base = good("AllBackendsNormal")
	s.show(behind(80, 443)...)
	s.create(t)
	s.follow(t, patience, "the first observation", baseOf, behind(80, 443))
	// Without permission to list listeners, the operator cannot distinguish a removed listener from one without backends.
	s.show(behind(443)...)
	s.follow(t, 2*interval+slack, "the listener is not in the response", func(*watchedObject) states { return unknown("ListenerMissing") }, behind(443))
	s.expectEvents("Normal BackendRemoved", "Warning ListenerMissing", "Warning LoadBalancerHealthUnknown")
	s.show(behind(80, 443)...)
	s.follow(t, 2*interval+slack, "the listener is in the response again", baseOf, behind(80, 443))
	s.expectEvents("Normal BackendAdded", "Normal ListenerReturned", "Normal LoadBalancerHealthy")
	s.finish(t)
}

func losesABackend(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, faultsNamespace, o.name)
	s.show(normalRow("i-1"))
	s.follow(t, interval+slack, "the backend is removed", func(*watchedObject) states { return good("AllBackendsNormal") }, []row{normalRow("i-1")})
	s.expectEvents("Normal BackendRemoved")
	s.objects[1].events["Normal LoadBalancerHealthy"]++
	s.show()
	s.follow(t, interval+slack, "all backends are removed", func(*watchedObject) states { return bad("NoBackends") }, nil)
	s.expectEvents("Normal BackendRemoved", "Warning LoadBalancerUnhealthy")
	s.finish(t)
}

func growsToManyRows(t *testing.T, a *faultEnv, o faultCase) {
	const (
		namespace = "many-rows"
		timeout   = 30 * time.Second // of a call: with the race detector, megabytes need seconds
	)
	a.createNamespace(t, namespace)
	a.startOperator(t, a.options(namespace, "--slb-timeout="+timeout.String()))
	s := a.newSubject(t, namespace, o.name)
	all := rowsOfListeners(func(int, int) string { return "normal" })
	s.slack = timeout
	s.show(all...)
	s.follow(t, interval+slack+s.slack, "all rows", func(*watchedObject) states { return good("AllBackendsNormal") }, all[:keptRows])
	s.expectEvents("Normal BackendsChanged")
	s.objects[1].events["Normal LoadBalancerHealthy"]++
	s.awaitCalls(t, 2, patience)
	s.show(twoRows("abnormal")...)
	s.follow(t, interval+slack+s.slack, "two rows again", baseOf, twoRows("abnormal"))
	s.expectEvents("Warning BackendsChanged")
	s.objects[1].events["Warning LoadBalancerUnhealthy"]++
	s.finish(t)
}
