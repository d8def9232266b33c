// SPDX-License-Identifier: Apache-2.0

package nlb

import (
	"strconv"

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
	StartPort        string `json:"StartPort"`
	EndPort          string `json:"EndPort"`
	ServerGroupID    string `json:"ServerGroupId"`
	ListenerStatus   string `json:"ListenerStatus"`
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
	first, last := l.ports(reader)
	read := servergroup.Listener{
		ID: reader.ID(l.ListenerID, ofListener), Port: first, EndPort: last,
		Protocol: reader.Word(l.ListenerProtocol, ofListener), Status: reader.Word(l.ListenerStatus, ofListener),
	}
	if l.ServerGroupID != "" {
		read.GroupIDs = []string{reader.ID(l.ServerGroupID, ofListener)}
	}
	return read
}

// ports are the first and the last front-end port. ListenerPort is 0 for a range.
func (l *listener) ports(reader *servergroup.Reader) (first, last int32) {
	if l.ListenerPort != 0 {
		port := reader.Port(l.ListenerPort, ofListener)
		return port, port
	}
	start, errStart := strconv.Atoi(l.StartPort)
	end, errEnd := strconv.Atoi(l.EndPort)
	if errStart != nil || errEnd != nil || start < 1 || end < start {
		reader.Refuse("a listener without ports")
		return 0, 0
	}
	return reader.Port(start, ofListener), reader.Port(end, ofListener)
}

type groupsResponse struct {
	servergroup.Response
	ServerGroups []struct {
		ServerGroupID string `json:"ServerGroupId"`
		ServerCount   *int   `json:"ServerCount"`
		HealthCheck   struct {
			HealthCheckEnabled *bool `json:"HealthCheckEnabled"`
		} `json:"HealthCheck"`
	} `json:"ServerGroups"`
}

func (r *groupsResponse) read(verifier *alicloud.Verifier) (servergroup.Page[servergroup.Group], error) {
	return servergroup.ReadPage(&r.Response, "ServerGroups", verifier, func(reader *servergroup.Reader) []servergroup.Group {
		read := make([]servergroup.Group, len(r.ServerGroups))
		for i := range r.ServerGroups {
			g := &r.ServerGroups[i]
			read[i] = servergroup.Group{
				ID: reader.ID(g.ServerGroupID, "a server group"), Servers: reader.Count(g.ServerCount, "a server group"),
				HealthCheck: servergroup.OnOrOff(g.HealthCheck.HealthCheckEnabled),
			}
		}
		return read
	})
}

type healthResponse struct {
	servergroup.Response
	ListenerHealthStatus []struct {
		ListenerID       string      `json:"ListenerId"`
		ServerGroupInfos []groupInfo `json:"ServerGroupInfos"`
	} `json:"ListenerHealthStatus"`
}

type groupInfo struct {
	ServerGroupID string `json:"ServerGroupId"`
	// HeathCheckEnabled is how the API spells it; HealthCheckEnabled is in case it
	// is corrected.
	HeathCheckEnabled  *bool                        `json:"HeathCheckEnabled"`
	HealthCheckEnabled *bool                        `json:"HealthCheckEnabled"`
	NonNormalServers   servergroup.NonNormalServers `json:"NonNormalServers"`
}

func (r *healthResponse) read(verifier *alicloud.Verifier, listenerID string) (servergroup.Page[servergroup.GroupHealth], error) {
	return servergroup.ReadPage(&r.Response, "ListenerHealthStatus", verifier, func(reader *servergroup.Reader) []servergroup.GroupHealth {
		var read []servergroup.GroupHealth
		for i := range r.ListenerHealthStatus {
			reader.About(r.ListenerHealthStatus[i].ListenerID, listenerID, "listener")
			for j := range r.ListenerHealthStatus[i].ServerGroupInfos {
				read = append(read, r.ListenerHealthStatus[i].ServerGroupInfos[j].read(reader))
			}
		}
		return read
	})
}

func (g *groupInfo) read(reader *servergroup.Reader) servergroup.GroupHealth {
	enabled := g.HeathCheckEnabled
	if enabled == nil {
		enabled = g.HealthCheckEnabled
	}
	return reader.GroupHealth(servergroup.GroupHealth{
		GroupID: reader.ID(g.ServerGroupID, "a server group"), HealthCheck: servergroup.OnOrOff(enabled),
	}, &g.NonNormalServers)
}
