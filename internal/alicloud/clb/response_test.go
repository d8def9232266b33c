// SPDX-License-Identifier: Apache-2.0

package clb

import (
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

func rows(rows ...string) string {
	return `{"RequestId":"365F4154-92F6-4AE4-92F8-7FF34B540710","BackendServers":{"BackendServer":[` + strings.Join(rows, ",") + `]}}`
}

// listeners is a response with one backend behind n listeners.
func listeners(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`{"ServerId":"i-1","ServerHealthStatus":"normal","ListenerPort":%d}`, i+1)
	}
	return rows(all...)
}

func TestReferenceExample(t *testing.T) {
	example, err := os.ReadFile("testdata/describe-health-status.json")
	if err != nil {
		t.Fatal(err)
	}
	observation, err := read(t, string(example), alicloud.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	want := []alicloud.Backend{{ServerID: "i-bp1do02x7n4nua4k72um", ServerHealthStatus: "abnormal", Port: 80, ListenerPort: 443}}
	if observation.RequestID != "196EC328-B566-4226-B435-8697723205EF" || !reflect.DeepEqual(observation.Backends, want) {
		t.Errorf("got %+v", observation)
	}
}

func TestRowFields(t *testing.T) {
	for name, test := range map[string]struct {
		row   string
		scope alicloud.Scope
		want  alicloud.Backend
	}{
		"every field": {
			`{"ServerId":"eni-1","ServerIp":"10.0.0.1","EniHost":"10.0.0.9","Type":"eni","ListenerPort":443,"Protocol":"https","Port":8443,"ServerHealthStatus":"normal"}`, alicloud.Scope{},
			alicloud.Backend{ServerID: "eni-1", ServerIP: "10.0.0.1", EniHost: "10.0.0.9", Type: "eni", ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: "normal"},
		},
		"a protocol in capitals": {`{"ServerId":"i-1","Protocol":"HTTPS","ServerHealthStatus":"normal"}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ListenerProtocol: "https", ServerHealthStatus: "normal"}},
		"the least":              {`{"ServerId":"i-1","ServerHealthStatus":"unavailable"}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ServerHealthStatus: "unavailable"}},
		"unknown fields":         {`{"ServerId":"i-1","ServerHealthStatus":"normal","Zone":"a","Tags":{"Tag":[1,{}]},"Weight":100,"Description":null}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ServerHealthStatus: "normal"}},
		"an unknown status":      {`{"ServerId":"i-1","ServerHealthStatus":"draining"}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ServerHealthStatus: "draining"}},
		"numbers in quotes":      {`{"ServerId":"i-1","ServerHealthStatus":"normal","Port":"80","ListenerPort":"443"}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ServerHealthStatus: "normal", Port: 80, ListenerPort: 443}},
		"empty numbers":          {`{"ServerId":"i-1","ServerHealthStatus":"normal","Port":"","ListenerPort":null}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ServerHealthStatus: "normal"}},
		"a number as id":         {`{"ServerId":42,"ServerHealthStatus":"normal"}`, alicloud.Scope{}, alicloud.Backend{ServerID: "42", ServerHealthStatus: "normal"}},
		"the last ports":         {`{"ServerId":"i-1","ServerHealthStatus":"normal","Port":65535,"ListenerPort":65535}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ServerHealthStatus: "normal", Port: 65535, ListenerPort: 65535}},
		"no port, scope of one":  {`{"ServerId":"i-1","ServerHealthStatus":"normal","Port":80}`, alicloud.Scope{ListenerPort: 443}, alicloud.Backend{ServerID: "i-1", ServerHealthStatus: "normal", Port: 80, ListenerPort: 443}},
		"a port out of scope":    {`{"ServerId":"i-1","ServerHealthStatus":"normal","ListenerPort":80}`, alicloud.Scope{ListenerPort: 443}, alicloud.Backend{ServerID: "i-1", ServerHealthStatus: "normal", ListenerPort: 80}},
		"a key in another case":  {`{"ServerId":"i-1","ServerHealthStatus":"normal","serverip":"10.0.0.1"}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ServerHealthStatus: "normal"}},
	} {
		t.Run(name, func(t *testing.T) {
			observation, err := read(t, rows(test.row), test.scope)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(observation.Backends, []alicloud.Backend{test.want}) {
				t.Errorf("got %+v, want %+v", observation.Backends, test.want)
			}
		})
	}
}

func TestLoadBalancerWithoutBackends(t *testing.T) {
	for name, document := range map[string]string{
		"plain":            alicloudtest.NoRows,
		"with more":        `{"RequestId":"1","BackendServers":{"BackendServer":[],"Total":0},"Extra":{"Code":"x"}}`,
		"with white space": " \r\n" + alicloudtest.NoRows + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			observation, err := read(t, document, alicloud.Scope{})
			if err != nil || observation == nil || len(observation.Backends) != 0 {
				t.Errorf("got (%+v, %v)", observation, err)
			}
		})
	}
}

func TestTenThousandRows(t *testing.T) {
	const count = 10_000
	many := make([]string, count)
	for i := range many {
		many[i] = fmt.Sprintf(`{"ServerId":"i-bp1do02x7n4nua4%05d","ServerIp":"10.%d.%d.%d","EniHost":"","Type":"ecs","ListenerPort":%d,"Protocol":"https","Port":8443,"ServerHealthStatus":"normal","VpcId":"vpc-bp1qjwo61pqz3ahltv0mw","Weight":"100","Description":""}`,
			i, i>>16, i>>8&255, i&255, 1+i/200)
	}
	observation, err := read(t, rows(many...), alicloud.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	if len(observation.Backends) != count {
		t.Fatalf("%d rows", len(observation.Backends))
	}
	for i, backend := range observation.Backends {
		if want := fmt.Sprintf("i-bp1do02x7n4nua4%05d", i); backend.ServerID != want || backend.ListenerPort != int32(1+i/200) {
			t.Fatalf("row %d is %+v", i, backend)
		}
	}
}

func TestMostListenersOfAnObservation(t *testing.T) {
	observation, err := read(t, listeners(maxListeners), alicloud.Scope{})
	if err != nil || len(observation.Backends) != maxListeners {
		t.Errorf("got %v", err)
	}
}

func TestInvalidResponseIsNotALoadBalancerWithoutBackends(t *testing.T) {
	const id = `"RequestId":"365F4154-92F6-4AE4-92F8-7FF34B540710"`
	for name, test := range map[string]struct{ document, says string }{
		"an empty object":              {`{}`, "without BackendServers"},
		"null":                         {`null`, "not a JSON object"},
		"a list":                       {`[]`, ""},
		"a number":                     {`42`, ""},
		"text":                         {`"OK"`, ""},
		"no RequestId":                 {`{"BackendServers":{"BackendServer":[]}}`, "without a RequestId"},
		"an empty RequestId":           {`{"RequestId":"","BackendServers":{"BackendServer":[]}}`, "without a RequestId"},
		"a RequestId of spaces":        {`{"RequestId":" \t\u0000 ","BackendServers":{"BackendServer":[]}}`, "without a RequestId"},
		"a RequestId of null":          {`{"RequestId":null,"BackendServers":{"BackendServer":[]}}`, "without a RequestId"},
		"no BackendServers":            {`{` + id + `}`, "without BackendServers"},
		"BackendServers null":          {`{` + id + `,"BackendServers":null}`, "without exactly one list"},
		"BackendServers empty":         {`{` + id + `,"BackendServers":{}}`, "without exactly one list"},
		"BackendServers a list":        {`{` + id + `,"BackendServers":[]}`, ""},
		"BackendServers text":          {`{` + id + `,"BackendServers":""}`, ""},
		"the list null":                {`{` + id + `,"BackendServers":{"BackendServer":null}}`, "without exactly one list"},
		"the list an object":           {`{` + id + `,"BackendServers":{"BackendServer":{"ServerId":"i-1","ServerHealthStatus":"normal"}}}`, ""},
		"the list text":                {`{` + id + `,"BackendServers":{"BackendServer":""}}`, ""},
		"a second list, empty":         {`{` + id + `,"BackendServers":{"BackendServer":[{"ServerId":"i-1","ServerHealthStatus":"normal"}],"BackendServer":[]}}`, "without exactly one list"},
		"a second BackendServers":      {`{` + id + `,"BackendServers":{"BackendServer":[{"ServerId":"i-1","ServerHealthStatus":"normal"}]},"BackendServers":{"BackendServer":[]}}`, "without exactly one list"},
		"keys in another case":         {strings.ToLower(alicloudtest.NoRows), ""},
		"BackendServers in lower case": {`{` + id + `,"backendServers":{"BackendServer":[]}}`, "without BackendServers"},
		"the list in another case":     {`{` + id + `,"BackendServers":{"backendServer":[]}}`, "without exactly one list"},
		"RequestId in another case":    {strings.Replace(alicloudtest.NoRows, "RequestId", "RequestID", 1), "without a RequestId"},
		"an error document":            {alicloudtest.ErrorDocument("Forbidden.RAM", "no"), "an error document"},
		"an error with a list":         {`{"Code":"Throttling",` + id + `,"BackendServers":{"BackendServer":[]}}`, "an error document"},
		"a row of null":                {rows(`null`), "without ServerId"},
		"a row without ServerId":       {rows(`{"ServerHealthStatus":"normal"}`), "without ServerId"},
		"a row without status":         {rows(`{"ServerId":"i-1"}`), "or ServerHealthStatus"},
		"a ServerId of spaces":         {rows(`{"ServerId":" \n\u0007","ServerHealthStatus":"normal"}`), "without ServerId"},
		"a status of spaces":           {rows(`{"ServerId":"i-1","ServerHealthStatus":"\u001b"}`), "or ServerHealthStatus"},
		"a row in another case":        {rows(`{"serverId":"i-1","serverHealthStatus":"normal"}`), "without ServerId"},
		"every row is bad":             {rows(`{"ServerId":"i-1","ServerHealthStatus":"normal","Port":-1}`, `{}`), "without ServerId"},
		"a row of text":                {rows(`"i-1"`), "without ServerId"},
		"a negative port":              {rows(`{"ServerId":"i-1","ServerHealthStatus":"normal","Port":-1}`), "not a port"},
		"a port beyond":                {rows(`{"ServerId":"i-1","ServerHealthStatus":"normal","Port":65536}`), "not a port"},
		"a negative listener":          {rows(`{"ServerId":"i-1","ServerHealthStatus":"normal","ListenerPort":-443}`), "not a port"},
		"a listener beyond":            {rows(`{"ServerId":"i-1","ServerHealthStatus":"normal","ListenerPort":4294967376}`), "not a port"},
		"a port beyond any number":     {rows(`{"ServerId":"i-1","ServerHealthStatus":"normal","Port":99999999999999999999}`), "not a port"},
		"a port in words":              {rows(`{"ServerId":"i-1","ServerHealthStatus":"normal","Port":"http"}`), "not a port"},
		"a list as port":               {rows(`{"ServerId":"i-1","ServerHealthStatus":"normal","Port":[80]}`), "not a port"},
		"a key as server":              {rows(`{"ServerId":"` + alicloudtest.KeyID + `","ServerHealthStatus":"normal"}`), "repeats the credentials"},
		"a token in an address":        {rows(`{"ServerId":"i-1","ServerHealthStatus":"normal","ServerIp":"x` + alicloudtest.Token + `"}`), "repeats the credentials"},
		"a token escaped":              {rows(`{"ServerId":"i-1","ServerHealthStatus":"normal","Type":"` + url.QueryEscape(alicloudtest.Token) + `"}`), "repeats the credentials"},
		"a listener too many":          {listeners(maxListeners + 1), "more than 1000 listeners"},
	} {
		t.Run(name, func(t *testing.T) {
			observation, err := read(t, test.document, alicloud.Scope{})
			failed := failure(t, err)
			if observation != nil {
				t.Errorf("a failed call returned the observation %+v", observation)
			}
			if failed.Kind != alicloud.InvalidResponse || !strings.Contains(failed.Message, "HTTP 200 with ") || !strings.Contains(failed.Message, test.says) {
				t.Errorf("got %v, want %q", failed, test.says)
			}
		})
	}
}

// A row that cannot be read must cost neither the other rows nor itself: a
// backend that is not listed reads as removed.
func TestOddRowAffectsNoOtherRow(t *testing.T) {
	good := alicloud.Backend{ServerID: "i-9", ServerIP: "10.0.0.9", ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: "normal"}
	const goodRow = `{"ServerId":"i-9","ServerIp":"10.0.0.9","ListenerPort":443,"Protocol":"https","Port":8443,"ServerHealthStatus":"normal"}`
	for name, test := range map[string]struct {
		row   string
		scope alicloud.Scope
		want  alicloud.Backend
	}{
		"a port of -520":        {`{"ServerId":"i-1","ServerIp":"10.0.0.1","ListenerPort":443,"Protocol":"https","Port":-520,"ServerHealthStatus":"normal"}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ServerIP: "10.0.0.1", ListenerPort: 443, ListenerProtocol: "https", ServerHealthStatus: "unavailable"}},
		"a port too high":       {`{"ServerId":"i-1","Port":65536,"ServerHealthStatus":"abnormal"}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ServerHealthStatus: "unavailable"}},
		"a listener too high":   {`{"ServerId":"i-1","ListenerPort":4294967739,"Protocol":"https","Port":80,"ServerHealthStatus":"normal"}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ListenerProtocol: "https", Port: 80, ServerHealthStatus: "unavailable"}},
		"scope of one port":     {`{"ServerId":"i-1","ListenerPort":-1,"ServerHealthStatus":"normal"}`, alicloud.Scope{ListenerPort: 443}, alicloud.Backend{ServerID: "i-1", ListenerPort: 443, ServerHealthStatus: "unavailable"}},
		"no status":             {`{"ServerId":"i-1","ListenerPort":443,"Port":80}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ListenerPort: 443, Port: 80, ServerHealthStatus: "unavailable"}},
		"a status of nothing":   {`{"ServerId":"i-1","ServerHealthStatus":"\u001b"}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ServerHealthStatus: "unavailable"}},
		"a list as status":      {`{"ServerId":"i-1","ListenerPort":443,"ServerHealthStatus":["normal"]}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ListenerPort: 443, ServerHealthStatus: "unavailable"}},
		"an address alone":      {`{"ServerIp":"10.0.0.1","ListenerPort":443,"ServerHealthStatus":"normal"}`, alicloud.Scope{}, alicloud.Backend{ServerIP: "10.0.0.1", ListenerPort: 443, ServerHealthStatus: "unavailable"}},
		"nothing that names it": {`{"ListenerPort":443,"Protocol":"https","ServerHealthStatus":"abnormal"}`, alicloud.Scope{}, alicloud.Backend{ListenerPort: 443, ListenerProtocol: "https", ServerHealthStatus: "unavailable"}},
		"null":                  {`null`, alicloud.Scope{}, alicloud.Backend{ServerHealthStatus: "unavailable"}},
		"an empty object":       {`{}`, alicloud.Scope{}, alicloud.Backend{ServerHealthStatus: "unavailable"}},
		"text":                  {`"i-1"`, alicloud.Scope{}, alicloud.Backend{ServerHealthStatus: "unavailable"}},
		"a port in words":       {`{"ServerId":"i-1","ServerIp":"10.0.0.1","EniHost":"10.0.0.2","Type":"eni","Protocol":"tcp","ListenerPort":"443","Port":"http","ServerHealthStatus":"normal"}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ServerIP: "10.0.0.1", EniHost: "10.0.0.2", Type: "eni", ListenerProtocol: "tcp", ListenerPort: 443, ServerHealthStatus: "unavailable"}},
		"beyond any number":     {`{"ServerId":42,"ListenerPort":99999999999999999999,"Port":true,"ServerHealthStatus":"normal"}`, alicloud.Scope{}, alicloud.Backend{ServerID: "42", ServerHealthStatus: "unavailable"}},
		"an object as port":     {`{"ServerId":"i-1","ListenerPort":null,"Port":{"a":1},"serverIp":"10.0.0.1","ServerHealthStatus":"normal"}`, alicloud.Scope{}, alicloud.Backend{ServerID: "i-1", ServerHealthStatus: "unavailable"}},
	} {
		t.Run(name, func(t *testing.T) {
			observation, err := read(t, rows(goodRow, test.row, goodRow), test.scope)
			if err != nil {
				t.Fatal(err)
			}
			if observation.OddRows != 1 || !reflect.DeepEqual(observation.Backends, []alicloud.Backend{good, test.want, good}) {
				t.Errorf("got %d odd in %+v, want %+v", observation.OddRows, observation.Backends, test.want)
			}
		})
	}
}

func TestRequestIDAfterAnOddRow(t *testing.T) {
	const row = `{"ServerId":"i-1","ServerHealthStatus":"normal"},{"ServerId":"i-2","Port":"http","ServerHealthStatus":"normal"}`
	observation, err := read(t, `{"BackendServers":{"BackendServer":[`+row+`]},"RequestId":"42"}`, alicloud.Scope{})
	if err != nil || observation.RequestID != "42" || observation.OddRows != 1 {
		t.Errorf("got %+v, %v", observation, err)
	}
}

func TestOddRowDoesNotMakeAnInvalidResponseValid(t *testing.T) {
	const row = `{"ServerId":"i-1","ServerHealthStatus":"normal"},{"ServerId":"i-2","Port":"http","ServerHealthStatus":"normal"}`
	const list = `"BackendServers":{"BackendServer":[` + row + `]}`
	for name, test := range map[string]struct{ document, says string }{
		"no RequestId":          {`{` + list + `}`, "without a RequestId"},
		"a RequestId of a list": {`{"RequestId":["1"],` + list + `}`, "not a DescribeHealthStatus response"},
		"in another case":       {`{"requestId":"1",` + list + `}`, "without a RequestId"},
		"an error document":     {`{"RequestId":"1","Code":"Throttling",` + list + `}`, "an error document"},
		"two lists":             {`{"RequestId":"1",` + list + `,` + list + `}`, "without exactly one list"},
		"half":                  {`{"RequestId":"1",` + list, "not a DescribeHealthStatus response"},
		"two documents":         {`{"RequestId":"1",` + list + `}{}`, "not a DescribeHealthStatus response"},
		"a key":                 {`{"RequestId":"1","BackendServers":{"BackendServer":[` + row + `,{"ServerId":"` + alicloudtest.KeyID + `"}]}}`, "repeats the credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			observation, err := read(t, test.document, alicloud.Scope{})
			failed := failure(t, err)
			if observation != nil {
				t.Errorf("a failed call returned the observation %+v", observation)
			}
			if failed.Kind != alicloud.InvalidResponse || !strings.Contains(failed.Message, test.says) {
				t.Errorf("got %v, want %q", failed, test.says)
			}
		})
	}
}

func TestFieldsAreCleaned(t *testing.T) {
	long := strings.Repeat("é", 200)
	for name, test := range map[string]struct{ value, want string }{
		"escapes":       {`i-1\u001b[31m`, "i-1 [31m"},
		"lines":         {`i-1\r\n\ti-2`, "i-1 i-2"},
		"a zero":        {`i\u0000-1`, "i -1"},
		"invisible":     {`i-1\u202e\u200b`, "i-1"},
		"line breaks":   {`i\u2028-\u2029\u00851`, "i - 1"},
		"another space": {`i\u00a0-1`, "i -1"},
		"not UTF-8":     {"i-\xff\xfe1", "i- 1"},
		"a surrogate":   {`i-\ud8001`, "i-�1"},
		"too long":      {long, strings.Repeat("é", 62) + "..."},
		"letters":       {"服务器-1", "服务器-1"},
	} {
		t.Run(name, func(t *testing.T) {
			row := fmt.Sprintf(`{"ServerId":"%[1]s","ServerIp":"%[1]s","EniHost":"%[1]s","Type":"%[1]s","Protocol":"%[1]s","ServerHealthStatus":"%[1]s"}`, test.value)
			observation, err := read(t, rows(row), alicloud.Scope{})
			if err != nil {
				t.Fatal(err)
			}
			w := test.want
			want := alicloud.Backend{ServerID: w, ServerIP: w, EniHost: w, Type: w, ListenerProtocol: w, ServerHealthStatus: w}
			if observation.Backends[0] != want {
				t.Errorf("got %+q, want %+q", observation.Backends[0], want)
			}
		})
	}
}
