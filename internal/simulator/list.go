// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
)

// maxIDs is how many load balancers a call may name.
const maxIDs = 10

// listenerPages are the pages of DescribeLoadBalancerListeners.
var listenerPages = pageRules{results: 20, maxResults: 100, parts: 3, separator: "/"}

// listenersResponse is the response of DescribeLoadBalancerListeners, in the vendor's shape.
type listenersResponse struct {
	XMLName    xml.Name      `json:"-" xml:"DescribeLoadBalancerListenersResponse"`
	RequestID  string        `json:"RequestId" xml:"RequestId"`
	NextToken  string        `json:"NextToken,omitempty" xml:"NextToken,omitempty"`
	TotalCount int           `json:"TotalCount" xml:"TotalCount"`
	MaxResults int           `json:"MaxResults" xml:"MaxResults"`
	Listeners  []listenerRow `json:"Listeners" xml:"Listeners"`
}

type listenerRow struct {
	LoadBalancerID   string `json:"LoadBalancerId" xml:"LoadBalancerId"`
	ListenerPort     int    `json:"ListenerPort" xml:"ListenerPort"`
	ListenerProtocol string `json:"ListenerProtocol" xml:"ListenerProtocol"`
	Status           string `json:"Status" xml:"Status"`

	HTTP  *httpConfig   `json:"HTTPListenerConfig,omitempty" xml:"HTTPListenerConfig,omitempty"`
	HTTPS *httpsConfig  `json:"HTTPSListenerConfig,omitempty" xml:"HTTPSListenerConfig,omitempty"`
	TCP   *layer4Config `json:"TCPListenerConfig,omitempty" xml:"TCPListenerConfig,omitempty"`
	UDP   *layer4Config `json:"UDPListenerConfig,omitempty" xml:"UDPListenerConfig,omitempty"`
}

type httpConfig struct {
	HealthCheck     string `json:"HealthCheck" xml:"HealthCheck"`
	ListenerForward string `json:"ListenerForward" xml:"ListenerForward"`
	ForwardPort     int    `json:"ForwardPort,omitempty" xml:"ForwardPort,omitempty"`
	ForwardCode     int    `json:"ForwardCode,omitempty" xml:"ForwardCode,omitempty"`
}

type httpsConfig struct {
	HealthCheck string `json:"HealthCheck" xml:"HealthCheck"`
}

type layer4Config struct {
	HealthCheckSwitch string `json:"HealthCheckSwitch" xml:"HealthCheckSwitch"`
}

func newListenerRow(loadBalancerID string, l Listener) listenerRow {
	row := listenerRow{LoadBalancerID: loadBalancerID, ListenerPort: l.ListenerPort, ListenerProtocol: l.ListenerProtocol, Status: l.Status}
	switch l.ListenerProtocol {
	case "http":
		row.HTTP = &httpConfig{HealthCheck: l.HealthCheck, ListenerForward: "off"}
		if l.ForwardPort != 0 {
			row.HTTP.ListenerForward, row.HTTP.ForwardPort, row.HTTP.ForwardCode = "on", l.ForwardPort, http.StatusFound
		}
	case "https":
		row.HTTPS = &httpsConfig{l.HealthCheck}
	case "tcp":
		row.TCP = &layer4Config{l.HealthCheck}
	case "udp":
		row.UDP = &layer4Config{l.HealthCheck}
	}
	return row
}

// listListeners is the API itself: it returns one page of the listeners of up to ten load balancers, or why not.
// One that the caller may not see refuses the whole call, as RAM does. One that does not exist has no listeners.
func (s *Server) listListeners(req *request, caller *account, requestID string) (document, *apiError) {
	ids := req.loadBalancerIDs()
	switch {
	case req.params["RegionId"] == "":
		return document{}, errMissing("RegionId")
	case len(ids) == 0:
		return document{}, errMissing("LoadBalancerId")
	case len(ids) > maxIDs:
		return document{}, errInvalid("LoadBalancerId")
	}
	wanted, err := listenerPages.parse(req.params, errInvalid)
	if err != nil {
		return document{}, err
	}
	if protocol := req.params["ListenerProtocol"]; protocol != "" && !slices.Contains(protocols, protocol) {
		return document{}, errInvalid("ListenerProtocol")
	}
	if s.listenersForbidden.Load() || caller != nil && !caller.allowsListeners(ids) {
		return document{}, errForbidden
	}
	rows := s.listenerRows(req.params["RegionId"], ids, req.params["ListenerProtocol"])
	response := listenersResponse{RequestID: requestID, TotalCount: len(rows), MaxResults: wanted.results}
	response.Listeners, response.NextToken = cutPage(wanted, rows, listenerRow.position)
	return encode(http.StatusOK, req.wantsJSON(), response), nil
}

func (s *Server) listenerRows(region string, ids []string, protocol string) []listenerRow {
	rows := []listenerRow{}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		lb, known := s.fleet.get(id)
		if !known || lb.RegionID != region {
			continue
		}
		for _, l := range lb.Listeners {
			if protocol == "" || protocol == l.ListenerProtocol {
				rows = append(rows, newListenerRow(id, l))
			}
		}
	}
	return rows
}

func (req *request) loadBalancerIDs() []string { return req.repeated("LoadBalancerId", maxIDs) }

// position orders listeners over all load balancers.
func (r listenerRow) position() string {
	return fmt.Sprintf("%s/%05d/%s", r.LoadBalancerID, r.ListenerPort, r.ListenerProtocol)
}
