// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"slices"
	"strconv"
)

func (s *Server) describeHealth(req *request, caller *account, requestID string) (document, *apiError) {
	backends, err := s.rows(req, caller)
	if err != nil {
		return document{}, err
	}
	return healthDocument(req, requestID, backends), nil
}

// rows is the API itself: it returns the rows of one load balancer, or why not. caller is nil when any key is
// accepted.
func (s *Server) rows(req *request, caller *account) ([]Backend, *apiError) {
	for _, name := range []string{"RegionId", "LoadBalancerId"} {
		if req.params[name] == "" {
			return nil, errMissing(name)
		}
	}
	listener, err := parseListener(req.params)
	if err != nil {
		return nil, err
	}
	id := req.params["LoadBalancerId"]
	if caller != nil && !caller.allows(id) {
		return nil, errForbidden
	}
	lb, known := s.fleet.get(id)
	if !known || lb.RegionID != req.params["RegionId"] {
		return nil, errLoadBalancer
	}
	return listener.rows(lb.Backends)
}

// listenerFilter is the selection of the optional parameters; the zero value selects every listener.
type listenerFilter struct {
	port     int
	protocol string
}

func parseListener(params map[string]string) (listenerFilter, *apiError) {
	filter := listenerFilter{protocol: params["ListenerProtocol"]}
	if text := params["ListenerPort"]; text != "" {
		port, err := strconv.Atoi(text)
		if err != nil || port < 1 || port > 65535 || strconv.Itoa(port) != text {
			return filter, errInvalid("ListenerPort")
		}
		filter.port = port
	}
	if filter.protocol != "" && !slices.Contains(protocols, filter.protocol) {
		return filter, errInvalid("ListenerProtocol")
	}
	return filter, nil
}

// rows refuses a port that several listeners share (TCP and UDP may) unless the call has the
// protocol. A backend without a configured protocol is for an older response, which does not
// show it, and matches each.
func (f listenerFilter) rows(backends []Backend) ([]Backend, *apiError) {
	if f == (listenerFilter{}) {
		return backends, nil
	}
	rows := []Backend{}
	onPort := map[string]bool{}
	for _, backend := range backends {
		if f.port != 0 && backend.ListenerPort != f.port {
			continue
		}
		if backend.ListenerProtocol != "" {
			onPort[backend.ListenerProtocol] = true
			if f.protocol != "" && backend.ListenerProtocol != f.protocol {
				continue
			}
		}
		rows = append(rows, backend)
	}
	if f.protocol == "" && len(onPort) > 1 {
		return nil, errListeners
	}
	return rows, nil
}
