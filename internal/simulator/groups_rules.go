// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/xml"
	"maps"
	"slices"
)

// The actions of a listener or rule.
const (
	actionForward  = "ForwardGroup"
	actionMirror   = "TrafficMirror"
	actionRedirect = "Redirect"
)

// albActions are those of ALB.
var albActions = func() map[string]groupAction {
	all := maps.Clone(groupActions)
	all[ActionListRules] = groupAction{"", groupCall.listRules}
	return all
}()

type listRulesResponse struct {
	XMLName xml.Name `json:"-" xml:"ListRulesResponse"`
	pageHeader
	Rules []ruleItem `json:"Rules" xml:"Rules"`
}

type ruleItem struct {
	LoadBalancerID string        `json:"LoadBalancerId" xml:"LoadBalancerId"`
	ListenerID     string        `json:"ListenerId" xml:"ListenerId"`
	RuleID         string        `json:"RuleId" xml:"RuleId"`
	RuleName       string        `json:"RuleName" xml:"RuleName"`
	RuleStatus     string        `json:"RuleStatus" xml:"RuleStatus"`
	Priority       int           `json:"Priority" xml:"Priority"`
	RuleActions    []forwardRule `json:"RuleActions" xml:"RuleActions"`
}

type mirrorConfig struct {
	TargetType string         `json:"TargetType" xml:"TargetType"`
	Groups     *forwardConfig `json:"MirrorGroupConfig" xml:"MirrorGroupConfig"`
}

// actions are those of the API: a rule mirrors first, and then forwards or redirects.
func (r Rule) actions() []forwardRule {
	var all []forwardRule
	if len(r.MirrorServerGroupIDs) > 0 {
		all = append(all, forwardRule{Order: 1, Type: actionMirror, Mirror: &mirrorConfig{"ForwardGroupMirror", forwardTo(r.MirrorServerGroupIDs, 0)}})
	}
	last := forwardRule{Order: len(all) + 1, Type: actionRedirect}
	if len(r.ServerGroupIDs) > 0 {
		last.Type, last.Groups = actionForward, forwardTo(r.ServerGroupIDs, defaultWeight)
	}
	return append(all, last)
}

// listRules serves ListRules: the rules of these load balancers and listeners, or all.
func (c groupCall) listRules() (any, *apiError) {
	balancers, err := c.ids("LoadBalancerIds")
	if err != nil {
		return nil, err
	}
	listeners, err := c.ids("ListenerIds")
	if err != nil {
		return nil, err
	}
	rules, err := c.ids("RuleIds")
	if err != nil {
		return nil, err
	}
	if !c.mayRead(c.req.concerned...) {
		return nil, c.state.errNotAllowed("loadBalancer")
	}
	rows := []ruleItem{}
	for _, lb := range c.balancers(balancers, slices.Concat(listeners, rules)) {
		for _, l := range lb.Listeners {
			for i, rule := range l.Rules {
				if selected(listeners, l.ListenerID) && selected(rules, rule.RuleID) {
					rows = append(rows, ruleItem{lb.LoadBalancerID, l.ListenerID, rule.RuleID, rule.RuleID, "Available", i + 1, rule.actions()})
				}
			}
		}
	}
	header, rows, err := cutList(c, idPages, rows, func(r ruleItem) string { return r.RuleID })
	return listRulesResponse{pageHeader: header, Rules: rows}, err
}
