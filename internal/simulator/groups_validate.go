// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"net/netip"
	"strings"
)

// groupWords are the values that the API of a product knows.
type groupWords struct {
	protocols, listenerStatuses, groupTypes, serverTypes []string
}

var wordsOf = map[string]groupWords{
	ProductNLB: {
		protocols:        []string{"TCP", "UDP", "TCPSSL"},
		listenerStatuses: []string{GroupListenerRunning, GroupListenerStopped, "Provisioning", "Configuring", "Starting", "Stopping", "Deleting", "Deleted"},
		groupTypes:       []string{"Instance", "Ip"},
		serverTypes:      []string{"Ecs", "Eni", "Eci", "Ip"},
	},
	ProductALB: {
		protocols:        []string{"HTTP", "HTTPS", "QUIC"},
		listenerStatuses: []string{GroupListenerRunning, GroupListenerStopped, "Provisioning", "Configuring"},
		groupTypes:       []string{"Instance", "Ip", "Fc"},
		serverTypes:      []string{"Ecs", "Eni", "Eci", "Ip", "Fc"},
	},
}

var (
	serverStatuses     = []string{ServerAvailable, ServerAdding, ServerConfiguring, ServerRemoving}
	serverHealthStates = []string{HealthNormal, HealthInitial, HealthUnhealthy, HealthUnused, HealthUnavailable}
)

// validate reports the first value that the product could not have, by its path below at, which has a dot at its end.
func (c ProductConfig) validate(at, product string) error {
	groups := map[string]ServerGroup{}
	for i, group := range c.ServerGroups {
		below := fmt.Sprintf("%sserverGroups[%d].", at, i)
		if err := group.validate(below, product); err != nil {
			return err
		}
		if _, twice := groups[group.ServerGroupID]; twice {
			return fmt.Errorf("%sserverGroupId: %q stands twice: write each server group once", below, group.ServerGroupID)
		}
		groups[group.ServerGroupID] = group
	}
	seen := map[string]bool{}
	for i, lb := range c.LoadBalancers {
		below := fmt.Sprintf("%sloadBalancers[%d].", at, i)
		if err := lb.validate(below, product); err != nil {
			return err
		}
		if err := lb.validateGroups(below, func(id string) (ServerGroup, bool) { g, ok := groups[id]; return g, ok }); err != nil {
			return err
		}
		if err := lb.claimIDs(below, product, seen); err != nil {
			return err
		}
	}
	return nil
}

// claimIDs adds the ids of the load balancer, its listeners and rules to those seen, and refuses one that was.
func (lb GroupLoadBalancer) claimIDs(at, product string, seen map[string]bool) error {
	claim := func(field, id string) error {
		if seen[id] {
			return fmt.Errorf("%s: %q stands twice: write each id once", field, id)
		}
		seen[id] = true
		return nil
	}
	if err := claim(at+"loadBalancerId", lb.LoadBalancerID); err != nil {
		return err
	}
	for i, l := range lb.complete(product).Listeners {
		if err := claim(fmt.Sprintf("%slisteners[%d].listenerId", at, i), l.ListenerID); err != nil {
			return err
		}
		for j, rule := range l.Rules {
			if err := claim(fmt.Sprintf("%slisteners[%d].rules[%d].ruleId", at, i, j), rule.RuleID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (lb GroupLoadBalancer) validate(at, product string) error {
	if err := loadBalancerIDs.check(at+"loadBalancerId", lb.LoadBalancerID); err != nil {
		return err
	}
	if !strings.HasPrefix(lb.LoadBalancerID, product+"-") {
		return fmt.Errorf("%sloadBalancerId: %q is no id of this product: write one that begins with %s-", at, lb.LoadBalancerID, product)
	}
	if err := regionIDs.check(at+"regionId", lb.RegionID); err != nil {
		return err
	}
	for i, l := range lb.Listeners {
		if err := l.validate(fmt.Sprintf("%slisteners[%d].", at, i), product); err != nil {
			return err
		}
	}
	return nil
}

// validateGroups refuses server groups that do not exist, or are in another region.
func (lb GroupLoadBalancer) validateGroups(at string, get func(id string) (ServerGroup, bool)) error {
	for i, l := range lb.Listeners {
		for _, id := range l.groups() {
			group, known := get(id)
			if !known || group.RegionID != lb.RegionID {
				return fmt.Errorf("%slisteners[%d]: %w in %s: %q: write it under serverGroups, too", at, i, ErrNoServerGroup, lb.RegionID, id)
			}
		}
	}
	return nil
}

func (l GroupListener) validate(at, product string) error {
	if l.ListenerProtocol == "" {
		return fmt.Errorf("%slistenerProtocol: missing: write one of %s", at, strings.Join(wordsOf[product].protocols, ", "))
	}
	if err := checkWords(at, word{"listenerProtocol", l.ListenerProtocol, wordsOf[product].protocols},
		word{"listenerStatus", l.ListenerStatus, wordsOf[product].listenerStatuses}); err != nil {
		return err
	}
	if l.ListenerID != "" {
		if err := listenerIDs.check(at+"listenerId", l.ListenerID); err != nil {
			return err
		}
	}
	if err := l.validatePorts(at, product); err != nil {
		return err
	}
	switch {
	case len(l.ServerGroupIDs) == 0:
		return fmt.Errorf("%sserverGroupIds: missing: write the server group of the default action", at)
	case product == ProductNLB && len(l.ServerGroupIDs) > 1:
		return fmt.Errorf("%sserverGroupIds: a listener of NLB has one: write one", at)
	case product == ProductNLB && len(l.Rules) > 0:
		return fmt.Errorf("%srules: a listener of NLB has none: omit them", at)
	}
	for i, rule := range l.Rules {
		if err := groupIDs.check(fmt.Sprintf("%srules[%d].ruleId", at, i), rule.RuleID); err != nil {
			return err
		}
	}
	return nil
}

func (l GroupListener) validatePorts(at, product string) error {
	hasRange := l.StartPort != 0 || l.EndPort != 0
	switch {
	case hasRange && product == ProductALB:
		return fmt.Errorf("%sstartPort: a listener of ALB has no range: write listenerPort alone", at)
	case hasRange && l.ListenerPort != 0:
		return fmt.Errorf("%slistenerPort: a listener with a range has none: omit it, or startPort and endPort", at)
	case hasRange && (l.StartPort < 1 || l.EndPort > 65535 || l.StartPort > l.EndPort):
		return fmt.Errorf("%sstartPort, endPort: %d to %d is no range: write two ports from 1 to 65535", at, l.StartPort, l.EndPort)
	case !hasRange && (l.ListenerPort < 1 || l.ListenerPort > 65535):
		return fmt.Errorf("%slistenerPort: %d is no port: write 1 to 65535", at, l.ListenerPort)
	}
	return nil
}

func (g ServerGroup) validate(at, product string) error {
	if err := groupIDs.check(at+"serverGroupId", g.ServerGroupID); err != nil {
		return err
	}
	if err := regionIDs.check(at+"regionId", g.RegionID); err != nil {
		return err
	}
	if err := checkWords(at, word{"serverGroupType", g.ServerGroupType, wordsOf[product].groupTypes}, word{"healthCheck", g.HealthCheck, healthChecks}); err != nil {
		return err
	}
	seen := map[serverKey]bool{}
	for i, server := range g.Servers {
		below := fmt.Sprintf("%sservers[%d].", at, i)
		if err := server.validate(below, product); err != nil {
			return err
		}
		if seen[server.key()] {
			return fmt.Errorf("%sserverId: %q stands twice in this group: write each server, address and port once", below, server.ServerID)
		}
		seen[server.key()] = true
	}
	return nil
}

func (s GroupServer) validate(at, product string) error {
	switch {
	case s.ServerID == "" && s.ServerIP == "":
		return fmt.Errorf("%sserverId: missing: write the id of the server, or its serverIp", at)
	case strings.ContainsAny(s.ServerID, "\x00 \t\r\n"):
		return fmt.Errorf("%sserverId: %q is no id: write one without blanks", at, s.ServerID)
	case s.Port < 0 || s.Port > 65535:
		return fmt.Errorf("%sport: %d is no port: write 1 to 65535, or omit it", at, s.Port)
	case s.Weight != nil && (*s.Weight < 0 || *s.Weight > defaultWeight):
		return fmt.Errorf("%sweight: %d is out of range: write 0 to 100, or omit it", at, *s.Weight)
	case product == ProductNLB && s.ActualResponse+s.ExpectedResponse != "":
		return fmt.Errorf("%sactualResponse, expectedResponse: NLB returns none: omit them", at)
	}
	if _, err := netip.ParseAddr(s.ServerIP); s.ServerIP != "" && err != nil {
		return fmt.Errorf("%sserverIp: %q is no IP address: write one such as 10.0.0.1, or omit it", at, s.ServerIP)
	}
	return checkWords(at, word{"serverType", s.ServerType, wordsOf[product].serverTypes},
		word{"status", s.Status, serverStatuses}, word{"healthStatus", s.HealthStatus, serverHealthStates})
}
