// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"testing"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup/servergrouptest"
)

// documents are the responses for a load balancer with one listener, by action.
var documents = map[string]string{
	servergroup.ActionListeners:    `{"RequestId":"R-1","Listeners":[{"LoadBalancerId":"alb-1","ListenerId":"lsn-1","ListenerPort":80,"ListenerProtocol":"HTTP","ListenerStatus":"Running","DefaultActions":[{"Type":"ForwardGroup","ForwardGroupConfig":{"ServerGroupTuples":[{"ServerGroupId":"sgp-1"}]}}]}]}`,
	servergroup.ActionLoadBalancer: `{"RequestId":"R-1","LoadBalancerId":"alb-1"}`,
	servergroup.ActionGroups:       `{"RequestId":"R-1","ServerGroups":[{"ServerGroupId":"sgp-1","ServerCount":2}]}`,
	servergroup.ActionMembers:      `{"RequestId":"R-1","Servers":[{"ServerId":"i-1","ServerIp":"10.0.0.1","Port":80,"Weight":100,"ServerType":"Ecs","Status":"Available"},{"ServerId":"i-2","Port":80}]}`,
	servergroup.ActionHealth:       `{"RequestId":"R-1","ListenerHealthStatus":[{"ServerGroupInfos":[{"ServerGroupId":"sgp-1","HealthCheckEnabled":"on","NonNormalServers":[{"ServerId":"i-1","Port":80,"Status":"Unhealthy","Reason":{"ReasonCode":"CONNECT_FAILED"}}]}]}],"RuleHealthStatus":[{"RuleId":"rule-1","ServerGroupInfos":[{"ServerGroupId":"sgp-1","HealthCheckEnabled":"on","NonNormalServers":[]}]}]}`,
}

func FuzzObserve(f *testing.F) {
	servergrouptest.FuzzObserve(f, "alb-1", documents, func(caller *alicloud.Caller) *servergroup.Observer { return NewClient(caller).Observer })
}
