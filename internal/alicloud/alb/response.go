// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"strings"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup"
)

type listenersResponse struct {
	servergroup.Response
	Listeners []listener `json:"Listeners"`
}

type listener struct {
	LoadBalancerID   string `json:"LoadBalancerId"`
	ListenerID       string `json:"ListenerId"`
	ListenerProtocol string `json:"ListenerProtocol"`
	ListenerPort     int    `json:"ListenerPort"`
	ListenerStatus   string `json:"ListenerStatus"`
	DefaultActions   []struct {
		Type               string `json:"Type"`
		ForwardGroupConfig struct {
			ServerGroupTuples []struct {
				ServerGroupID string `json:"ServerGroupId"`
			} `json:"ServerGroupTuples"`
		} `json:"ForwardGroupConfig"`
	} `json:"DefaultActions"`
}

const ofListener = "a listener"

func (r *listenersResponse) read(verifier *alicloud.Verifier, loadBalancerID string) (servergroup.Page[servergroup.Listener], error) {
	return servergroup.ReadPage(&r.Response, "Listeners", verifier, func(reader *servergroup.Reader) []servergroup.Listener {
		var read []servergroup.Listener
		for i := range r.Listeners {
			switch r.Listeners[i].LoadBalancerID {
			case loadBalancerID:
				read = append(read, r.Listeners[i].read(reader))
			case "":
				reader.Refuse("a listener without LoadBalancerId")
			}
		}
		return read
	})
}

func (l *listener) read(reader *servergroup.Reader) servergroup.Listener {
	port := reader.Port(l.ListenerPort, ofListener)
	if port == 0 {
		reader.Refuse("a listener without a port")
	}
	read := servergroup.Listener{
		ID: reader.ID(l.ListenerID, ofListener), Port: port, EndPort: port,
		Protocol: reader.Word(l.ListenerProtocol, ofListener), Status: reader.Word(l.ListenerStatus, ofListener),
	}
	for i := range l.DefaultActions {
		action := &l.DefaultActions[i]
		read.RedirectOnly = read.RedirectOnly || strings.EqualFold(action.Type, "Redirect")
		for _, tuple := range action.ForwardGroupConfig.ServerGroupTuples {
			read.GroupIDs = append(read.GroupIDs, reader.ID(tuple.ServerGroupID, ofListener))
		}
	}
	return read
}

type groupsResponse struct {
	servergroup.Response
	ServerGroups []struct {
		ServerGroupID     string `json:"ServerGroupId"`
		ServerCount       *int   `json:"ServerCount"`
		HealthCheckConfig struct {
			HealthCheckEnabled *bool `json:"HealthCheckEnabled"`
		} `json:"HealthCheckConfig"`
	} `json:"ServerGroups"`
}

func (r *groupsResponse) read(verifier *alicloud.Verifier) (servergroup.Page[servergroup.Group], error) {
	return servergroup.ReadPage(&r.Response, "ServerGroups", verifier, func(reader *servergroup.Reader) []servergroup.Group {
		read := make([]servergroup.Group, len(r.ServerGroups))
		for i := range r.ServerGroups {
			g := &r.ServerGroups[i]
			read[i] = servergroup.Group{
				ID: reader.ID(g.ServerGroupID, "a server group"), Servers: reader.Count(g.ServerCount, "a server group"),
				HealthCheck: servergroup.OnOrOff(g.HealthCheckConfig.HealthCheckEnabled),
			}
		}
		return read
	})
}

type healthResponse struct {
	servergroup.Response
	ListenerHealthStatus []groupInfos `json:"ListenerHealthStatus"`
	RuleHealthStatus     []groupInfos `json:"RuleHealthStatus"`
}

// groupInfos are the server groups of a listener itself, or of a rule.
type groupInfos struct {
	// ListenerID is "" for a rule.
	ListenerID       string      `json:"ListenerId"`
	ServerGroupInfos []groupInfo `json:"ServerGroupInfos"`
}

type groupInfo struct {
	ServerGroupID string `json:"ServerGroupId"`
	// HealthCheckEnabled is on; the word for off is not documented.
	HealthCheckEnabled string                       `json:"HealthCheckEnabled"`
	ActionType         string                       `json:"ActionType"`
	NonNormalServers   servergroup.NonNormalServers `json:"NonNormalServers"`
}

func (r *healthResponse) read(verifier *alicloud.Verifier, listenerID string) (servergroup.Page[servergroup.GroupHealth], error) {
	return servergroup.ReadPage(&r.Response, "ListenerHealthStatus", verifier, func(reader *servergroup.Reader) []servergroup.GroupHealth {
		var read []servergroup.GroupHealth
		for _, of := range [...][]groupInfos{r.ListenerHealthStatus, r.RuleHealthStatus} {
			for i := range of {
				reader.About(of[i].ListenerID, listenerID, "listener")
				for j := range of[i].ServerGroupInfos {
					read = append(read, of[i].ServerGroupInfos[j].read(reader))
				}
			}
		}
		return read
	})
}

func (g *groupInfo) read(reader *servergroup.Reader) servergroup.GroupHealth {
	health := servergroup.GroupHealth{
		GroupID: reader.ID(g.ServerGroupID, "a server group"), Mirror: strings.EqualFold(g.ActionType, "TrafficMirror"),
	}
	switch strings.ToLower(g.HealthCheckEnabled) {
	case "on", "true":
		health.HealthCheck = servergroup.OnOrOff(new(true))
	case "off", "false":
		health.HealthCheck = servergroup.OnOrOff(new(false))
	}
	return reader.GroupHealth(health, &g.NonNormalServers)
}
