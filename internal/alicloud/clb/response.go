// SPDX-License-Identifier: Apache-2.0

package clb

import (
	"fmt"

	sdkslb "github.com/aliyun/alibaba-cloud-sdk-go/services/slb"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// maxListeners is far more than a load balancer has, which is 50. The status
// and the metrics of an object have every listener, so the number must be bounded.
const maxListeners = 1000

// statusUnknown is the API's word for a health that it does not know.
const statusUnknown = "unavailable"

var backendsPath = alicloud.ListPath{Outer: "BackendServers", Inner: "BackendServer"}

// rowFields pairs every field of a row of the API, by its key, with the field of
// a backend that receives it. It is the one list of the fields in this package:
// rows are read, verified and decoded again by it.
func rowFields(row *sdkslb.BackendServer, b *alicloud.Backend) (texts [6]textField, ports [2]portField) {
	return [...]textField{
			{"ServerId", &row.ServerId, &b.ServerID, alicloud.CleanField},
			{"ServerIp", &row.ServerIp, &b.ServerIP, alicloud.CleanField},
			{"EniHost", &row.EniHost, &b.EniHost, alicloud.CleanField},
			{"Type", &row.Type, &b.Type, alicloud.CleanField},
			{"Protocol", &row.Protocol, &b.ListenerProtocol, alicloud.LowerField},
			{"ServerHealthStatus", &row.ServerHealthStatus, &b.ServerHealthStatus, alicloud.CleanField},
		}, [...]portField{
			{"ListenerPort", &row.ListenerPort, &b.ListenerPort},
			{"Port", &row.Port, &b.Port},
		}
}

type textField struct {
	key   string
	from  *string
	to    *string
	clean func(string) string
}

type portField struct {
	key  string
	from *int
	to   *int32
}

// readHealth reads the SDK's response. The SDK reads many wrong documents as a
// load balancer without backends, so the response must have what the API always
// sends: a RequestId, and the list of backends. An odd row does not affect the
// other rows; a response with odd rows alone is refused.
func readHealth(response *sdkslb.DescribeHealthStatusResponse, scope alicloud.Scope, verifier *alicloud.Verifier) (*alicloud.Observation, error) {
	if err := alicloud.VerifyDocument(response.GetHttpContentBytes(), backendsPath); err != nil {
		return nil, err
	}
	requestID, err := verifier.RequestID(response.RequestId)
	if err != nil {
		return nil, err
	}
	rows := response.BackendServers.BackendServer
	observation := &alicloud.Observation{RequestID: requestID, Scope: scope, Backends: make([]alicloud.Backend, len(rows))}
	lastOdd := ""
	for i := range rows {
		odd, err := readRow(&rows[i], &observation.Backends[i], scope, verifier)
		if err != nil {
			return nil, err
		}
		if odd != "" {
			lastOdd = odd
			observation.OddRows++
		}
	}
	switch {
	case len(rows) > 0 && observation.OddRows == len(rows):
		return nil, &alicloud.ResponseError{What: "no backend that can be read, but " + lastOdd}
	case countListeners(observation.Backends) > maxListeners:
		return nil, &alicloud.ResponseError{What: fmt.Sprintf("more than %d listeners", maxListeners)}
	}
	return observation, nil
}

// readRow reads a row into a backend, and says what is odd about it, if
// anything. An odd row stays a row, because a backend that is not listed counts
// as removed. Its health is unknown, whatever the API says, and what cannot be
// read stays empty.
func readRow(row *sdkslb.BackendServer, b *alicloud.Backend, scope alicloud.Scope, verifier *alicloud.Verifier) (odd string, err error) {
	texts, ports := rowFields(row, b)
	for i := range texts {
		field := &texts[i]
		if err := verifier.Field(*field.from, "a backend"); err != nil {
			return "", err
		}
		*field.to = field.clean(*field.from)
	}
	if b.ServerID == "" || b.ServerHealthStatus == "" {
		odd = "a backend without ServerId or ServerHealthStatus"
	}
	for i := range ports {
		switch field := &ports[i]; {
		case isPort(*field.from):
			*field.to = int32(*field.from)
		case odd == "":
			odd = "a backend whose ListenerPort or Port is not a port"
		}
	}
	if odd != "" {
		b.ServerHealthStatus = statusUnknown
	}
	if b.ListenerPort == 0 {
		// The response is about this port alone, whether or not it says so.
		b.ListenerPort = scope.ListenerPort
	}
	return odd, nil
}

func isPort(n int) bool { return n >= 0 && n <= 65535 }

// countListeners counts the listeners; 0 where they cannot be too many.
func countListeners(backends []alicloud.Backend) int {
	if len(backends) <= maxListeners {
		return 0
	}
	listeners := map[alicloud.Scope]struct{}{}
	for i := range backends {
		listeners[alicloud.Scope{ListenerPort: backends[i].ListenerPort, ListenerProtocol: backends[i].ListenerProtocol}] = struct{}{}
	}
	return len(listeners)
}
