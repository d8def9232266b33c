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

// invalidHost has a label longer than DNS allows: it fails without a resolver, so the same way on every machine.
var invalidHost = strings.Repeat("a", 64) + ".invalid:443"

// endpointFaultCases are faults on the way to the API. Each has its own operator, because an operator has one endpoint.
func endpointFaultCases() []faultCase {
	return []faultCase{
		{"slb-refuses-connections", "EndpointUnreachable", "HOST: connection refused" + checkNetwork, meetsRefusal},
		{"slb-certificate-expires", "EndpointUnreachable", "HOST: its TLS certificate has expired or is not valid yet" + checkNetwork, meetsExpiry},
		{"dns-fails", "EndpointUnreachable", "HOST: its name is not in DNS" + checkNetwork, meetsNoName},
		{"slb-fails-for-longer-than-three-intervals", "EndpointUnreachable", "HOST: connection refused" + checkNetwork, meetsLongFailure},
	}
}

// newRelayed starts an operator that calls the API through a relay, and returns the relay and a subject.
func (a *faultEnv) newRelayed(t *testing.T, namespace string, o faultCase) (*harness.Relay, *subject) {
	t.Helper()
	a.createNamespace(t, namespace)
	relay := harness.OpenRelayFor(t, strings.TrimPrefix(a.slb.url(), "https://"))
	options := a.options(namespace)
	options.endpoint = "https://" + relay.Address
	a.startOperator(t, options)
	s := a.newSubject(t, namespace, o.name)
	s.host, s.noCalls = relay.Address, true
	return relay, s
}

func reopen(t *testing.T, relay *harness.Relay) {
	t.Helper()
	if err := relay.Open(); err != nil {
		t.Fatal(err)
	}
}

func meetsRefusal(t *testing.T, a *faultEnv, o faultCase) {
	relay, s := a.newRelayed(t, "refusal", o)
	s.runFault(t, o, relay.Shut, func() { reopen(t, relay) })
}

func meetsExpiry(t *testing.T, a *faultEnv, o faultCase) {
	relay, s := a.newRelayed(t, "expiry", o)
	expired := serveExpired(t)
	s.runFault(t, o, func() {
		relay.Redirect(expired)
		relay.Disconnect()
	}, func() { relay.Redirect(strings.TrimPrefix(a.slb.url(), "https://")) })
}

// serveExpired serves with a certificate that expired half an hour ago, and fails the test if it receives a request.
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

// meetsNoName restarts the operator with an endpoint whose name cannot be resolved, and with the old one again.
func meetsNoName(t *testing.T, a *faultEnv, o faultCase) {
	a.createNamespace(t, "dns")
	options := a.options("dns.1")
	running := a.startOperator(t, options)
	s := a.newSubject(t, "dns", o.name)
	s.host, s.noCalls = invalidHost, true
	restart := func(name, endpoint string) func() {
		return func() {
			running.stop(t)
			options.name, options.endpoint = name, endpoint
			running = a.startOperator(t, options)
		}
	}
	s.runFault(t, o, restart("dns.2", "https://"+invalidHost), restart("dns.3", a.slb.url()))
}

// staleAfter is the age at which an observation becomes stale, at this interval.
const staleAfter = 90 * time.Second

func meetsLongFailure(t *testing.T, a *faultEnv, o faultCase) {
	relay, s := a.newRelayed(t, "long", o)
	s.awaitCalls(t, 1, patience)
	last := time.Now()
	<-time.After(interval / 3) // the operator has received the response
	relay.Shut()
	s.fails(t, o, 2*interval+slack)
	s.follow(t, staleAfter+interval+slack, "the verdict becomes stale", func(*watchedObject) states {
		return with(unknown("ObservationStale"), states{"Observed": "False " + o.reason})
	}, twoRows("abnormal"))
	s.expectEvents("Warning LoadBalancerHealthUnknown")
	for _, r := range s.objects {
		revisions := a.recorder.revisionsOf(r.object)
		stale := revisions[len(revisions)-1]
		if age := stale.at.Sub(last); age < staleAfter-time.Second {
			t.Errorf("the verdict of %s became stale %s after the last response", r.object.Name, age)
		}
		if slices.ContainsFunc(stale.object.Status.Listeners, func(l v1alpha1.ListenerStatus) bool { return l.Health != v1alpha1.Unknown }) {
			t.Errorf("a listener of %s still has a verdict", r.object.Name)
		}
	}
	reopen(t, relay)
	s.recovers(t)
	s.objects[0].events["Normal LoadBalancerHealthy"]++
	s.objects[1].events["Warning LoadBalancerUnhealthy"]++
	s.finish(t, "normal")
}
