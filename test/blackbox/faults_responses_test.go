// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

const (
	retryAfter   = 8 * time.Second // longer than the interval
	checkHost    = "; check that --slb-endpoint and proxies lead to the SLB API"
	checkNetwork = "; check --slb-endpoint, DNS, proxy and firewall"
	notOfTheAPI  = "HOST returned HTTP 200 with a document that is not a DescribeHealthStatus response" + checkHost
	slowsDown    = "; the operator slows down by itself; if this lasts, raise spec.interval or lower --slb-qps"
)

// responseFaultCases are faults of single responses.
var responseFaultCases = []faultCase{
	{
		"slb-resets-connections", "EndpointUnreachable", "HOST: it closed the connection without a response" + checkNetwork,
		respondsWith(fakeResponse{write: resetConnection}),
	},
	{"slb-hangs", "EndpointUnreachable", "HOST: no response within TIMEOUT" + checkNetwork, meetsHangs},
	{"slb-responds-too-late", "EndpointUnreachable", "HOST: no response within TIMEOUT" + checkNetwork, meetsLateResponses},
	{"slb-responds-just-in-time", "", "", meetsSlowResponses},
	{
		"slb-fails", "ServiceError",
		"InternalError: The request processing has failed due to some unknown error; the SLB API of REGION failed on its side: the operator retries",
		respondsWith(refusal(http.StatusInternalServerError, "InternalError", "The request processing has failed due to some unknown error.")),
	},
	{
		"slb-requests-a-later-retry", "Throttled",
		"ServiceUnavailable: The request has failed due to a temporary failure of the server" + slowsDown, meetsRetryAfter,
	},
	{
		"slb-throttles", "Throttled", "Throttling.User: Request was denied due to user flow control" + slowsDown,
		respondsWith(refusal(http.StatusBadRequest, "Throttling.User", "Request was denied due to user flow control.")),
	},
	{
		"slb-reports-a-wrong-clock", "ServiceError",
		"InvalidTimeStamp.Expired: Specified time stamp or date value is expired; check that the clock of the operator's node is right",
		respondsWith(refusal(http.StatusBadRequest, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")),
	},
	{"response-is-truncated", "InvalidResponse", "HOST returned HTTP 200 with a document that ends too early" + checkHost, respondsLike("truncated")},
	{"response-is-half", "InvalidResponse", notOfTheAPI, respondsLike("half")},
	{"response-is-html", "InvalidResponse", notOfTheAPI, respondsLike("html")},
	{"response-is-empty", "InvalidResponse", "HOST returned HTTP 200 with an empty body" + checkHost, respondsLike("empty")},
	{"response-is-an-empty-object", "InvalidResponse", "HOST returned HTTP 200 with a document without BackendServers" + checkHost, respondsLike("empty-object")},
	{"response-has-keys-of-the-wrong-case", "InvalidResponse", "HOST returned HTTP 200 with a document without BackendServers" + checkHost, respondsLike("wrong-case")},
	{"response-has-a-numeric-code", "InvalidResponse", "HOST returned HTTP 400 with an error document that the SDK cannot read" + checkHost, respondsLike("numeric-code-refused")},
	{"response-is-too-large", "InvalidResponse", "HOST returned HTTP 200 with more than 8 MiB" + checkHost, respondsLike("too-large")},
	{"response-is-a-redirect", "InvalidResponse", "HOST returned HTTP 302 with a redirect" + checkHost, meetsRedirects},
}

// respondsWith tests the fault that every call gets this response.
func respondsWith(r fakeResponse) func(*testing.T, *faultEnv, faultCase) {
	return func(t *testing.T, a *faultEnv, o faultCase) {
		s := a.newSubject(t, faultsNamespace, o.name)
		s.runFault(t, o, func() { s.fail(r) }, s.heal)
	}
}

// respondsLike uses a response of hostileCases.
func respondsLike(name string) func(*testing.T, *faultEnv, faultCase) {
	return func(t *testing.T, a *faultEnv, o faultCase) {
		for _, c := range hostileCases() {
			if c.name == name {
				respondsWith(c.response)(t, a, o)
				return
			}
		}
		t.Fatalf("there is no hostile response %q", name)
	}
}

// resetConnection closes the connection with a TCP reset.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		raw = wrapped.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}

func meetsHangs(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, faultsNamespace, o.name)
	s.slack = mainTimeout
	s.runFault(t, o, s.hang, s.heal)
}

func meetsLateResponses(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, faultsNamespace, o.name)
	s.slack = mainTimeout
	s.runFault(t, o, func() { s.delay(mainTimeout + time.Second) }, s.heal)
}

// meetsSlowResponses requires that a response within the timeout is no fault.
func meetsSlowResponses(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, faultsNamespace, o.name)
	s.slack = mainTimeout
	s.delay(mainTimeout * 2 / 3)
	s.awaitCalls(t, 3, patience)
	s.transition(t, "normal")
	s.heal()
	s.finish(t)
}

func meetsRetryAfter(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, faultsNamespace, o.name)
	s.slack = retryAfter
	refused := refusal(http.StatusServiceUnavailable, "ServiceUnavailable", "The request has failed due to a temporary failure of the server.")
	refused.header = http.Header{"Retry-After": {strconv.Itoa(int(retryAfter.Seconds()))}}
	s.runFault(t, o, func() { s.fail(refused) }, s.heal)
}

func meetsRedirects(t *testing.T, a *faultEnv, o faultCase) {
	target := a.serveUnused(t)
	respondsWith(fakeResponse{status: http.StatusFound, header: http.Header{"Location": {target.URL + "/"}}})(t, a, o)
}
