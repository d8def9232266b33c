// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
)

// Pages of NLB and ALB; positionSeparator is in no id.
const positionSeparator = "\x00"

var (
	idPages     = pageRules{results: 20, maxResults: 100, parts: 1, separator: positionSeparator}
	serverPages = pageRules{results: 20, maxResults: 100, parts: 3, separator: positionSeparator}
)

// pageHeader is in front of every list. NextToken is absent from the last page.
type pageHeader struct {
	RequestID  string `json:"RequestId" xml:"RequestId"`
	NextToken  string `json:"NextToken,omitempty" xml:"NextToken,omitempty"`
	TotalCount int    `json:"TotalCount" xml:"TotalCount"`
	MaxResults int    `json:"MaxResults" xml:"MaxResults"`
}

// cutList cuts the page of a call out of the rows.
func cutList[T any](c groupCall, rules pageRules, rows []T, position func(T) string) (pageHeader, []T, *apiError) {
	wanted, err := rules.parse(c.req.params, errIllegal)
	if err != nil {
		return pageHeader{}, nil, err
	}
	header := pageHeader{RequestID: c.requestID, TotalCount: len(rows), MaxResults: wanted.results}
	rows, header.NextToken = cutPage(wanted, rows, position)
	return header, rows, nil
}

type listListenersResponse struct {
	XMLName xml.Name `json:"-" xml:"ListListenersResponse"`
	pageHeader
	Listeners []listenerItem `json:"Listeners" xml:"Listeners"`
}

// listenerItem has the fields of both products; those that a product lacks are absent.
type listenerItem struct {
	RegionID         string        `json:"RegionId,omitempty" xml:"RegionId,omitempty"`
	LoadBalancerID   string        `json:"LoadBalancerId" xml:"LoadBalancerId"`
	ListenerID       string        `json:"ListenerId" xml:"ListenerId"`
	ListenerProtocol string        `json:"ListenerProtocol" xml:"ListenerProtocol"`
	ListenerPort     int           `json:"ListenerPort" xml:"ListenerPort"`
	StartPort        string        `json:"StartPort,omitempty" xml:"StartPort,omitempty"`
	EndPort          string        `json:"EndPort,omitempty" xml:"EndPort,omitempty"`
	ListenerStatus   string        `json:"ListenerStatus" xml:"ListenerStatus"`
	ServerGroupID    string        `json:"ServerGroupId,omitempty" xml:"ServerGroupId,omitempty"`
	DefaultActions   []forwardRule `json:"DefaultActions,omitempty" xml:"DefaultActions,omitempty"`
}

// forwardRule is one action of a listener or of a forwarding rule.
type forwardRule struct {
	Order  int            `json:"Order,omitempty" xml:"Order,omitempty"`
	Type   string         `json:"Type" xml:"Type"`
	Groups *forwardConfig `json:"ForwardGroupConfig,omitempty" xml:"ForwardGroupConfig,omitempty"`
	Mirror *mirrorConfig  `json:"TrafficMirrorConfig,omitempty" xml:"TrafficMirrorConfig,omitempty"`
}

type forwardConfig struct {
	Tuples []groupTuple `json:"ServerGroupTuples" xml:"ServerGroupTuples"`
}

type groupTuple struct {
	ServerGroupID string `json:"ServerGroupId" xml:"ServerGroupId"`
	Weight        int    `json:"Weight,omitempty" xml:"Weight,omitempty"`
}

func forwardTo(ids []string, weight int) *forwardConfig {
	config := &forwardConfig{}
	for _, id := range ids {
		config.Tuples = append(config.Tuples, groupTuple{id, weight})
	}
	return config
}

func (p *ProductState) newListenerItem(lb GroupLoadBalancer, l GroupListener) listenerItem {
	item := listenerItem{
		LoadBalancerID: lb.LoadBalancerID, ListenerID: l.ListenerID, ListenerProtocol: l.ListenerProtocol, ListenerPort: l.ListenerPort,
		ListenerStatus: l.ListenerStatus,
	}
	if p.product == ProductALB {
		item.DefaultActions = []forwardRule{{Type: actionForward, Groups: forwardTo(l.ServerGroupIDs, 0)}}
		return item
	}
	item.RegionID, item.ServerGroupID = lb.RegionID, l.ServerGroupIDs[0]
	if l.ListenerPort == 0 {
		item.StartPort, item.EndPort = strconv.Itoa(l.StartPort), strconv.Itoa(l.EndPort)
	}
	return item
}

// listListeners serves ListListeners: the listeners of these load balancers, or of all. One that does not exist has
// none.
func (c groupCall) listListeners() (any, *apiError) {
	balancers, err := c.ids("LoadBalancerIds")
	if err != nil {
		return nil, err
	}
	listeners, err := c.ids("ListenerIds")
	if err != nil {
		return nil, err
	}
	protocol := c.req.params["ListenerProtocol"]
	if protocol != "" && !slices.Contains(wordsOf[c.state.product].protocols, protocol) {
		return nil, errIllegal("ListenerProtocol")
	}
	if !c.mayRead(c.req.concerned...) {
		return nil, c.state.errNotAllowed("loadBalancer")
	}
	rows := []listenerItem{}
	for _, lb := range c.balancers(balancers, listeners) {
		for _, l := range lb.Listeners {
			if selected(listeners, l.ListenerID) && (protocol == "" || protocol == l.ListenerProtocol) {
				rows = append(rows, c.state.newListenerItem(lb, l))
			}
		}
	}
	header, rows, err := cutList(c, idPages, rows, func(l listenerItem) string { return l.ListenerID })
	return listListenersResponse{pageHeader: header, Listeners: rows}, err
}

// balancers returns the load balancers of the call's region with these ids; without any those of these listeners or
// rules, or all.
func (c groupCall) balancers(ids, below []string) []GroupLoadBalancer {
	if len(ids) == 0 && len(below) > 0 {
		ids = c.req.concerned
	}
	return slices.DeleteFunc(c.state.balancers.pick(ids), func(lb GroupLoadBalancer) bool { return !c.inRegion(lb.RegionID) })
}

type listGroupsResponse struct {
	XMLName xml.Name `json:"-" xml:"ListServerGroupsResponse"`
	pageHeader
	ServerGroups []groupItem `json:"ServerGroups" xml:"ServerGroups"`
}

// groupItem has the fields of both products: HealthCheck is NLB's, HealthCheckConfig ALB's.
type groupItem struct {
	RegionID               string       `json:"RegionId,omitempty" xml:"RegionId,omitempty"`
	ServerGroupID          string       `json:"ServerGroupId" xml:"ServerGroupId"`
	ServerGroupName        string       `json:"ServerGroupName" xml:"ServerGroupName"`
	ServerGroupType        string       `json:"ServerGroupType" xml:"ServerGroupType"`
	ServerGroupStatus      string       `json:"ServerGroupStatus" xml:"ServerGroupStatus"`
	ServerCount            int          `json:"ServerCount" xml:"ServerCount"`
	RelatedLoadBalancerIDs []string     `json:"RelatedLoadBalancerIds" xml:"RelatedLoadBalancerIds"`
	HealthCheck            *groupChecks `json:"HealthCheck,omitempty" xml:"HealthCheck,omitempty"`
	HealthCheckConfig      *groupChecks `json:"HealthCheckConfig,omitempty" xml:"HealthCheckConfig,omitempty"`
}

type groupChecks struct {
	HealthCheckEnabled bool `json:"HealthCheckEnabled" xml:"HealthCheckEnabled"`
}

func (p *ProductState) newGroupItem(g ServerGroup) groupItem {
	item := groupItem{
		ServerGroupID: g.ServerGroupID, ServerGroupName: g.ServerGroupID, ServerGroupType: g.ServerGroupType, ServerGroupStatus: "Available",
		ServerCount: len(g.Servers), RelatedLoadBalancerIDs: append([]string{}, p.loadBalancersOf(g.ServerGroupID)...),
	}
	checks := &groupChecks{g.HealthCheck == HealthCheckOn}
	if p.product == ProductALB {
		item.HealthCheckConfig = checks
		return item
	}
	item.RegionID, item.HealthCheck = g.RegionID, checks
	return item
}

// listGroups serves ListServerGroups: these server groups, or all. One that does not exist is absent.
func (c groupCall) listGroups() (any, *apiError) {
	ids, err := c.ids("ServerGroupIds")
	if err != nil {
		return nil, err
	}
	if !c.mayRead(ids...) {
		return nil, c.state.errNotAllowed("serverGroup")
	}
	rows := []groupItem{}
	for _, group := range c.state.groups.pick(ids) {
		if c.inRegion(group.RegionID) {
			rows = append(rows, c.state.newGroupItem(group))
		}
	}
	header, rows, err := cutList(c, idPages, rows, func(g groupItem) string { return g.ServerGroupID })
	return listGroupsResponse{pageHeader: header, ServerGroups: rows}, err
}

type listServersResponse struct {
	XMLName xml.Name `json:"-" xml:"ListServerGroupServersResponse"`
	pageHeader
	Servers []serverItem `json:"Servers" xml:"Servers"`
}

type serverItem struct {
	ServerGroupID string `json:"ServerGroupId" xml:"ServerGroupId"`
	ServerID      string `json:"ServerId,omitempty" xml:"ServerId,omitempty"`
	ServerIP      string `json:"ServerIp,omitempty" xml:"ServerIp,omitempty"`
	ServerType    string `json:"ServerType" xml:"ServerType"`
	Port          int    `json:"Port,omitempty" xml:"Port,omitempty"`
	Weight        int    `json:"Weight" xml:"Weight"`
	Status        string `json:"Status" xml:"Status"`
}

// position orders the servers of a group.
func (k serverKey) position() string {
	return k.id + positionSeparator + k.address + positionSeparator + fmt.Sprintf("%05d", k.port)
}

// listServers serves ListServerGroupServers: the servers of one group, also those that are being added or removed.
func (c groupCall) listServers() (any, *apiError) {
	group, err := c.group(c.req.params["ServerGroupId"])
	if err != nil {
		return nil, err
	}
	ids, err := c.ids("ServerIds")
	if err != nil {
		return nil, err
	}
	addresses, err := c.ids("ServerIps")
	if err != nil {
		return nil, err
	}
	rows := []serverItem{}
	for _, s := range group.Servers {
		if selected(ids, s.ServerID) && selected(addresses, s.ServerIP) {
			rows = append(rows, serverItem{group.ServerGroupID, s.ServerID, s.ServerIP, s.ServerType, s.Port, *s.Weight, s.Status})
		}
	}
	header, rows, err := cutList(c, serverPages, rows, func(s serverItem) string { return serverKey{s.ServerID, s.ServerIP, s.Port}.position() })
	return listServersResponse{pageHeader: header, Servers: rows}, err
}

// group returns the server group that a call names.
func (c groupCall) group(id string) (ServerGroup, *apiError) {
	if !c.mayRead(id) {
		return ServerGroup{}, c.state.errNotAllowed("serverGroup")
	}
	group, known := c.state.groups.get(id)
	if !known || !c.inRegion(group.RegionID) {
		return ServerGroup{}, c.state.errNotFound("serverGroup")
	}
	return group, nil
}
