// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"bytes"
	"encoding/json"

	sdkslb "github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
)

// answerError says what is wrong with an answer that arrived: "the endpoint
// answered with ...".
type answerError struct{ what string }

func (e *answerError) Error() string { return e.what }

// readAnswer turns the SDK's response into a Sample. The SDK takes many wrong
// answers for a load balancer without backends, so what the API always sends
// is demanded: a RequestId, the list of backends, and for each its ServerId
// and ServerHealthStatus.
func readAnswer(response *sdkslb.DescribeHealthStatusResponse, request Request) (*Sample, error) {
	if err := verifyDocument(response.GetHttpContentBytes()); err != nil {
		return nil, err
	}
	requestID := cleanRequestID(response.RequestId, request.Credentials)
	if requestID == "" {
		return nil, &answerError{"a document without a RequestId"}
	}
	rows := response.BackendServers.BackendServer
	sample := &Sample{
		RequestID: requestID,
		Scope:     request.Scope,
		Backends:  make([]Backend, len(rows)),
	}
	for i := range rows {
		row := &rows[i]
		serverID, status := cleanField(row.ServerId), cleanField(row.ServerHealthStatus)
		if serverID == "" || status == "" {
			return nil, &answerError{"a backend without ServerId or ServerHealthStatus"}
		}
		listenerPort, port := row.ListenerPort, row.Port
		if !isPort(listenerPort) || !isPort(port) {
			return nil, &answerError{"a backend whose ListenerPort or Port is not a port"}
		}
		if listenerPort == 0 {
			// The answer is about this port alone, whether or not it says so.
			listenerPort = int(request.Scope.ListenerPort)
		}
		sample.Backends[i] = Backend{
			ServerID:           serverID,
			ServerIP:           cleanField(row.ServerIp),
			EniHost:            cleanField(row.EniHost),
			Type:               cleanField(row.Type),
			ListenerPort:       int32(listenerPort),
			ListenerProtocol:   cleanField(row.Protocol),
			Port:               int32(port),
			ServerHealthStatus: status,
		}
	}
	return sample, nil
}

func isPort(n int) bool { return n >= 0 && n <= 65535 }

// verifyDocument demands the shape that the SDK does not check. Keys count in
// the API's own case only: the SDK ignores others, which would read as an empty list.
func verifyDocument(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return &answerError{"an empty body"}
	}
	var document map[string]json.RawMessage
	if err := json.Unmarshal(body, &document); err != nil || document == nil {
		return &answerError{"something that is not a JSON object"}
	}
	if _, isError := document["Code"]; isError {
		return &answerError{"an error document under a status of success"}
	}
	var servers map[string]json.RawMessage
	if err := json.Unmarshal(document["BackendServers"], &servers); err != nil {
		return &answerError{"a document without BackendServers"}
	}
	if list := bytes.TrimSpace(servers["BackendServer"]); len(list) == 0 || list[0] != '[' {
		return &answerError{"a document without the list BackendServers.BackendServer"}
	}
	return nil
}
