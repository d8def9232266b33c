// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"net/http"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// breakServerGroups observes an ALB that has two server groups behind one listener. One
// of them fails, and then the health checks of both are off.
func (s *env) breakServerGroups(t *testing.T) {
	t.Helper()
	const portal, failing = "alb-portal", "sgp-2"
	groups := []string{"sgp-1", failing}
	s.putServerGroups(t, portal, groups...)
	object := s.observe(t, namespace, portal)
	s.lasts(t, `slb_health_condition{name="alb-portal", condition="Healthy", status="True"} == 1`, 1)

	s.failServerGroup(t, failing)
	const abnormal, below = "SLBBackendAbnormal prod/alb-portal", "SLBBelowMinHealthy prod/alb-portal"
	s.expect(t, "a server group fails", abnormal, below)
	firing := s.server.firing(NewWithT(t))
	NewWithT(t).Expect(firing[abnormal].Labels).To(HaveKeyWithValue("server_group_id", failing))
	NewWithT(t).Expect(firing[below].Annotations).To(HaveKeyWithValue("description",
		HaveSuffix("ALB alb-portal in cn-hangzhou. An ALB fails open: while all backends of a server group fail, requests still go to all of them.")))

	for _, group := range groups {
		s.Admin(t, http.MethodPatch, "alb/servergroups/"+group, map[string]any{"healthCheck": "off"})
	}
	s.lasts(t, `slb_health_info{name="alb-portal", reason="HealthCheckUnavailable"}`, 5) // longer than the alert waits
	s.expect(t, "the health checks of its server groups are off")
	s.remove(t, object)
}

// putServerGroups puts an ALB into the simulator, with server groups of one server each
// behind one listener.
func (s *env) putServerGroups(t *testing.T, id string, groups ...string) {
	t.Helper()
	for _, group := range groups {
		s.Admin(t, http.MethodPut, "alb/servergroups/"+group, map[string]any{
			"regionId": harness.Region, "servers": []map[string]any{{"serverId": "i-1", "serverIp": "10.0.0.1", "port": 8080}},
		})
	}
	s.Admin(t, http.MethodPut, "alb/loadbalancers/"+id, map[string]any{"regionId": harness.Region, "listeners": []map[string]any{{
		"listenerPort": 443, "listenerProtocol": "HTTPS", "serverGroupIds": groups[:1],
		"rules": []map[string]any{{"ruleId": "rule-2", "serverGroupIds": groups[1:]}},
	}}})
}

// failServerGroup lets the health check of the server of a group fail.
func (s *env) failServerGroup(t *testing.T, group string) {
	t.Helper()
	s.Admin(t, http.MethodPatch, "alb/servergroups/"+group+"/servers", map[string]any{"serverId": "i-1", "healthStatus": "Unhealthy", "reasonCode": "CONNECT_FAILED"})
}
