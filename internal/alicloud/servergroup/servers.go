// SPDX-License-Identifier: Apache-2.0

package servergroup

import (
	"encoding/json"
	"strconv"

	jsoniter "github.com/json-iterator/go"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// NonNormalServers is the list of that name of a health response. The zero value
// is that of a response without the key, which says nothing of any server.
type NonNormalServers struct {
	listed bool
	items  []nonNormalServer
}

type nonNormalServer struct {
	ServerID string `json:"ServerId"`
	ServerIP string `json:"ServerIp"`
	// Port may be in quotes.
	Port   json.Number `json:"Port"`
	Status string      `json:"Status"`
	Reason struct {
		ReasonCode string `json:"ReasonCode"`
		// ActualResponse and ExpectedResponse are of ALB alone.
		ActualResponse   string `json:"ActualResponse"`
		ExpectedResponse string `json:"ExpectedResponse"`
	} `json:"Reason"`
}

// caseSensitive matches keys as the SDK does.
var caseSensitive = jsoniter.Config{CaseSensitive: true}.Froze()

// UnmarshalJSON implements json.Unmarshaler: null is an empty list.
func (n *NonNormalServers) UnmarshalJSON(list []byte) error {
	*n = NonNormalServers{listed: true}
	return caseSensitive.Unmarshal(list, &n.items)
}

// GroupHealth completes what a health response says of a server group.
func (r *Reader) GroupHealth(health GroupHealth, servers *NonNormalServers) GroupHealth {
	health.Listed = servers.listed
	for i := range servers.items {
		health.Servers = append(health.Servers, r.serverHealth(&servers.items[i]))
	}
	return health
}

// serverHealth reads a server that is not normal. One that cannot be identified
// makes the response an error, because the server would count as normal.
func (r *Reader) serverHealth(s *nonNormalServer) ServerHealth {
	server := ServerHealth{
		ServerID: r.Text(s.ServerID, ofServer), ServerIP: r.Text(s.ServerIP, ofServer), Port: r.portOf(s.Port),
		Status: r.Text(s.Status, ofServer), Reason: r.reason(s),
	}
	if server.ServerID == "" && server.ServerIP == "" {
		r.Refuse("a server that is not normal, without ServerId and ServerIp")
	}
	return server
}

func (r *Reader) portOf(number json.Number) int32 {
	if number == "" {
		return 0
	}
	port, err := strconv.Atoi(number.String())
	if err != nil {
		port = -1
	}
	return r.Port(port, ofServer)
}

// reason is the code of a failed check, and for a response that did not match
// what the check got and expected.
func (r *Reader) reason(s *nonNormalServer) string {
	code, actual, expected := r.Text(s.Reason.ReasonCode, ofServer), r.Text(s.Reason.ActualResponse, ofServer), r.Text(s.Reason.ExpectedResponse, ofServer)
	switch {
	case code == "" || actual == "" && expected == "":
		return code
	case expected == "":
		code += ": " + actual
	case actual == "":
		code += ": expected " + expected
	default:
		code += ": " + actual + ", expected " + expected
	}
	return alicloud.CleanField(code)
}
