// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/xml"
	"strings"
)

// healthPages bounds a page of GetListenerHealthStatus. A page counts servers, and a group without servers to return
// as one, so that one group may span pages.
var healthPages = map[string]pageRules{
	ProductNLB: {results: 20, maxResults: 100, parts: 6, separator: positionSeparator},
	ProductALB: {results: 20, maxResults: 30, parts: 6, separator: positionSeparator},
}

// nlbHealthResponse counts rows; albHealthResponse has rules.
type nlbHealthResponse struct {
	XMLName xml.Name `json:"-" xml:"GetListenerHealthStatusResponse"`
	pageHeader
	ListenerHealthStatus []listenerHealth `json:"ListenerHealthStatus" xml:"ListenerHealthStatus"`
}

type albHealthResponse struct {
	XMLName              xml.Name         `json:"-" xml:"GetListenerHealthStatusResponse"`
	RequestID            string           `json:"RequestId" xml:"RequestId"`
	NextToken            string           `json:"NextToken,omitempty" xml:"NextToken,omitempty"`
	ListenerHealthStatus []listenerHealth `json:"ListenerHealthStatus" xml:"ListenerHealthStatus"`
	// RuleHealthStatus is absent without IncludeRule=true.
	RuleHealthStatus []ruleHealth `json:"RuleHealthStatus,omitzero" xml:"RuleHealthStatus"`
}

type listenerHealth struct {
	ListenerID       string        `json:"ListenerId" xml:"ListenerId"`
	ListenerPort     int           `json:"ListenerPort" xml:"ListenerPort"`
	ListenerProtocol string        `json:"ListenerProtocol" xml:"ListenerProtocol"`
	ServerGroupInfos []groupHealth `json:"ServerGroupInfos" xml:"ServerGroupInfos"`
}

type ruleHealth struct {
	RuleID           string        `json:"RuleId" xml:"RuleId"`
	ServerGroupInfos []groupHealth `json:"ServerGroupInfos" xml:"ServerGroupInfos"`
}

// groupHealth has HealthCheckEnabled, a string, and ActionType for ALB, and HeathCheckEnabled (sic), a bool, for NLB.
type groupHealth struct {
	ServerGroupID      string         `json:"ServerGroupId" xml:"ServerGroupId"`
	HealthCheckEnabled string         `json:"HealthCheckEnabled,omitempty" xml:"HealthCheckEnabled,omitempty"`
	HeathCheckEnabled  *bool          `json:"HeathCheckEnabled,omitempty" xml:"HeathCheckEnabled,omitempty"`
	ActionType         string         `json:"ActionType,omitempty" xml:"ActionType,omitempty"`
	NonNormalServers   []serverHealth `json:"NonNormalServers" xml:"NonNormalServers"`
}

type serverHealth struct {
	ServerID string        `json:"ServerId,omitempty" xml:"ServerId,omitempty"`
	ServerIP string        `json:"ServerIp,omitempty" xml:"ServerIp,omitempty"`
	Port     int           `json:"Port,omitempty" xml:"Port,omitempty"`
	Status   string        `json:"Status" xml:"Status"`
	Reason   *healthReason `json:"Reason,omitempty" xml:"Reason,omitempty"`
}

type healthReason struct {
	ReasonCode       string `json:"ReasonCode" xml:"ReasonCode"`
	ActualResponse   string `json:"ActualResponse,omitempty" xml:"ActualResponse,omitempty"`
	ExpectedResponse string `json:"ExpectedResponse,omitempty" xml:"ExpectedResponse,omitempty"`
}

// healthRow is one row of a page: a server that is not normal, or a group without any.
type healthRow struct {
	// ruleID is empty for the default action.
	ruleID, actionType string
	group              ServerGroup
	server             *serverHealth
}

// position orders rows by rule, group and server; the row of the group itself is in front of its servers.
func (r healthRow) position() string {
	server := serverKey{}
	if r.server != nil {
		server = serverKey{r.server.ServerID, r.server.ServerIP, r.server.Port}
	}
	return strings.Join([]string{r.ruleID, r.actionType, r.group.ServerGroupID, server.position()}, positionSeparator)
}

// of reports whether the next row continues the group of this one.
func (r healthRow) of(next healthRow) bool {
	return r.ruleID == next.ruleID && r.actionType == next.actionType && r.group.ServerGroupID == next.group.ServerGroupID
}

// listenerHealth serves GetListenerHealthStatus: the servers of one listener that are not normal, by server group.
func (c groupCall) listenerHealth() (any, *apiError) {
	id := c.req.params["ListenerId"]
	lb, known := c.state.balancers.get(c.state.owners[id])
	if !known || !c.inRegion(lb.RegionID) {
		return nil, c.state.errNotFound("listener")
	}
	if !c.mayRead(lb.LoadBalancerID) {
		return nil, c.state.errNotAllowed("loadBalancer")
	}
	withRules := c.req.params["IncludeRule"]
	if withRules != "" && withRules != "true" && withRules != "false" {
		return nil, errIllegal("IncludeRule")
	}
	for _, l := range lb.Listeners {
		if l.ListenerID == id {
			return c.healthOf(l, withRules == "true")
		}
	}
	return nil, c.state.errNotFound("listener") // the id of a rule
}

func (c groupCall) healthOf(l GroupListener, withRules bool) (any, *apiError) {
	rows := c.state.healthRows("", actionForward, l.ServerGroupIDs)
	if c.state.product == ProductNLB {
		header, rows, err := cutList(c, healthPages[ProductNLB], rows, healthRow.position)
		return nlbHealthResponse{pageHeader: header, ListenerHealthStatus: c.state.listenerItems(l, rows)}, err
	}
	if withRules {
		for _, rule := range l.Rules {
			rows = append(rows, c.state.healthRows(rule.RuleID, actionForward, rule.ServerGroupIDs)...)
			rows = append(rows, c.state.healthRows(rule.RuleID, actionMirror, rule.MirrorServerGroupIDs)...)
		}
	}
	header, rows, err := cutList(c, healthPages[ProductALB], rows, healthRow.position)
	response := albHealthResponse{RequestID: header.RequestID, NextToken: header.NextToken, ListenerHealthStatus: c.state.listenerItems(l, rows)}
	if withRules {
		response.RuleHealthStatus = c.state.ruleItems(rows)
	}
	return response, err
}

// healthRows are the rows of the groups that one action names.
func (p *ProductState) healthRows(ruleID, actionType string, ids []string) []healthRow {
	var rows []healthRow
	for _, id := range ids {
		group, known := p.groups.get(id)
		if !known { // the file that had it was replaced
			continue
		}
		row := healthRow{ruleID: ruleID, actionType: actionType, group: group}
		servers := p.notNormal(group)
		for i := range servers {
			row.server = &servers[i]
			rows = append(rows, row)
		}
		if len(servers) == 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

// notNormal returns the servers that a response names. Where the health check is off, every one is Unavailable. A
// server of ALB with weight 0 is Unused, as it takes no part in health checks; NLB does not distinguish it.
func (p *ProductState) notNormal(g ServerGroup) []serverHealth {
	servers := make([]serverHealth, 0, len(g.Servers))
	for _, s := range g.Servers {
		health := serverHealth{ServerID: s.ServerID, ServerIP: s.ServerIP, Port: s.Port, Status: s.HealthStatus}
		switch {
		case g.HealthCheck == HealthCheckOff:
			health.Status = HealthUnavailable
		case p.product == ProductALB && *s.Weight == 0:
			health.Status = HealthUnused
		case s.HealthStatus == HealthNormal:
			continue
		case s.ReasonCode != "":
			health.Reason = &healthReason{s.ReasonCode, s.ActualResponse, s.ExpectedResponse}
		}
		servers = append(servers, health)
	}
	return servers
}

// listenerItems are the rows of the default action. ALB writes the protocol in small letters here.
func (p *ProductState) listenerItems(l GroupListener, rows []healthRow) []listenerHealth {
	item := listenerHealth{ListenerID: l.ListenerID, ListenerPort: l.ListenerPort, ListenerProtocol: l.ListenerProtocol}
	if p.product == ProductALB {
		item.ListenerProtocol = strings.ToLower(l.ListenerProtocol)
	}
	for i, row := range rows {
		if row.ruleID == "" {
			item.ServerGroupInfos = p.addRow(item.ServerGroupInfos, row, i > 0 && rows[i-1].of(row))
		}
	}
	if item.ServerGroupInfos == nil {
		return []listenerHealth{}
	}
	return []listenerHealth{item}
}

func (p *ProductState) ruleItems(rows []healthRow) []ruleHealth {
	items := []ruleHealth{}
	for i, row := range rows {
		if row.ruleID == "" {
			continue
		}
		if i == 0 || rows[i-1].ruleID != row.ruleID {
			items = append(items, ruleHealth{RuleID: row.ruleID})
		}
		last := &items[len(items)-1]
		last.ServerGroupInfos = p.addRow(last.ServerGroupInfos, row, i > 0 && rows[i-1].of(row))
	}
	return items
}

// addRow adds a row to the groups of a listener or rule; same says that it continues the last group.
func (p *ProductState) addRow(groups []groupHealth, row healthRow, same bool) []groupHealth {
	if !same {
		groups = append(groups, p.newGroupHealth(row))
	}
	if row.server != nil {
		last := &groups[len(groups)-1]
		last.NonNormalServers = append(last.NonNormalServers, *row.server)
	}
	return groups
}

func (p *ProductState) newGroupHealth(row healthRow) groupHealth {
	health := groupHealth{ServerGroupID: row.group.ServerGroupID, NonNormalServers: []serverHealth{}}
	if p.product == ProductNLB {
		health.HeathCheckEnabled = new(row.group.HealthCheck == HealthCheckOn)
		return health
	}
	health.HealthCheckEnabled, health.ActionType = row.group.HealthCheck, row.actionType
	return health
}
