// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"maps"
	"net/http"
	"slices"
)

// maxGroupIDs is how many load balancers, listeners, rules or server groups a call of NLB or ALB may name.
const maxGroupIDs = 20

// groupCall is a call of NLB or ALB that passed the gateway. caller is nil when any key is accepted.
type groupCall struct {
	req       *request
	state     *ProductState
	caller    *account
	requestID string
}

// groupAction serves one action of NLB or ALB under the lock of its state. required is the parameter that the gateway
// demands, empty for none.
type groupAction struct {
	required string
	run      func(call groupCall) (response any, err *apiError)
}

// groupActions are those of NLB. ALB has the same and ListRules.
var groupActions = map[string]groupAction{
	ActionListenerHealth: {"ListenerId", groupCall.listenerHealth},
	ActionListListeners:  {"", groupCall.listListeners},
	ActionListGroups:     {"", groupCall.listGroups},
	ActionListServers:    {"ServerGroupId", groupCall.listServers},
	ActionBalancer:       {"LoadBalancerId", groupCall.balancer},
}

// actionsOf makes actions of the state that the function selects.
func actionsOf(state func(*Server) *ProductState, all map[string]groupAction) map[string]action {
	made := map[string]action{}
	for name, a := range all {
		made[name] = func(s *Server, req *request, caller *account, requestID string) (document, *apiError) {
			p := state(s)
			p.mu.RLock()
			defer p.mu.RUnlock()
			req.concerned = p.concerns(req)
			if a.required != "" && req.params[a.required] == "" {
				return document{}, errMissingCommon(a.required)
			}
			response, err := a.run(groupCall{req, p, caller, requestID})
			if err != nil {
				return document{}, err
			}
			return encode(http.StatusOK, req.wantsJSON(), response), nil
		}
	}
	return made
}

// serverGroupIDs are those that a call names.
func (req *request) serverGroupIDs() []string {
	return req.named("ServerGroupId")
}

// named returns the values of a parameter such as ListenerId and of its list, ListenerIds.
func (req *request) named(name string) []string {
	ids := req.repeated(name+"s", maxGroupIDs)
	if id := req.params[name]; id != "" {
		ids = append(ids, id)
	}
	return ids
}

// concerns returns the load balancers that a call concerns, sorted: it names them, their listeners, rules or server
// groups.
func (p *ProductState) concerns(req *request) []string {
	found := map[string]struct{}{}
	for _, id := range req.named("LoadBalancerId") {
		found[id] = struct{}{}
	}
	for _, id := range slices.Concat(req.named("ListenerId"), req.named("RuleId")) {
		if owner := p.owners[id]; owner != "" {
			found[owner] = struct{}{}
		}
	}
	for _, id := range req.serverGroupIDs() {
		maps.Copy(found, p.related[id])
	}
	return slices.Sorted(maps.Keys(found))
}

// ids returns the values of a list of ids, and refuses more than a call may name.
func (c groupCall) ids(name string) ([]string, *apiError) {
	ids := c.req.repeated(name, maxGroupIDs)
	if len(ids) > maxGroupIDs {
		return nil, errIllegal(name)
	}
	return ids, nil
}

// mayRead reports whether the caller may read these resources; without any, whether it may read all.
func (c groupCall) mayRead(ids ...string) bool {
	if c.caller == nil {
		return true
	}
	if len(ids) == 0 {
		return c.caller.allows("*")
	}
	return !slices.ContainsFunc(ids, func(id string) bool { return !c.caller.allows(id) })
}

// inRegion reports whether the call is of the region, or names none.
func (c groupCall) inRegion(region string) bool {
	named := c.req.params["RegionId"]
	return named == "" || named == region
}

// selected reports whether a list of a call selects the value; an empty list selects all.
func selected(list []string, value string) bool {
	return len(list) == 0 || slices.Contains(list, value)
}
