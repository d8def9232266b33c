// SPDX-License-Identifier: Apache-2.0

package simulator

import "encoding/xml"

// balancerResponse has the fields of both products; ALB spells the business status with a double s.
type balancerResponse struct {
	XMLName            xml.Name `json:"-" xml:"GetLoadBalancerAttributeResponse"`
	RequestID          string   `json:"RequestId" xml:"RequestId"`
	RegionID           string   `json:"RegionId" xml:"RegionId"`
	LoadBalancerID     string   `json:"LoadBalancerId" xml:"LoadBalancerId"`
	LoadBalancerName   string   `json:"LoadBalancerName" xml:"LoadBalancerName"`
	LoadBalancerStatus string   `json:"LoadBalancerStatus" xml:"LoadBalancerStatus"`
	BusinessStatus     string   `json:"LoadBalancerBusinessStatus,omitempty" xml:"LoadBalancerBusinessStatus,omitempty"`
	BussinessStatus    string   `json:"LoadBalancerBussinessStatus,omitempty" xml:"LoadBalancerBussinessStatus,omitempty"`
	AddressType        string   `json:"AddressType" xml:"AddressType"`
	DNSName            string   `json:"DNSName" xml:"DNSName"`
}

// balancer serves GetLoadBalancerAttribute, the call that refuses a load balancer that does not exist.
func (c groupCall) balancer() (any, *apiError) {
	id := c.req.params["LoadBalancerId"]
	if !c.mayRead(id) {
		return nil, c.state.errNotAllowed("loadBalancer")
	}
	lb, known := c.state.balancers.get(id)
	if !known || !c.inRegion(lb.RegionID) {
		return nil, c.state.errNotFound("loadBalancer")
	}
	response := balancerResponse{
		RequestID: c.requestID, RegionID: lb.RegionID, LoadBalancerID: id, LoadBalancerName: id, LoadBalancerStatus: "Active",
		AddressType: "Internet", DNSName: id + "." + lb.RegionID + "." + c.state.product + ".aliyuncs.com",
	}
	if c.state.product == ProductALB {
		response.BussinessStatus = "Normal"
	} else {
		response.BusinessStatus = "Normal"
	}
	return response, nil
}
