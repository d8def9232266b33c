// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

func row(i int) v1alpha1.BackendStatus {
	return v1alpha1.BackendStatus{ServerID: fmt.Sprintf("i-%d", i), ServerIP: fmt.Sprintf("10.0.0.%d", i), ListenerPort: 443, ListenerProtocol: "https", Port: 8443}
}

func transition(i int, from, to string) health.BackendTransition {
	return health.BackendTransition{Backend: row(i), From: from, To: to}
}

func transitions(n int, from, to string) (all []health.BackendTransition) {
	for i := range n {
		all = append(all, transition(i+1, from, to))
	}
	return all
}

const firstBackend = "backend i-1 10.0.0.1:8443 (listener 443/https) "

func conditionTransition(status metav1.ConditionStatus, reason string) *health.ConditionTransition {
	return &health.ConditionTransition{Status: status, Reason: reason, Message: "message"}
}

var eventsOfTests = map[string]struct {
	transitions health.Transitions
	want        []string
}{
	"nothing": {},
	"becomes abnormal": {
		health.Transitions{Backends: transitions(1, "normal", "abnormal")},
		[]string{"Warning BackendAbnormal " + firstBackend + "is abnormal: its health check fails, was normal"},
	},
	"becomes abnormal while the status omits it": {
		health.Transitions{Backends: transitions(1, health.Omitted, "abnormal")},
		[]string{"Warning BackendAbnormal " + firstBackend + "is abnormal: its health check fails"},
	},
	"becomes normal": {
		health.Transitions{Backends: transitions(1, "abnormal", "normal")},
		[]string{"Normal BackendNormal " + firstBackend + "is normal, was abnormal"},
	},
	"loses its result": {
		health.Transitions{Backends: transitions(1, "normal", "unavailable")},
		[]string{"Warning BackendUnavailable " + firstBackend + "has no health-check result, was normal"},
	},
	"added": {
		health.Transitions{Backends: transitions(1, "", "normal")},
		[]string{"Normal BackendAdded " + firstBackend + "was added, and is normal"},
	},
	"added without a result": {
		health.Transitions{Backends: transitions(1, "", "unavailable")},
		[]string{"Normal BackendAdded " + firstBackend + "was added, and is unavailable"},
	},
	"added abnormal": {
		health.Transitions{Backends: transitions(1, "", "abnormal")},
		[]string{
			"Normal BackendAdded " + firstBackend + "was added, and is abnormal",
			"Warning BackendAbnormal " + firstBackend + "is abnormal: its health check fails",
		},
	},
	"removed": {
		health.Transitions{Backends: transitions(1, "abnormal", "")},
		[]string{"Normal BackendRemoved " + firstBackend + "was removed, was abnormal"},
	},
	"backends are missing": {
		health.Transitions{Registered: conditionTransition(metav1.ConditionFalse, v1alpha1.ReasonBackendsMissing)},
		[]string{"Warning BackendsMissing message"},
	},
	"every backend is registered again": {
		health.Transitions{Registered: conditionTransition(metav1.ConditionTrue, v1alpha1.ReasonAllRegistered)},
		[]string{"Normal BackendsRegistered message"},
	},
	"backends are missing, and the load balancer is unhealthy": {
		health.Transitions{
			Verdict:    conditionTransition(metav1.ConditionFalse, v1alpha1.ReasonNoBackends),
			Registered: conditionTransition(metav1.ConditionFalse, v1alpha1.ReasonBackendsMissing),
		},
		[]string{"Warning BackendsMissing message", "Warning LoadBalancerUnhealthy NoBackends: message"},
	},
	"eleven change": {
		health.Transitions{Backends: append(transitions(9, "abnormal", "normal"), transition(10, "normal", ""), transition(11, "normal", "abnormal"))},
		[]string{"Warning BackendsChanged 11 backends changed: 1 abnormal, 9 normal, 1 removed; among them " +
			"i-11 10.0.0.11:8443 (listener 443/https), i-1 10.0.0.1:8443 (listener 443/https), i-2 10.0.0.2:8443 (listener 443/https), " +
			"i-3 10.0.0.3:8443 (listener 443/https), i-4 10.0.0.4:8443 (listener 443/https)"},
	},
	"eleven become normal": {
		health.Transitions{Backends: transitions(11, "abnormal", "normal")},
		[]string{"Normal BackendsChanged 11 backends changed: 11 normal; among them …"},
	},
	"eleven lose their result": {
		health.Transitions{Backends: transitions(11, "normal", "unavailable")},
		[]string{"Warning BackendsChanged 11 backends changed: 11 without a health-check result; among them …"},
	},
	"an unhealthy verdict": {
		health.Transitions{Verdict: conditionTransition(metav1.ConditionFalse, "BelowMinHealthy")},
		[]string{"Warning LoadBalancerUnhealthy BelowMinHealthy: message"},
	},
	"a healthy verdict": {
		health.Transitions{Verdict: conditionTransition(metav1.ConditionTrue, "AllBackendsNormal")},
		[]string{"Normal LoadBalancerHealthy AllBackendsNormal: message"},
	},
	"an unknown verdict": {
		health.Transitions{Verdict: conditionTransition(metav1.ConditionUnknown, "ObservationStale")},
		[]string{"Warning LoadBalancerHealthUnknown ObservationStale: message"},
	},
	"the cause, the backends, the verdict": {
		health.Transitions{
			Verdict:     conditionTransition(metav1.ConditionFalse, "BelowMinHealthy"),
			Backends:    transitions(1, "normal", "abnormal"),
			Observation: &health.ConditionTransition{Status: metav1.ConditionTrue, Reason: "ObservationSucceeded", Message: "succeeds again"},
		},
		[]string{
			"Normal ObservationRecovered succeeds again",
			"Warning BackendAbnormal " + firstBackend + "is abnormal: its health check fails, was normal",
			"Warning LoadBalancerUnhealthy BelowMinHealthy: message",
		},
	},
	"a failure": {
		health.Transitions{Observation: conditionTransition(metav1.ConditionFalse, "Throttled")},
		[]string{"Warning ObservationFailed Throttled: message"},
	},
}

func TestEventsOf(t *testing.T) {
	for name, test := range eventsOfTests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, n := range eventsOf(test.transitions) {
				got = append(got, n.eventType+" "+n.reason+" "+n.note)
			}
			same := slices.EqualFunc(got, test.want, func(got, want string) bool {
				prefix, open := strings.CutSuffix(want, "…")
				return got == want || open && strings.HasPrefix(got, prefix)
			})
			if !same {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// NLB and ALB report why a check fails.
func TestEventOfAbnormalBackendHasTheReasonOfItsCheck(t *testing.T) {
	transition := transitions(1, "normal", "abnormal")[0]
	transition.Backend.ServerGroupID, transition.Backend.Reason = "sgp-1", "RESPONSE_MISMATCH: 502, expected http_2xx"
	events := eventsOf(health.Transitions{Backends: []health.BackendTransition{transition}})
	equal(t, "the note", events[0].note, "backend i-1 10.0.0.1:8443 (listener 443/https, server group sgp-1) is abnormal: "+
		"its health check fails (RESPONSE_MISMATCH: 502, expected http_2xx), was normal")
}

// The cause says more than the diagnosis.
func TestEventOfAbnormalBackendHasItsCause(t *testing.T) {
	transition := transitions(1, "normal", "abnormal")[0]
	transition.Backend.Pod, transition.Backend.Diagnosis = "prod/web-1", v1alpha1.DiagnosisNetworkPolicyBlocks
	transition.Cause = "NetworkPolicy prod/deny admits no health checks"
	events := eventsOf(health.Transitions{Backends: []health.BackendTransition{transition}})
	equal(t, "the note", events[0].note, firstBackend+"is abnormal: its health check fails, was normal; pod prod/web-1; NetworkPolicy prod/deny admits no health checks")
	transition.Backend.Pod = ""
	events = eventsOf(health.Transitions{Backends: []health.BackendTransition{transition}})
	equal(t, "without a pod", events[0].note, firstBackend+"is abnormal: its health check fails, was normal; NetworkPolicy prod/deny admits no health checks")
}

func TestTenBackendsHaveAnEventEach(t *testing.T) {
	events := eventsOf(health.Transitions{Backends: transitions(10, "normal", "abnormal")})
	equal(t, "the number of events", len(events), 10)
	about := map[string]bool{}
	for _, e := range events {
		about[e.about] = true
	}
	equal(t, "the number of field paths", len(about), 10)
}

func TestBackendName(t *testing.T) {
	for want, backend := range map[string]v1alpha1.BackendStatus{
		"i-1":                       {ServerID: "i-1"},
		"i-1 10.0.0.1":              {ServerID: "i-1", ServerIP: "10.0.0.1"},
		"i-1:80":                    {ServerID: "i-1", Port: 80},
		"i-1 (listener 443)":        {ServerID: "i-1", ListenerPort: 443},
		"i-1:80 (listener 443/tcp)": {ServerID: "i-1", Port: 80, ListenerPort: 443, ListenerProtocol: "tcp"},
		"i-1 [2408::8]:8443":        {ServerID: "i-1", ServerIP: "2408::8", Port: 8443},
		"i-1 2408::8":               {ServerID: "i-1", ServerIP: "2408::8"},
		"i-1:80 (listener 443/https, server group sgp-1)": {
			ServerID: "i-1", Port: 80, ListenerPort: 443, ListenerProtocol: "https", ServerGroupID: "sgp-1",
		},
	} {
		equal(t, "the name", backendName(&backend), want)
	}
}

func TestEventsReferenceTheObjectWithoutItsVersion(t *testing.T) {
	object, recorder := newObject(), &fakeRecorder{}
	objectEvent{"Normal", "BackendNormal", "note with 100% of it", "status.backends{i-1}"}.record(recorder, &object)
	recorded := recorder.recorded[0]
	equal(t, "regarding", recorded.regarding.String(),
		"&ObjectReference{Kind:LoadBalancerHealth,Namespace:prod,Name:web,UID:uid-web,APIVersion:slb.lbhealth.dev/v1alpha1,ResourceVersion:,FieldPath:,}")
	equal(t, "the field path of related", recorded.related.FieldPath, "status.backends{i-1}")
	equal(t, "the uid of related", recorded.related.UID, object.UID)
	equal(t, "the note", recorded.note, "note with 100% of it")
}

func TestNotesAreBounded(t *testing.T) {
	object := newObject()
	for _, note := range []string{strings.Repeat("n", 5000), strings.Repeat("健", 2000), "x" + strings.Repeat("健", 2000), "xy" + strings.Repeat("健", 2000)} {
		recorder := &fakeRecorder{}
		objectEvent{note: note}.record(recorder, &object)
		recorded := recorder.recorded[0].note
		if len(recorded) > 1024 || len(recorded) < 1000 || !utf8.ValidString(recorded) || !strings.HasSuffix(recorded, "...") {
			t.Errorf("%d bytes, valid %v: %q", len(recorded), utf8.ValidString(recorded), recorded)
		}
	}
	exact, recorder := strings.Repeat("n", 1024), &fakeRecorder{}
	objectEvent{note: exact}.record(recorder, &object)
	equal(t, "a note that fits", recorder.recorded[0].note, exact)
}
