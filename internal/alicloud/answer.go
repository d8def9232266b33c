// SPDX-License-Identifier: Apache-2.0

package alicloud

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

// readAnswer turns the SDK's response into an Observation. The SDK takes many wrong
// answers for a load balancer without backends, so what the API always sends
// is demanded: a RequestId, and the list of backends. A row that is odd costs
// its own place only; an answer of which no row can be read is none.
func readAnswer(response *sdkslb.DescribeHealthStatusResponse, request Request) (*Observation, error) {
	if err := verifyDocument(response.GetHttpContentBytes(), pathOfBackends); err != nil {
		return nil, err
	}
	requestID := cleanRequestID(response.RequestId, request.Credentials)
	if requestID == "" {
		return nil, &answerError{"a document without a RequestId"}
	}
	rows := response.BackendServers.BackendServer
	if err := verifyFields(fieldsOf(rows), request.Credentials, "a backend"); err != nil {
		return nil, err
	}
	sample := &Observation{RequestID: requestID, Scope: request.Scope, Backends: make([]Backend, len(rows))}
	odd := ""
	for i := range rows {
		var what string
		if sample.Backends[i], what = readRow(&rows[i], request.Scope); what != "" {
			odd = what
			sample.OddRows++
		}
	}
	switch {
	case len(rows) > 0 && sample.OddRows == len(rows):
		return nil, &answerError{"no backend that can be read, but " + odd}
	case countListeners(sample.Backends) > maxListeners:
		return nil, &answerError{fmt.Sprintf("more than %d listeners", maxListeners)}
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

// verifyFields refuses what must not go into a status: fields of any length,
// which are not looked into, and the keys and the signature of the request, or,
// in a field that is longer than any of the API's, a piece of them: it will be cut.
// Most fields are shorter than any key, and cost next to nothing.
func verifyFields(fields iter.Seq[string], credentials Credentials, of string) error {
	keys := slices.DeleteFunc(keysOf(credentials), func(key string) bool {
		return len(key) < echoLength // no real key, and may be a word
	})
	spelled := allSpellings(keys)
	var all pieces
	for field := range fields {
		repeats := false
		switch {
		case len(field) > maxRaw:
			return &answerError{fmt.Sprintf("%s with a field of more than %d KiB", of, maxRaw>>10)}
		case len(field) > maxWord:
			if all == nil {
				all = piecesOf(keys)
			}
			repeats = all.standIn(field)
		case len(field) >= echoLength:
			repeats = slices.ContainsFunc(spelled, func(key string) bool { return strings.Contains(field, key) })
		}
		if repeats {
			return &answerError{of + " that repeats the credentials of the request"}
		}
	}
	return nil
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

// statusUnknown is how the API calls the health of a backend that it does not know.
const statusUnknown = "unavailable"

// readRow reads a row, and says what is odd about it, if anything. An odd row
// stays a row, for a backend that left the list would read as removed. But its
// health is unknown, whatever it says, and what cannot be read stays absent.
func readRow(row *sdkslb.BackendServer, scope Scope) (b Backend, odd string) {
	b = Backend{
		ServerID:           cleanField(row.ServerId),
		ServerIP:           cleanField(row.ServerIp),
		EniHost:            cleanField(row.EniHost),
		Type:               cleanField(row.Type),
		ListenerPort:       portOf(row.ListenerPort),
		ListenerProtocol:   lowerField(row.Protocol),
		Port:               portOf(row.Port),
		ServerHealthStatus: cleanField(row.ServerHealthStatus),
	}
	switch {
	case b.ServerID == "" || b.ServerHealthStatus == "":
		odd = "a backend without ServerId or ServerHealthStatus"
	case !isPort(row.ListenerPort) || !isPort(row.Port):
		odd = "a backend whose ListenerPort or Port is not a port"
	}
	if odd != "" {
		b.ServerHealthStatus = statusUnknown
	}
	if b.ListenerPort == 0 {
		// The answer is about this port alone, whether or not it says so.
		b.ListenerPort = scope.ListenerPort
	}
	return b, odd
}

// portOf is 0 for what is not a port.
func portOf(n int) int32 {
	if !isPort(n) {
		return 0
	}
	return int32(n)
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
