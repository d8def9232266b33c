// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	sdkslb "github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
	jsoniter "github.com/json-iterator/go"
)

// answerError says what is wrong with an answer that arrived: "the endpoint
// answered with ...".
type answerError struct{ what string }

func (e *answerError) Error() string { return e.what }

// maxListeners is far more than a load balancer has, which is 50. The status
// and the metrics of an object hold every listener, so there must be an end.
const maxListeners = 1000

// readAnswer turns the SDK's response into a Sample. The SDK takes many wrong
// answers for a load balancer without backends, so what the API always sends
// is demanded: a RequestId, the list of backends, and for each its ServerId
// and ServerHealthStatus.
func readAnswer(response *sdkslb.DescribeHealthStatusResponse, request Request) (*Sample, error) {
	if err := verifyDocument(response.GetHttpContentBytes(), pathOfBackends); err != nil {
		return nil, err
	}
	requestID := cleanRequestID(response.RequestId, request.Credentials)
	if requestID == "" {
		return nil, &answerError{"a document without a RequestId"}
	}
	rows := response.BackendServers.BackendServer
	sample := &Sample{RequestID: requestID, Scope: request.Scope, Backends: make([]Backend, len(rows))}
	for i := range rows {
		var err error
		if sample.Backends[i], err = readRow(&rows[i], request.Scope); err != nil {
			return nil, err
		}
	}
	switch {
	case countListeners(sample.Backends) > maxListeners:
		return nil, &answerError{fmt.Sprintf("more than %d listeners", maxListeners)}
	case repeatsKey(fieldsOf(rows), request.Credentials):
		return nil, &answerError{"a backend that repeats the credentials of the request"}
	}
	return sample, nil
}

// countListeners is not exact where nobody wants to know.
func countListeners(backends []Backend) int {
	if len(backends) <= maxListeners {
		return 0
	}
	listeners := map[Scope]struct{}{}
	for i := range backends {
		listeners[Scope{backends[i].ListenerPort, backends[i].ListenerProtocol}] = struct{}{}
	}
	return len(listeners)
}

// maxWord is the length of the longest field that is not worth a closer look,
// which is an IPv6 address.
const maxWord = 45

// repeatsKey finds the keys and the signature of a request in what would go
// into a status, or in a field that is longer than any of the API's, a piece of
// them: it will be cut. Most fields are shorter than any key, and cost next to nothing.
func repeatsKey(fields iter.Seq[string], credentials Credentials) bool {
	keys := slices.DeleteFunc(keysOf(credentials), func(key string) bool {
		return len(key) < echoLength // no real key, and may be a word
	})
	if len(keys) == 0 {
		return false
	}
	shortest := len(slices.MinFunc(keys, func(a, b string) int { return len(a) - len(b) }))
	spelled := allSpellings(keys)
	for field := range fields {
		if len(field) >= shortest && slices.ContainsFunc(spelled, func(key string) bool { return strings.Contains(field, key) }) ||
			len(field) > maxWord && holdsPiece(field, spelled) {
			return true
		}
	}
	return false
}

// fieldsOf are the texts of an answer that go into a status.
func fieldsOf(rows []sdkslb.BackendServer) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range rows {
			r := &rows[i]
			for _, field := range [...]string{r.ServerId, r.ServerIp, r.EniHost, r.Type, r.Protocol, r.ServerHealthStatus} {
				if !yield(field) {
					return
				}
			}
		}
	}
}

func readRow(row *sdkslb.BackendServer, scope Scope) (Backend, error) {
	serverID, status := cleanField(row.ServerId), cleanField(row.ServerHealthStatus)
	if serverID == "" || status == "" {
		return Backend{}, &answerError{"a backend without ServerId or ServerHealthStatus"}
	}
	listenerPort, port := row.ListenerPort, row.Port
	if !isPort(listenerPort) || !isPort(port) {
		return Backend{}, &answerError{"a backend whose ListenerPort or Port is not a port"}
	}
	if listenerPort == 0 {
		// The answer is about this port alone, whether or not it says so.
		listenerPort = int(scope.ListenerPort)
	}
	return Backend{
		ServerID:           serverID,
		ServerIP:           cleanField(row.ServerIp),
		EniHost:            cleanField(row.EniHost),
		Type:               cleanField(row.Type),
		ListenerPort:       int32(listenerPort),
		ListenerProtocol:   cleanField(row.Protocol),
		Port:               int32(port),
		ServerHealthStatus: status,
	}, nil
}

func isPort(n int) bool { return n >= 0 && n <= 65535 }

// listPath is where the list of an answer is: under one key, or under a key inside another.
type listPath struct{ outer, inner string }

var (
	pathOfBackends  = listPath{"BackendServers", "BackendServer"}
	pathOfListeners = listPath{outer: "Listeners"}
)

func (p listPath) String() string {
	if p.inner == "" {
		return p.outer
	}
	return p.outer + "." + p.inner
}

// verifyDocument demands the shape that the SDK does not check. Keys count in
// the API's own case only: the SDK ignores others, which would read as an empty list.
//
// It reads with the SDK's own JSON library, which skips what is of no interest
// at a tenth of the cost of encoding/json.
func verifyDocument(body []byte, path listPath) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return &answerError{"an empty body"}
	}
	document := jsoniter.ParseBytes(jsoniter.ConfigDefault, body)
	if document.WhatIsNext() != jsoniter.ObjectValue {
		return &answerError{"something that is not a JSON object"}
	}
	isError, outer, list := false, jsoniter.InvalidValue, jsoniter.InvalidValue
	document.ReadObjectCB(func(document *jsoniter.Iterator, key string) bool {
		switch key {
		case "Code":
			isError = true
		case path.outer:
			again := outer != jsoniter.InvalidValue
			outer = document.WhatIsNext()
			if !again && path.inner != "" && outer == jsoniter.ObjectValue {
				list = kindOf(document, path.inner)
				return true
			}
			list = jsoniter.InvalidValue
			if !again && path.inner == "" {
				list = outer
			}
		}
		document.Skip()
		return true
	})
	switch {
	case document.Error != nil && !errors.Is(document.Error, io.EOF):
		return &answerError{"something that is not a JSON object"}
	case isError:
		return &answerError{"an error document under a status of success"}
	case outer == jsoniter.InvalidValue:
		return &answerError{"a document without " + path.outer}
	case list != jsoniter.ArrayValue:
		return &answerError{"a document without exactly one list " + path.String()}
	default:
		return nil
	}
}

// kindOf reads an object and returns the kind of the value of one key; invalid
// where there are several, of which the SDK would take the last, be it empty.
func kindOf(object *jsoniter.Iterator, wanted string) jsoniter.ValueType {
	kind, times := jsoniter.InvalidValue, 0
	object.ReadObjectCB(func(object *jsoniter.Iterator, key string) bool {
		if key == wanted {
			kind = object.WhatIsNext()
			times++
		}
		object.Skip()
		return true
	})
	if times > 1 {
		return jsoniter.InvalidValue
	}
	return kind
}
