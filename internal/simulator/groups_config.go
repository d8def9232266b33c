// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// ProductConfig has the load balancers of NLB or of ALB, and the server groups that their listeners forward to. A
// group may have several listeners, rules and load balancers.
type ProductConfig struct {
	LoadBalancers []GroupLoadBalancer `json:"loadBalancers,omitempty"`
	ServerGroups  []ServerGroup       `json:"serverGroups,omitempty"`
}

// GroupLoadBalancer is one instance of NLB or ALB.
type GroupLoadBalancer struct {
	// loadBalancerId begins with nlb- or alb-, as the product does.
	LoadBalancerID string          `json:"loadBalancerId"`
	RegionID       string          `json:"regionId"`
	Listeners      []GroupListener `json:"listeners"`
}

// GroupListener is one listener, in the API's words.
type GroupListener struct {
	// listenerId is unique in the product. Absent: made of load balancer, protocol and port, for NLB as lsn-web-tcp@80.
	ListenerID string `json:"listenerId,omitempty"`
	// listenerPort is 1-65535; absent for a listener of NLB with a range.
	ListenerPort int `json:"listenerPort,omitempty"`
	// startPort and endPort are the range of a listener of NLB, whose listenerPort the API returns as 0.
	StartPort int `json:"startPort,omitempty"`
	EndPort   int `json:"endPort,omitempty"`
	// listenerProtocol is TCP, UDP or TCPSSL for NLB, HTTP, HTTPS or QUIC for ALB.
	ListenerProtocol string `json:"listenerProtocol"`
	// listenerStatus is Running (the default), Stopped, Provisioning or Configuring, for NLB also Starting, Stopping,
	// Deleting or Deleted.
	ListenerStatus string `json:"listenerStatus,omitempty"`
	// serverGroupIds are those of the default action: one for NLB, one or more for ALB.
	ServerGroupIDs []string `json:"serverGroupIds"`
	// rules are the forwarding rules of a listener of ALB.
	Rules []Rule `json:"rules,omitempty"`
}

// Rule is one forwarding rule of ALB. One without server groups redirects.
type Rule struct {
	// ruleId is unique in the product.
	RuleID string `json:"ruleId"`
	// serverGroupIds are those that the rule forwards to, mirrorServerGroupIds those that it mirrors requests to.
	ServerGroupIDs       []string `json:"serverGroupIds,omitempty"`
	MirrorServerGroupIDs []string `json:"mirrorServerGroupIds,omitempty"`
}

// ServerGroup has the servers behind listeners, with one health for all of these.
type ServerGroup struct {
	ServerGroupID string `json:"serverGroupId"`
	RegionID      string `json:"regionId"`
	// serverGroupType is Instance (the default) or Ip, for ALB also Fc.
	ServerGroupType string `json:"serverGroupType,omitempty"`
	// healthCheck is on (the default) or off. YAML reads both as booleans unless they are quoted.
	HealthCheck string        `json:"healthCheck,omitempty"`
	Servers     []GroupServer `json:"servers"`
}

// GroupServer is one server of a group. A field that is absent here is absent in responses, unless it has a default.
type GroupServer struct {
	// serverId, serverIp: at least one; the ARN of a function has no address.
	ServerID string `json:"serverId,omitempty"`
	ServerIP string `json:"serverIp,omitempty"`
	// serverType is Ecs (the default), Eni, Eci or Ip, for ALB also Fc.
	ServerType string `json:"serverType,omitempty"`
	// port is 1-65535; a function has none.
	Port int `json:"port,omitempty"`
	// weight is 0-100, default 100.
	Weight *int `json:"weight,omitempty"`
	// status is Available (the default), Adding, Configuring or Removing.
	Status string `json:"status,omitempty"`
	// healthStatus is Normal (the default), Initial, Unhealthy, Unused or Unavailable. Responses lack a server that is
	// Normal.
	HealthStatus string `json:"healthStatus,omitempty"`
	// reasonCode, actualResponse and expectedResponse say why a server is not Normal; the latter two are ALB's.
	ReasonCode       string `json:"reasonCode,omitempty"`
	ActualResponse   string `json:"actualResponse,omitempty"`
	ExpectedResponse string `json:"expectedResponse,omitempty"`
}

// The words of the APIs that tests write.
const (
	GroupListenerRunning = "Running"
	GroupListenerStopped = "Stopped"

	ServerAvailable   = "Available"
	ServerAdding      = "Adding"
	ServerConfiguring = "Configuring"
	ServerRemoving    = "Removing"

	HealthNormal      = "Normal"
	HealthInitial     = "Initial"
	HealthUnhealthy   = "Unhealthy"
	HealthUnused      = "Unused"
	HealthUnavailable = "Unavailable"
)

// complete returns a copy that shares nothing with lb, with every default.
func (lb GroupLoadBalancer) complete(product string) GroupLoadBalancer {
	lb.Listeners = append([]GroupListener{}, lb.Listeners...)
	for i, l := range lb.Listeners {
		l.ListenerStatus = cmp.Or(l.ListenerStatus, GroupListenerRunning)
		l.ListenerID = cmp.Or(l.ListenerID, l.defaultID(product, lb.LoadBalancerID))
		l.ServerGroupIDs, l.Rules = slices.Clone(l.ServerGroupIDs), slices.Clone(l.Rules)
		for j, rule := range l.Rules {
			l.Rules[j].ServerGroupIDs, l.Rules[j].MirrorServerGroupIDs = slices.Clone(rule.ServerGroupIDs), slices.Clone(rule.MirrorServerGroupIDs)
		}
		lb.Listeners[i] = l
	}
	return lb
}

// defaultID has the shape of the real ids, which for NLB contain the port.
func (l GroupListener) defaultID(product, loadBalancerID string) string {
	name := strings.TrimPrefix(loadBalancerID, product+"-") + "-" + strings.ToLower(l.ListenerProtocol)
	switch {
	case product == ProductALB:
		return fmt.Sprintf("lsn-%s-%d", name, l.ListenerPort)
	case l.ListenerPort == 0:
		return fmt.Sprintf("lsn-%s@%d-%d", name, l.StartPort, l.EndPort)
	}
	return fmt.Sprintf("lsn-%s@%d", name, l.ListenerPort)
}

// groups returns every server group that the listener or one of its rules names.
func (l GroupListener) groups() []string {
	all := slices.Clone(l.ServerGroupIDs)
	for _, rule := range l.Rules {
		all = slices.Concat(all, rule.ServerGroupIDs, rule.MirrorServerGroupIDs)
	}
	return all
}

// complete returns a copy that shares nothing with the group, with every default.
func (g ServerGroup) complete() ServerGroup {
	g.ServerGroupType, g.HealthCheck = cmp.Or(g.ServerGroupType, "Instance"), cmp.Or(g.HealthCheck, HealthCheckOn)
	g.Servers = append([]GroupServer{}, g.Servers...)
	for i := range g.Servers {
		g.Servers[i] = g.Servers[i].complete()
	}
	return g
}

func (s GroupServer) complete() GroupServer {
	s.ServerType, s.Status = cmp.Or(s.ServerType, "Ecs"), cmp.Or(s.Status, ServerAvailable)
	s.HealthStatus = cmp.Or(s.HealthStatus, HealthNormal)
	if s.Weight == nil {
		s.Weight = new(defaultWeight)
	}
	return s
}

// defaultWeight is the weight of a server without one.
const defaultWeight = 100
