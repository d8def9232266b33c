// SPDX-License-Identifier: Apache-2.0

package health

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestRowsAreMatchedAsFarAsTheyAreKnown(t *testing.T) {
	pod := func(ip string, port int32) ExpectedBackend {
		return ExpectedBackend{Type: TypeENI, ServerIP: ip, Port: port, Pod: "shop/web-1", Location: Location{Node: "node-1"}}
	}
	eni := func(ip string, port int32) alicloud.Backend {
		return alicloud.Backend{ServerID: "eni-1", ServerIP: ip, Type: TypeENI, ListenerPort: 443, ListenerProtocol: "https", Port: port, ServerHealthStatus: "normal"}
	}
	with := func(b alicloud.Backend, edit func(*alicloud.Backend)) alicloud.Backend {
		edit(&b)
		return b
	}
	for _, test := range []struct {
		what     string
		row      alicloud.Backend
		expected ExpectedBackend
		want     string
	}{
		{"a pod", eni("10.9.0.3", 8080), pod("10.9.0.3", 8080), allRegistered},
		{"another pod", eni("10.9.0.4", 8080), pod("10.9.0.3", 8080), isMissing + " 10.9.0.3@30"},
		{"a pod with another spelling of its address", eni("2408:0::8", 8080), pod("2408::8", 8080), allRegistered},
		{"another port", eni("10.9.0.3", 9090), pod("10.9.0.3", 8080), isMissing + " 10.9.0.3@30"},
		{"a row without a port", eni("10.9.0.3", 0), pod("10.9.0.3", 8080), allRegistered},
		{"an unknown port", eni("10.9.0.3", 9090), pod("10.9.0.3", 0), allRegistered},
		{"a row without a type", with(eni("10.9.0.3", 8080), func(b *alicloud.Backend) { b.Type = "" }), pod("10.9.0.3", 8080), allRegistered},
		{"a row without a listener", with(eni("10.9.0.3", 8080), func(b *alicloud.Backend) { b.ListenerPort, b.ListenerProtocol = 0, "" }), pod("10.9.0.3", 8080), allRegistered},
		{"a row without a protocol", with(eni("10.9.0.3", 8080), func(b *alicloud.Backend) { b.ListenerProtocol = "" }), pod("10.9.0.3", 8080), allRegistered},
		{"a row without an address", with(eni("10.9.0.3", 8080), func(b *alicloud.Backend) { b.ServerIP = "" }), pod("10.9.0.3", 8080), notDetermined},
		{"a pod without an address", eni("10.9.0.3", 8080), pod("", 8080), allRegistered},
		{"a server", with(eni("10.0.0.1", 30080), func(b *alicloud.Backend) { b.Type, b.ServerID = "", "i-1" }), ExpectedBackend{Type: TypeECS, ServerID: "i-1", Port: 30080}, allRegistered},
		{"another server", with(eni("10.0.0.1", 30080), func(b *alicloud.Backend) { b.Type, b.ServerID = "", "i-2" }), ExpectedBackend{Type: TypeECS, ServerID: "i-1", Port: 30080}, isMissing + " i-1@30"},
		{"a row without an id", with(eni("10.0.0.1", 30080), func(b *alicloud.Backend) { b.Type, b.ServerID = "", "" }), ExpectedBackend{Type: TypeECS, ServerID: "i-1", Port: 30080}, notDetermined},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newServiceEnv(t).expect("443/https n")
			env.observe("443/https n")
			// Another row keeps the listener in the response.
			rows := append(backends("443/https n"), test.row)
			env.expected.Listeners[0].Backends = append(env.expected.Listeners[0].Backends, test.expected)
			env.after(30 * time.Second).observeRows(rows)
			env.after(30 * time.Second).observeRows(rows)
			env.wantRegistered(test.want)
		})
	}
}

func TestMissingBackendHasItsLocationAndCause(t *testing.T) {
	for _, test := range []struct {
		what string
		row  string
		at   Location
		want v1alpha1.MissingBackend
	}{
		{"unknown cause", "-n", Location{Node: "node-1"}, v1alpha1.MissingBackend{Node: "node-1"}},
		{"node", "-n", Location{Node: "node-1", NodeNotReady: true}, v1alpha1.MissingBackend{Node: "node-1", Diagnosis: v1alpha1.DiagnosisNodeNotReady}},
		{"port", "nn", Location{Node: "node-1"}, v1alpha1.MissingBackend{Node: "node-1", Diagnosis: v1alpha1.DiagnosisPortMismatch}},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newServiceEnv(t).expect("-n")
			env.expected.Listeners[0].Backends = append(env.expected.Listeners[0].Backends, ExpectedBackend{Type: TypeECS, ServerID: "i-0", Port: 9090, Location: test.at})
			env.observe(test.row)
			env.after(30 * time.Second).observe(test.row)
			test.want.ListenerPort, test.want.ListenerProtocol = 443, "https"
			test.want.ServerID, test.want.Port, test.want.Since = "i-0", 9090, metav1.NewTime(start)
			if got := env.object.Status.MissingBackends; len(got) != 1 || !sameMissing(got[0], test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// A Service may have thousands of endpoints: the counts are exact, and the rows bounded.
func TestTenThousandMissingBackendsAreCountedExactlyAndBounded(t *testing.T) {
	env := newServiceEnv(t)
	env.expected = &Expected{Listeners: []ExpectedListener{{ServicePort: ServicePort{443, "https"}}}}
	var rows []alicloud.Backend
	l := &env.expected.Listeners[0]
	for i := range 10_000 {
		ip := fmt.Sprintf("10.%d.%d.%d", i/62500, i/250%250, i%250)
		b := ExpectedBackend{Type: TypeENI, ServerIP: ip, Port: 8080, Pod: "shop/" + strings.Repeat("x", 253), Location: Location{Node: strings.Repeat("n", 253)}}
		l.Backends = append(l.Backends, b, b)
		if i%4 == 0 {
			rows = append(rows, alicloud.Backend{ServerID: "eni-1", ServerIP: ip, Type: TypeENI, ListenerPort: 443, ListenerProtocol: "https", Port: 8080, ServerHealthStatus: "normal"})
		}
	}
	env.observeRows(rows)
	env.after(30 * time.Second).observeRows(rows)
	s := &env.object.Status
	if got := s.Listeners[0]; *got.Expected != 10_000 || got.Missing != 7_500 || *s.Summary.Missing != 7_500 || len(s.MissingBackends) != 20 {
		t.Errorf("got %+v, %d missing, %d listed", got, *s.Summary.Missing, len(s.MissingBackends))
	}
	checkFits(t, env.object, schemaOf(t))
	if outcome := env.after(30 * time.Second).observeRows(rows); outcome.Write || len(outcome.Absences.since) != 7_500 {
		t.Errorf("write %t, %d absences", outcome.Write, len(outcome.Absences.since))
	}
	const want = "7500 of 10000 expected backends are not registered: pod shop/xxx"
	if got := env.condition("Registered").Message; !strings.HasPrefix(got, want) || len(got) > 1000 || !strings.HasSuffix(got, "the cloud controller manager") {
		t.Errorf("a message of %d bytes: %q", len(got), got)
	}
}

func TestMessageNamesTheFirstMissingBackends(t *testing.T) {
	env := newServiceEnv(t).expect("nnnnnn")
	env.observe("nnnnnn")
	env.expected.Listeners[0].Backends[1].Location.NodeNotReady = true
	env.after(30 * time.Second).observe("n")
	env.after(30 * time.Second).observe("n")
	const want = "5 of 6 expected backends are not registered: i-1:8443 (listener 443/https: node node-i-1 is not Ready: check kubectl describe node node-i-1); i-2:8443 (listener 443/https); " +
		"i-3:8443 (listener 443/https); and 2 more; check the events of the Service, and the log of the cloud controller manager"
	if got := env.condition("Registered").Message; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestMessageSaysOnceWhereToLook(t *testing.T) {
	env := newServiceEnv(t).expect("nn")
	env.observe("nn")
	rows := backends("nn")
	rows[1].Port = 9443
	env.after(30 * time.Second).observeRows(rows)
	env.after(30 * time.Second).observeRows(rows)
	const want = "1 of 2 expected backends are not registered: i-1:8443 (listener 443/https: port 9443 is registered, but the nodePort of the Service is 8443); " +
		"check the events of the Service, and the log of the cloud controller manager"
	if got := env.condition("Registered").Message; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Objects without serviceRef are what they were, whatever is expected.
func TestObjectWithoutServiceIsUntouched(t *testing.T) {
	history := func(expected *Expected) [][]byte {
		env := newEnv(t, minHealthy("50%"))
		env.expected = expected
		var statuses [][]byte
		for _, step := range []func(){
			func() { env.wait() }, func() { env.observe("nn") }, func() { env.observe("n") }, func() { env.observe("a") },
			func() { env.fail(alicloud.Throttled) }, func() { env.observe("80/tcp n") }, func() { env.edit(suspend).wait() },
			func() { env.edit(resume).wait() }, func() { env.observe("nnn") }, func() { env.after(time.Hour).fail(alicloud.Forbidden) },
		} {
			env.after(31 * time.Second)
			step()
			data, err := json.Marshal(env.object)
			if err != nil {
				t.Fatal(err)
			}
			statuses = append(statuses, data)
			if env.absences.since != nil {
				t.Error("the object has absences")
			}
		}
		return statuses
	}
	without, with := history(nil), history(expecting("80/tcp nnnn", "443/https nnnn"))
	if !slices.EqualFunc(without, with, bytes.Equal) {
		t.Errorf("without\n%s\nwith\n%s", without, with)
	}
	for _, status := range with {
		for _, field := range []string{"issing\":", "expected", "Registered"} {
			if strings.Contains(string(status), field) {
				t.Errorf("%s is in %s", field, status)
			}
		}
	}
}

func TestComparisonAllocatesLittle(t *testing.T) {
	const rows = 20
	env := newServiceEnv(t).expect(strings.Repeat("n", rows))
	env.observe(strings.Repeat("n", rows))
	observation := &alicloud.Observation{RequestID: "next", At: env.now, Backends: backends(strings.Repeat("n", rows))}
	allocations := func(expected *Expected) float64 {
		input := Input{Observation: observation, LastObservedAt: env.now, Expected: expected}
		return leastAllocations(func() {
			if Evaluate(env.object, input, env.now, env.options).Write {
				t.Fatal("Write is true")
			}
		})
	}
	if with, without := allocations(env.expected), allocations(nil); with > without+10 {
		t.Errorf("%v allocations, %v without a comparison", with, without)
	}
}
