// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"net"
	"net/http"
	"testing"
	"time"
)

const (
	retryAfter = "8" // seconds: longer than the interval
	wrongHost  = "; check that --slb-endpoint and proxies lead to the SLB API"
	noWay      = "; check --slb-endpoint, DNS, proxy and firewall"
)

// answerFaultCases are faults of single answers.
var answerFaultCases = []faultCase{
	{
		"slb-resets-connections", "EndpointUnreachable", "HOST: it closed the connection without a response" + noWay,
		answers(answer{write: resetConnection}),
	},
	{"slb-hangs", "EndpointUnreachable", "HOST: no response within TIMEOUT" + noWay, meetsHangs},
	{"slb-answers-too-late", "EndpointUnreachable", "HOST: no response within TIMEOUT" + noWay, meetsLateAnswers},
	{"slb-answers-just-in-time", "", "", meetsSlowAnswers},
	{
		"slb-fails", "ServiceError",
		"InternalError: The request processing has failed due to some unknown error; the SLB API of REGION failed on its side: the operator retries",
		answers(refusal(http.StatusInternalServerError, "InternalError", "The request processing has failed due to some unknown error.")),
	},
	{
		"slb-asks-to-come-back-later", "Throttled",
		"ServiceUnavailable: The request has failed due to a temporary failure of the server; the operator slows down by itself; if this lasts, raise spec.interval or lower --slb-qps",
		meetsRetryAfter,
	},
	{
		"slb-throttles", "Throttled",
		"Throttling.User: Request was denied due to user flow control; the operator slows down by itself; if this lasts, raise spec.interval or lower --slb-qps",
		answers(refusal(http.StatusBadRequest, "Throttling.User", "Request was denied due to user flow control.")),
	},
	{
		"slb-blames-the-clock", "ServiceError",
		"InvalidTimeStamp.Expired: Specified time stamp or date value is expired; check that the clock of the operator's node is right",
		answers(refusal(http.StatusBadRequest, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")),
	},
	{"answer-is-cut-off", "InvalidResponse", "HOST returned HTTP 200 with a document that ends too early" + wrongHost, answersLike("cut-off")},
	{"answer-is-half", "InvalidResponse", "HOST returned HTTP 200 with a document that is not a DescribeHealthStatus response" + wrongHost, answersLike("half")},
	{"answer-is-html", "InvalidResponse", "HOST returned HTTP 200 with a document that is not a DescribeHealthStatus response" + wrongHost, answersLike("html")},
	{"answer-is-empty", "InvalidResponse", "HOST returned HTTP 200 with an empty body" + wrongHost, answersLike("empty")},
	{"answer-is-an-empty-object", "InvalidResponse", "HOST returned HTTP 200 with a document without BackendServers" + wrongHost, answersLike("empty-object")},
	{"answer-has-keys-of-the-wrong-case", "InvalidResponse", "HOST returned HTTP 200 with a document without BackendServers" + wrongHost, answersLike("wrong-case")},
	{"answer-has-a-numeric-code", "InvalidResponse", "HOST returned HTTP 400 with an error document that the SDK cannot read" + wrongHost, answersLike("numeric-code-refused")},
	{"answer-is-too-large", "InvalidResponse", "HOST returned HTTP 200 with more than 8 MiB" + wrongHost, answersLike("too-large")},
	{"answer-is-a-redirect", "InvalidResponse", "HOST returned HTTP 302 with a redirect" + wrongHost, meetsRedirects},
}

// answers proves what happens while every call gets this answer.
func answers(a answer) func(*testing.T, *faultEnv, faultCase) {
	return func(t *testing.T, arena *faultEnv, o faultCase) {
		s := arena.newSubject(t, faultsNamespace, o.name)
		s.endure(t, o, func() { s.fail(a) }, s.heal)
	}
}

// answersLike takes the answer from those of hostileCases.
func answersLike(name string) func(*testing.T, *faultEnv, faultCase) {
	return func(t *testing.T, arena *faultEnv, o faultCase) {
		for _, c := range hostileCases() {
			if c.name == name {
				answers(c.answer)(t, arena, o)
				return
			}
		}
		t.Fatalf("there is no hostile answer %q", name)
	}
}

// resetConnection drops the connection so that the other side's kernel says so.
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
	s.endure(t, o, s.hang, s.heal)
}

func meetsLateAnswers(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, faultsNamespace, o.name)
	s.slack = mainTimeout
	s.endure(t, o, func() { s.delay(mainTimeout + time.Second) }, s.heal)
}

// meetsSlowAnswers demands that an answer in time is as good as any.
func meetsSlowAnswers(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, faultsNamespace, o.name)
	s.slack = mainTimeout
	s.delay(mainTimeout * 2 / 3)
	s.awaitCalls(t, 3, patience)
	s.turn(t, "normal")
	s.heal()
	s.finish(t)
}

func meetsRetryAfter(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, faultsNamespace, o.name)
	wait, err := time.ParseDuration(retryAfter + "s")
	if err != nil {
		t.Fatal(err)
	}
	s.slack = wait
	refused := refusal(http.StatusServiceUnavailable, "ServiceUnavailable", "The request has failed due to a temporary failure of the server.")
	refused.header = http.Header{"Retry-After": {retryAfter}}
	s.endure(t, o, func() { s.fail(refused) }, s.heal)
}

func meetsRedirects(t *testing.T, a *faultEnv, o faultCase) {
	elsewhere := a.serveTLS(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the redirect was followed")
		_, _ = w.Write([]byte(goodBody))
	}))
	answers(answer{status: http.StatusFound, header: http.Header{"Location": {elsewhere.URL + "/"}}})(t, a, o)
}
