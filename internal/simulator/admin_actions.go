// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

func (s *Server) adminList(*http.Request) (int, any, error) {
	return http.StatusOK, map[string]any{"loadBalancers": s.fleet.list()}, nil
}

func (s *Server) adminGet(r *http.Request) (int, any, error) {
	lb, known := s.fleet.get(r.PathValue("id"))
	if !known {
		return 0, nil, noLoadBalancer(r)
	}
	return http.StatusOK, lb, nil
}

func (s *Server) adminPut(r *http.Request) (int, any, error) {
	var lb LoadBalancer
	if err := readBody(r, &lb); err != nil {
		return 0, nil, err
	}
	if err := setID(r, "loadBalancerId", &lb.LoadBalancerID); err != nil {
		return 0, nil, err
	}
	if err := lb.validate(""); err != nil {
		return 0, nil, badRequest(err)
	}
	return putStatus(s.fleet.put(lb)), lb.complete(), nil
}

// setID gives the value of a body the id of the URL, which the body may repeat.
func setID(r *http.Request, field string, id *string) error {
	wanted := r.PathValue("id")
	if *id != "" && *id != wanted {
		return badRequest(fmt.Errorf("%s: %q is not the %q of the URL: omit it", field, *id, wanted))
	}
	*id = wanted
	return nil
}

func putStatus(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusOK
}

func (s *Server) adminDelete(r *http.Request) (int, any, error) {
	if !s.DeleteLoadBalancer(r.PathValue("id")) {
		return 0, nil, noLoadBalancer(r)
	}
	return http.StatusNoContent, nil, nil
}

func noLoadBalancer(r *http.Request) error {
	return fmt.Errorf("loadBalancerId: %w: %q", ErrNoLoadBalancer, r.PathValue("id"))
}

// statusPatch is a Selector and the status to set.
type statusPatch struct {
	Selector
	ServerHealthStatus string `json:"serverHealthStatus"`
}

func (s *Server) adminSetStatus(r *http.Request) (int, any, error) {
	var patch statusPatch
	if err := readBody(r, &patch); err != nil {
		return 0, nil, err
	}
	matched, err := s.SetBackendStatus(r.PathValue("id"), patch.Selector, patch.ServerHealthStatus)
	return http.StatusOK, map[string]int{"matched": matched}, err
}

func (s *Server) adminAddBackend(r *http.Request) (int, any, error) {
	var backend Backend
	if err := readBody(r, &backend); err != nil {
		return 0, nil, err
	}
	if err := s.AddBackend(r.PathValue("id"), backend); err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, LoadBalancer{Backends: []Backend{backend}}.complete().Backends[0], nil
}

func (s *Server) adminRemoveBackends(r *http.Request) (int, any, error) {
	sel, err := querySelector(r.URL.Query())
	if err != nil {
		return 0, nil, err
	}
	removed, err := s.RemoveBackends(r.PathValue("id"), sel)
	return http.StatusOK, map[string]int{"removed": removed}, err
}

func querySelector(query url.Values) (Selector, error) {
	sel := Selector{
		ServerID: query.Get("serverId"), ServerIP: query.Get("serverIp"), ListenerProtocol: query.Get("listenerProtocol"),
	}
	var err error
	if sel.ListenerPort, err = queryInt(query, "listenerPort", 0); err != nil {
		return Selector{}, err
	}
	sel.Port, err = queryInt(query, "port", 0)
	return sel, err
}

// listenerEdit is a ListenerSelector and the values to set.
type listenerEdit struct {
	ListenerSelector
	ListenerPatch
}

func (s *Server) adminSetListeners(r *http.Request) (int, any, error) {
	var edit listenerEdit
	if err := readBody(r, &edit); err != nil {
		return 0, nil, err
	}
	if edit.ListenerPatch == (ListenerPatch{}) {
		return 0, nil, badRequest(errors.New("body: nothing to set: write status, healthCheck or forwardPort"))
	}
	matched, err := s.SetListeners(r.PathValue("id"), edit.ListenerSelector, edit.ListenerPatch)
	return http.StatusOK, map[string]int{"matched": matched}, err
}

func (s *Server) adminAddListener(r *http.Request) (int, any, error) {
	var listener Listener
	if err := readBody(r, &listener); err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, listener.complete(), s.AddListener(r.PathValue("id"), listener)
}

func (s *Server) adminRemoveListeners(r *http.Request) (int, any, error) {
	query := r.URL.Query()
	port, err := queryInt(query, "listenerPort", 0)
	if err != nil {
		return 0, nil, err
	}
	removed, err := s.RemoveListeners(r.PathValue("id"), ListenerSelector{port, query.Get("listenerProtocol")})
	return http.StatusOK, map[string]int{"removed": removed}, err
}

// permissions is the body of …/permissions, which applies to every account.
type permissions struct {
	AllowListeners *bool `json:"allowListeners"`
}

func (s *Server) adminPermissions(*http.Request) (int, any, error) {
	allowed := !s.listenersForbidden.Load()
	return http.StatusOK, permissions{&allowed}, nil
}

func (s *Server) adminSetPermissions(r *http.Request) (int, any, error) {
	var wanted permissions
	if err := readBody(r, &wanted); err != nil {
		return 0, nil, err
	}
	if wanted.AllowListeners == nil {
		return 0, nil, badRequest(errors.New("allowListeners: missing: write true or false"))
	}
	s.AllowListeners(*wanted.AllowListeners)
	return http.StatusOK, wanted, nil
}

// faultsDocument is the body of GET and PUT …/faults.
type faultsDocument struct {
	Faults []Fault `json:"faults"`
}

func (s *Server) adminListFaults(*http.Request) (int, any, error) {
	return http.StatusOK, faultsDocument{s.faults.list()}, nil
}

func (s *Server) adminSetFaults(r *http.Request) (int, any, error) {
	var doc faultsDocument
	if err := readBody(r, &doc); err != nil {
		return 0, nil, err
	}
	if doc.Faults == nil {
		return 0, nil, badRequest(errors.New("faults: missing: write the rules, or [] to clear them"))
	}
	if err := s.SetFaults(doc.Faults); err != nil {
		return 0, nil, badRequest(err)
	}
	return http.StatusOK, faultsDocument{s.faults.list()}, nil
}

func (s *Server) adminAddFault(r *http.Request) (int, any, error) {
	var rule Fault
	if err := readBody(r, &rule); err != nil {
		return 0, nil, err
	}
	if err := rule.validate(""); err != nil {
		return 0, nil, badRequest(err)
	}
	s.faults.add(rule)
	return http.StatusCreated, rule, nil
}

func (s *Server) adminClearFaults(*http.Request) (int, any, error) {
	s.faults.set(nil)
	return http.StatusNoContent, nil, nil
}

func (s *Server) adminCalls(r *http.Request) (int, any, error) {
	query := r.URL.Query()
	limit, err := queryInt(query, "limit", maxCalls)
	if err != nil {
		return 0, nil, err
	}
	filter := callFilter{product: query.Get("product"), action: query.Get("action"), loadBalancerID: query.Get("loadBalancerId")}
	return http.StatusOK, s.calls.report(filter, limit), nil
}

func (s *Server) adminResetCalls(*http.Request) (int, any, error) {
	s.ResetCalls()
	return http.StatusNoContent, nil, nil
}
