// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
)

// endpoints are those of one product below /admin/v1/nlb or /admin/v1/alb, by path.
func (p *ProductState) endpoints() map[string]map[string]endpoint {
	all := p.balancerEndpoints()
	maps.Copy(all, p.groupEndpoints())
	return all
}

func (p *ProductState) balancerEndpoints() map[string]map[string]endpoint {
	return map[string]map[string]endpoint{
		"/loadbalancers": {http.MethodGet: {do: p.adminList}},
		"/loadbalancers/{id}": {
			http.MethodGet:    {do: p.adminGet},
			http.MethodPut:    {do: p.adminPut},
			http.MethodDelete: {do: p.adminDelete},
		},
		"/loadbalancers/{id}/listeners": {
			http.MethodPatch:  {do: p.adminSetListeners},
			http.MethodPost:   {do: p.adminAddListener},
			http.MethodDelete: {do: p.adminRemoveListeners, query: []string{"listenerId", "listenerPort", "listenerProtocol"}},
		},
	}
}

func (p *ProductState) groupEndpoints() map[string]map[string]endpoint {
	return map[string]map[string]endpoint{
		"/servergroups": {http.MethodGet: {do: p.adminListGroups}},
		"/servergroups/{id}": {
			http.MethodGet:    {do: p.adminGetGroup},
			http.MethodPut:    {do: p.adminPutGroup},
			http.MethodPatch:  {do: p.adminSetHealthCheck},
			http.MethodDelete: {do: p.adminDeleteGroup},
		},
		"/servergroups/{id}/servers": {
			http.MethodPatch:  {do: p.adminSetServers},
			http.MethodPost:   {do: p.adminAddServer},
			http.MethodDelete: {do: p.adminRemoveServers, query: []string{"serverId", "serverIp", "port"}},
		},
	}
}

func (p *ProductState) adminList(*http.Request) (int, any, error) {
	return http.StatusOK, map[string]any{"loadBalancers": p.LoadBalancers()}, nil
}

func (p *ProductState) adminGet(r *http.Request) (int, any, error) {
	lb, known := p.LoadBalancer(r.PathValue("id"))
	if !known {
		return 0, nil, noLoadBalancer(r)
	}
	return http.StatusOK, lb, nil
}

func (p *ProductState) adminPut(r *http.Request) (int, any, error) {
	var lb GroupLoadBalancer
	if err := readBody(r, &lb); err != nil {
		return 0, nil, err
	}
	if err := setID(r, "loadBalancerId", &lb.LoadBalancerID); err != nil {
		return 0, nil, err
	}
	created, err := p.PutLoadBalancer(lb)
	return putStatus(created), lb.complete(p.product), err
}

func (p *ProductState) adminDelete(r *http.Request) (int, any, error) {
	if !p.DeleteLoadBalancer(r.PathValue("id")) {
		return 0, nil, noLoadBalancer(r)
	}
	return http.StatusNoContent, nil, nil
}

// listenerStatusEdit is a GroupListenerSelector and the status to set.
type listenerStatusEdit struct {
	GroupListenerSelector
	ListenerStatus string `json:"listenerStatus"`
}

func (p *ProductState) adminSetListeners(r *http.Request) (int, any, error) {
	var edit listenerStatusEdit
	if err := readBody(r, &edit); err != nil {
		return 0, nil, err
	}
	matched, err := p.SetListeners(r.PathValue("id"), edit.GroupListenerSelector, edit.ListenerStatus)
	return http.StatusOK, map[string]int{"matched": matched}, err
}

func (p *ProductState) adminAddListener(r *http.Request) (int, any, error) {
	var listener GroupListener
	if err := readBody(r, &listener); err != nil {
		return 0, nil, err
	}
	id := r.PathValue("id")
	added := GroupLoadBalancer{LoadBalancerID: id, Listeners: []GroupListener{listener}}.complete(p.product).Listeners[0]
	return http.StatusCreated, added, p.AddListener(id, listener)
}

func (p *ProductState) adminRemoveListeners(r *http.Request) (int, any, error) {
	query := r.URL.Query()
	port, err := queryInt(query, "listenerPort", 0)
	if err != nil {
		return 0, nil, err
	}
	removed, err := p.RemoveListeners(r.PathValue("id"), GroupListenerSelector{query.Get("listenerId"), port, query.Get("listenerProtocol")})
	return http.StatusOK, map[string]int{"removed": removed}, err
}

func (p *ProductState) adminListGroups(*http.Request) (int, any, error) {
	return http.StatusOK, map[string]any{"serverGroups": p.ServerGroups()}, nil
}

func (p *ProductState) adminGetGroup(r *http.Request) (int, any, error) {
	id := r.PathValue("id")
	group, known := p.ServerGroup(id)
	if !known {
		return 0, nil, fmt.Errorf("serverGroupId: %w: %q", ErrNoServerGroup, id)
	}
	return http.StatusOK, group, nil
}

func (p *ProductState) adminPutGroup(r *http.Request) (int, any, error) {
	var group ServerGroup
	if err := readBody(r, &group); err != nil {
		return 0, nil, err
	}
	if err := setID(r, "serverGroupId", &group.ServerGroupID); err != nil {
		return 0, nil, err
	}
	created, err := p.PutServerGroup(group)
	return putStatus(created), group.complete(), err
}

// groupPatch is the edit of a server group.
type groupPatch struct {
	HealthCheck string `json:"healthCheck"`
}

func (p *ProductState) adminSetHealthCheck(r *http.Request) (int, any, error) {
	var patch groupPatch
	if err := readBody(r, &patch); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, patch, p.SetHealthCheck(r.PathValue("id"), patch.HealthCheck)
}

func (p *ProductState) adminDeleteGroup(r *http.Request) (int, any, error) {
	return http.StatusNoContent, nil, p.DeleteServerGroup(r.PathValue("id"))
}

// serverEdit is a ServerSelector and the values to set.
type serverEdit struct {
	ServerSelector
	ServerPatch
}

func (p *ProductState) adminSetServers(r *http.Request) (int, any, error) {
	var edit serverEdit
	if err := readBody(r, &edit); err != nil {
		return 0, nil, err
	}
	if edit.ServerPatch == (ServerPatch{}) {
		return 0, nil, badRequest(errors.New("body: nothing to set: write healthStatus, status, weight or reasonCode"))
	}
	matched, err := p.SetServers(r.PathValue("id"), edit.ServerSelector, edit.ServerPatch)
	return http.StatusOK, map[string]int{"matched": matched}, err
}

func (p *ProductState) adminAddServer(r *http.Request) (int, any, error) {
	var server GroupServer
	if err := readBody(r, &server); err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, server.complete(), p.AddServer(r.PathValue("id"), server)
}

func (p *ProductState) adminRemoveServers(r *http.Request) (int, any, error) {
	query := r.URL.Query()
	port, err := queryInt(query, "port", 0)
	if err != nil {
		return 0, nil, err
	}
	removed, err := p.RemoveServers(r.PathValue("id"), ServerSelector{query.Get("serverId"), query.Get("serverIp"), port})
	return http.StatusOK, map[string]int{"removed": removed}, err
}
