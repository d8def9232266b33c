// SPDX-License-Identifier: Apache-2.0

package textbook

import (
	"net/http"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/alb"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/nlb"
)

// Caller calls the SDK in the cheapest safe way: a new client per call with one shared
// transport. Transport must not be an *http.Transport, which the SDK modifies on every call.
type Caller struct {
	Transport   http.RoundTripper
	Host        string
	Credentials credentials.CredentialsProvider
}

// Do sends one request and decodes the response.
func (c *Caller) Do(region string, request requests.AcsRequest, response responses.AcsResponse) error {
	config := sdk.NewConfig().WithScheme("HTTPS").WithAutoRetry(false).WithMaxRetryTime(0).WithTimeout(10 * time.Second)
	config.Transport = c.Transport
	client := &sdk.Client{}
	if err := client.InitWithOptions(region, config, c.Credentials); err != nil {
		return err
	}
	client.Domain = c.Host
	return client.DoAction(request, response)
}

// groupsAPI makes the requests of a product with server groups.
type groupsAPI struct {
	listeners, health, members func(region, id, token string) requests.AcsRequest
}

// pageSize is the most items of a page, and healthPageSize those of a page of ALB's health.
var pageSize, healthPageSize = requests.NewInteger(100), requests.NewInteger(30)

var nlbAPI = groupsAPI{
	listeners: func(region, id, token string) requests.AcsRequest {
		list := nlb.CreateListListenersRequest()
		list.RegionId, list.LoadBalancerIds, list.MaxResults, list.NextToken = region, &[]string{id}, pageSize, token
		return list
	},
	health: func(region, id, token string) requests.AcsRequest {
		get := nlb.CreateGetListenerHealthStatusRequest()
		get.RegionId, get.ListenerId, get.MaxResults, get.NextToken = region, id, pageSize, token
		return get
	},
	members: func(region, id, token string) requests.AcsRequest {
		list := nlb.CreateListServerGroupServersRequest()
		list.RegionId, list.ServerGroupId, list.MaxResults, list.NextToken = region, id, pageSize, token
		return list
	},
}

var albAPI = groupsAPI{
	listeners: func(region, id, token string) requests.AcsRequest {
		list := alb.CreateListListenersRequest()
		list.RegionId, list.LoadBalancerIds, list.MaxResults, list.NextToken = region, &[]string{id}, pageSize, token
		return list
	},
	health: func(region, id, token string) requests.AcsRequest {
		get := alb.CreateGetListenerHealthStatusRequest()
		get.RegionId, get.ListenerId, get.MaxResults, get.NextToken = region, id, healthPageSize, token
		get.IncludeRule = requests.NewBoolean(true)
		return get
	},
	members: func(region, id, token string) requests.AcsRequest {
		list := alb.CreateListServerGroupServersRequest()
		list.RegionId, list.ServerGroupId, list.MaxResults, list.NextToken = region, id, pageSize, token
		return list
	},
}

// Page is what the responses of both products have beside their list.
type Page struct {
	*responses.BaseResponse
	RequestID string `json:"RequestId"`
	NextToken string `json:"NextToken"`
}

func newPage() Page { return Page{BaseResponse: &responses.BaseResponse{}} }

func (p *Page) next() string { return p.NextToken }

type listenersPage struct {
	Page
	Listeners []listener `json:"Listeners"`
}

type listener struct {
	ID       string `json:"ListenerId"`
	Port     int    `json:"ListenerPort"`
	Protocol string `json:"ListenerProtocol"`
}

type healthPage struct {
	Page
	Listeners []groupInfos `json:"ListenerHealthStatus"`
	Rules     []groupInfos `json:"RuleHealthStatus"`
}

type groupInfos struct {
	Groups []groupInfo `json:"ServerGroupInfos"`
}

// groupInfo has the servers of a group that are not normal.
type groupInfo struct {
	ID      string   `json:"ServerGroupId"`
	Servers []server `json:"NonNormalServers"`
}

type membersPage struct {
	Page
	Servers []server `json:"Servers"`
}

// server is a member of a group, or the health of one.
type server struct {
	ID     string `json:"ServerId"`
	IP     string `json:"ServerIp"`
	Type   string `json:"ServerType"`
	Port   int    `json:"Port"`
	Status string `json:"Status"`
}
