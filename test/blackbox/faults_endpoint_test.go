// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

// noName is longer than a part of a name may be: no resolver is asked, so the
// result is the same on every machine.
var noName = strings.Repeat("a", 64) + ".invalid:443"

// endpointFaultCases are faults on the way to the API. Each has an operator of
// its own, because an operator has one endpoint.
func endpointFaultCases() []faultCase {
	return []faultCase{
		{"slb-refuses-connections", "EndpointUnreachable", "HOST: connection refused" + noWay, meetsRefusal},
		{"slb-certificate-expires", "EndpointUnreachable", "HOST: its TLS certificate has expired or is not valid yet" + noWay, meetsExpiry},
		{"dns-fails", "EndpointUnreachable", "HOST: its name is not in DNS" + noWay, meetsNoName},
		{"slb-fails-for-longer-than-three-intervals", "EndpointUnreachable", "HOST: connection refused" + noWay, meetsLongFailure},
	}
}

// edge is an operator behind a relay to the API.
type edge struct {
	*harness.Relay
	*operator
	namespace string
}

func (a *faultEnv) newEdge(t *testing.T, name string) *edge {
	t.Helper()
	a.createNamespace(t, name)
	r := harness.OpenRelayFor(t, strings.TrimPrefix(a.slb.url(), "https://"))
	return &edge{Relay: r, namespace: name, operator: a.startOperator(t, operatorOptions{
		name: name, namespaces: []string{name}, endpoint: "https://" + r.Address, account: a.slb.account, args: briefly(),
	})}
}

// subject makes a subject whose messages name the relay.
func (e *edge) subject(t *testing.T, a *faultEnv, name string) *subject {
	t.Helper()
	s := a.newSubject(t, e.namespace, name)
	s.host = e.Address
	return s
}

func (e *edge) reopen(t *testing.T) {
	t.Helper()
	if err := e.Open(); err != nil {
		t.Fatal(err)
	}
}

// failsOnTheWay stays until the objects say so, and some intervals more.
func (s *subject) failsOnTheWay(t *testing.T, o faultCase, began time.Time) {
	t.Helper()
	s.fails(t, o, 2*interval+slack+s.slack)
	<-time.After(time.Until(began.Add(3 * interval))) // no call reaches a server: there is nothing else to wait for
}

func meetsRefusal(t *testing.T, a *faultEnv, o faultCase) {
	e := a.newEdge(t, "refusal")
	s := e.subject(t, a, o.name)
	began := time.Now()
	e.Shut()
	s.failsOnTheWay(t, o, began)
	e.reopen(t)
	s.recovers(t)
	s.turn(t, "normal")
	s.finish(t)
}

func meetsExpiry(t *testing.T, a *faultEnv, o faultCase) {
	e := a.newEdge(t, "expiry")
	s := e.subject(t, a, o.name)
	expired := serveExpired(t)
	began := time.Now()
	e.Redirect(expired)
	s.failsOnTheWay(t, o, began)
	e.Redirect(strings.TrimPrefix(a.slb.url(), "https://"))
	s.recovers(t)
	s.turn(t, "normal")
	s.finish(t)
}

// serveExpired serves with a certificate that expired half an hour ago, and
// fails the test when a request arrives nevertheless.
func serveExpired(t *testing.T) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a request was sent in spite of the certificate")
	}))
	server.TLS = newCertificate(t, 30*time.Minute).ServerConfig()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// meetsNoName starts an operator anew to give it an endpoint whose name fails.
func meetsNoName(t *testing.T, a *faultEnv, o faultCase) {
	const namespace = "dns"
	a.createNamespace(t, namespace)
	options := operatorOptions{
		name: "dns-1", namespaces: []string{namespace}, endpoint: a.slb.url(), account: a.slb.account, args: briefly(),
	}
	first := a.startOperator(t, options)
	s := a.newSubject(t, namespace, o.name)
	s.host = noName
	first.stop(t)

	options.name, options.endpoint = "dns-2", "https://"+noName
	began := time.Now()
	second := a.startOperator(t, options)
	s.failsOnTheWay(t, o, began)
	second.stop(t)

	options.name, options.endpoint = "dns-3", a.slb.url()
	a.startOperator(t, options)
	s.recovers(t)
	s.turn(t, "normal")
	s.finish(t)
}

// staleAfter is the least age at which an answer is no verdict any more.
const staleAfter = 90 * time.Second

func meetsLongFailure(t *testing.T, a *faultEnv, o faultCase) {
	e := a.newEdge(t, "long")
	s := e.subject(t, a, o.name)
	s.awaitCalls(t, 1, patience)
	last := time.Now()
	<-time.After(interval / 3) // the answer has arrived
	e.Shut()
	s.fails(t, o, 2*interval+slack)
	s.follow(t, staleAfter+interval+slack, "the verdict expires", func(*watchedObject) states {
		return with(unknown("ObservationStale"), states{"Observed": "False " + o.reason})
	}, twoRows("abnormal"))
	s.expectEvents("Warning LoadBalancerHealthUnknown")
	for _, r := range s.objects {
		revisions := a.recorder.revisionsOf(r.object)
		if f := revisions[len(revisions)-1]; f.at.Sub(last) < staleAfter-time.Second {
			t.Errorf("the verdict of %s was taken back %s after the last answer", r.object.Name, f.at.Sub(last))
		}
		if slices.ContainsFunc(revisions[len(revisions)-1].object.Status.Listeners, func(l v1alpha1.ListenerStatus) bool { return l.Health != v1alpha1.Unknown }) {
			t.Errorf("a listener of %s has a verdict still", r.object.Name)
		}
	}
	e.reopen(t)
	s.recovers(t)
	s.objects[0].events["Normal LoadBalancerHealthy"]++
	s.objects[1].events["Warning LoadBalancerUnhealthy"]++
	s.turn(t, "normal")
	s.finish(t)
}
