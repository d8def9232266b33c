// SPDX-License-Identifier: Apache-2.0

package servergroup

import (
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Response is what all responses have beside their list. The SDK decodes them. They
// have fewer fields than the SDK's own, and pointers where a field that is missing
// differs from one that is false or 0.
type Response struct {
	*responses.BaseResponse
	RequestID  string  `json:"RequestId"`
	NextToken  string  `json:"NextToken"`
	TotalCount *int    `json:"TotalCount"`
	Code       *string `json:"Code"`
	Success    *bool   `json:"Success"`

	// successCode is set for a product whose responses may have a Code beside Success.
	successCode bool
}

// NewResponse returns an empty response. successCode is set for a product whose
// responses may have a Code beside "Success": true.
func NewResponse(successCode bool) Response {
	return Response{BaseResponse: &responses.BaseResponse{}, successCode: successCode}
}

// ReadPage verifies a response with a list, and returns its page with the items
// that read returns.
func ReadPage[T any](response *Response, list string, verifier *alicloud.Verifier, read func(*Reader) []T) (Page[T], error) {
	path := alicloud.ListPath{Outer: list, SuccessCode: response.successCode}
	if err := alicloud.VerifyDocument(response.GetHttpContentBytes(), path); err != nil {
		return Page[T]{}, err
	}
	requestID, err := verifier.RequestID(response.RequestID)
	if err != nil {
		return Page[T]{}, err
	}
	reader := &Reader{verifier: verifier}
	reader.Text(response.NextToken, "a NextToken")
	page := Page[T]{Items: read(reader), Total: reader.Count(response.TotalCount, "a list"), Next: response.NextToken, RequestID: requestID}
	return page, reader.err
}

// MembersResponse is the response of ActionMembers.
type MembersResponse struct {
	Response
	Servers []member `json:"Servers"`
}

type member struct {
	ServerGroupID string `json:"ServerGroupId"`
	ServerID      string `json:"ServerId"`
	ServerIP      string `json:"ServerIp"`
	ServerType    string `json:"ServerType"`
	Port          int    `json:"Port"`
	Weight        *int   `json:"Weight"`
	Status        string `json:"Status"`
}

// Read reads the response, which must be about the server group.
func (r *MembersResponse) Read(verifier *alicloud.Verifier, groupID string) (Page[Member], error) {
	return ReadPage(&r.Response, "Servers", verifier, func(reader *Reader) []Member {
		read := make([]Member, len(r.Servers))
		for i := range r.Servers {
			reader.About(r.Servers[i].ServerGroupID, groupID, "server group")
			read[i] = reader.member(&r.Servers[i])
		}
		return read
	})
}

func (r *Reader) member(m *member) Member {
	read := Member{
		ServerID: r.Text(m.ServerID, ofServer), ServerIP: r.Text(m.ServerIP, ofServer), Type: r.Word(m.ServerType, ofServer),
		Port: r.Port(m.Port, ofServer), Unused: m.Weight != nil && *m.Weight == 0, Status: r.Word(m.Status, ofServer),
	}
	if read.ServerID == "" && read.ServerIP == "" {
		r.Refuse("a member of a server group without ServerId and ServerIp")
	}
	return read
}

// LoadBalancerResponse is the response of ActionLoadBalancer.
type LoadBalancerResponse struct {
	Response
	LoadBalancerID string `json:"LoadBalancerId"`
}

// Read demands that the response is about a load balancer.
func (r *LoadBalancerResponse) Read(verifier *alicloud.Verifier, id string) (Page[struct{}], error) {
	requestID, err := verifier.RequestID(r.RequestID)
	succeeded := r.successCode && r.Success != nil && *r.Success
	failed := r.successCode && r.Success != nil && !*r.Success
	switch {
	case err != nil:
		return Page[struct{}]{}, err
	case failed || r.Code != nil && !succeeded:
		return Page[struct{}]{}, &alicloud.ResponseError{What: "an error document under a status of success"}
	case r.LoadBalancerID != id:
		return Page[struct{}]{}, &alicloud.ResponseError{What: "a document about another load balancer, or none"}
	default:
		return Page[struct{}]{RequestID: requestID}, nil
	}
}
