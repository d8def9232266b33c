// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// fuzzInput reads choices from the fuzzer's bytes, and zeros after the last one.
type fuzzInput struct{ data []byte }

func (t *fuzzInput) next(n int) int {
	if len(t.data) == 0 {
		return 0
	}
	b := t.data[0]
	t.data = t.data[1:]
	return int(b) % n
}

func pick[T any](t *fuzzInput, from ...T) T { return from[t.next(len(from))] }

// text is one of a few, so that two texts are often equal.
func (t *fuzzInput) text() string {
	return pick(t, "", "a", "b", "~1/0", `"\`, "<&>", "负载", strings.Repeat("x", 1+t.next(200)))
}

func (t *fuzzInput) time() metav1.Time {
	return metav1.Time{Time: start.Add(time.Duration(t.next(3)) * time.Second)}
}

func (t *fuzzInput) counts() v1alpha1.Counts {
	return v1alpha1.Counts{Backends: int32(t.next(3)), Normal: int32(t.next(3)), Abnormal: int32(t.next(3)), Unavailable: int32(t.next(3))}
}

// status is a status that the API server may store.
func (t *fuzzInput) status() v1alpha1.LoadBalancerHealthStatus {
	s := v1alpha1.LoadBalancerHealthStatus{
		ObservedGeneration: int64(t.next(3) - 1), OmittedBackends: int32(t.next(3)),
		LastRequestID: t.text(), LastHandledObserveRequest: t.text(),
	}
	for i := range t.next(4) {
		s.Conditions = append(s.Conditions, metav1.Condition{
			Type: fmt.Sprint("C", i), Status: pick(t, metav1.ConditionTrue, metav1.ConditionFalse), ObservedGeneration: int64(t.next(2)),
			LastTransitionTime: t.time(), Reason: t.text(), Message: t.text(),
		})
	}
	if t.next(2) == 1 {
		s.ObservedTarget = &v1alpha1.ObservedTarget{LoadBalancerID: t.text(), RegionID: t.text(), ListenerPort: int32(t.next(2))}
	}
	if t.next(2) == 1 {
		s.Summary = &v1alpha1.Summary{Listeners: int32(t.next(2)), Counts: t.counts()}
	}
	if t.next(2) == 1 {
		s.LastObservedTime = new(t.time())
	}
	for range t.next(3) {
		s.Listeners = append(s.Listeners, v1alpha1.ListenerStatus{Port: int32(t.next(2)), Protocol: t.text(), Health: pick(t, v1alpha1.Healthy, v1alpha1.Unknown), Counts: t.counts()})
	}
	for i := range t.next(9) {
		s.Backends = append(s.Backends, v1alpha1.BackendStatus{
			ServerID: fmt.Sprint("i-", i/(1+t.next(2)), pick(t, "", "~/")), ServerIP: pick(t, "", "10.0.0.1"), EniHost: pick(t, "", "10.0.0.2"), Type: pick(t, "", "eni"),
			ListenerPort: int32(t.next(2)), Port: int32(t.next(2)), ServerHealthStatus: pick(t, "normal", "abnormal", "later"), LastTransitionTime: t.time(),
		})
	}
	if len(s.Backends) == 0 && t.next(2) == 1 {
		s.Backends, s.Conditions = []v1alpha1.BackendStatus{}, append([]metav1.Condition{}, s.Conditions...)
	}
	return s
}

// edited is the status after a few changes, as most writes are.
func (t *fuzzInput) edited(s *v1alpha1.LoadBalancerHealthStatus) v1alpha1.LoadBalancerHealthStatus {
	next := *s.DeepCopy()
	for range t.next(4) {
		if len(next.Backends) > 0 {
			row := &next.Backends[t.next(len(next.Backends))]
			row.ServerHealthStatus, row.LastTransitionTime = pick(t, "normal", "abnormal", "later"), t.time()
			row.EniHost, row.Type = pick(t, "", "10.0.0.2"), pick(t, "", "eni")
			row.Pod, row.Diagnosis = pick(t, "", "prod/web-1"), pick(t, "", v1alpha1.DiagnosisOrphan)
		}
	}
	if len(next.Backends) > 0 && t.next(4) == 1 {
		next.Backends = next.Backends[1:]
	}
	return next
}

// FuzzStatusPatch checks that the patch from one status to another results in the
// other when the API server's library applies it, and that equal statuses have
// an empty patch.
func FuzzStatusPatch(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		data := make([]byte, 10+random.IntN(200))
		for i := range data {
			data[i] = byte(random.UintN(256))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		input := &fuzzInput{data: data}
		previous := input.status()
		for _, next := range []v1alpha1.LoadBalancerHealthStatus{input.edited(&previous), input.status(), previous} {
			changes := statusPatch(&previous, &next)
			if got := applyPatch(t, previous, changes); !apiequality.Semantic.DeepEqual(got, next) {
				t.Fatalf("from %+v\nto %+v\ngot %+v\nwith %+v", previous, next, got, changes)
			}
			if same := apiequality.Semantic.DeepEqual(previous, next); same != (len(changes) == 0) {
				t.Fatalf("the same %t, changes %+v", same, changes)
			}
		}
	})
}

// FuzzEvents checks that the events of any transitions are valid for the API server.
func FuzzEvents(f *testing.F) {
	f.Add("i-1", "https", "Throttled", "slow down", uint8(3), []byte{1, 2, 3})
	f.Add(strings.Repeat("负", 42)+"..", strings.Repeat("é", 64), "ServiceError", strings.Repeat("words ", 300), uint8(200), []byte{0, 1, 2, 3, 0, 1})
	f.Fuzz(func(t *testing.T, server, protocol, reason, message string, n uint8, states []byte) {
		for _, text := range []*string{&server, &protocol, &reason, &message} {
			*text = strings.ToValidUTF8(*text, " ") // as the client of the API does
		}
		input := &fuzzInput{data: states}
		transitions := health.Transitions{
			Observation: &health.ConditionTransition{Status: pick(input, metav1.ConditionFalse, metav1.ConditionTrue), Reason: reason, Message: message},
			Verdict:     &health.ConditionTransition{Status: pick(input, metav1.ConditionFalse, metav1.ConditionUnknown), Reason: reason, Message: message},
		}
		for range n {
			from, to := pick(input, "", "normal", health.Omitted, "abnormal"), pick(input, "abnormal", "", "normal", "unavailable")
			transitions.Backends = append(transitions.Backends, health.BackendTransition{
				Backend: v1alpha1.BackendStatus{
					ServerID: server, ListenerPort: 443, ListenerProtocol: protocol, Port: 80,
					Pod: pick(input, "", server), Node: pick(input, "", protocol), Diagnosis: pick(input, "", v1alpha1.DiagnosisPodNotReady, v1alpha1.Diagnosis(reason)),
				}, From: from, To: to,
			})
		}
		events := eventsOf(transitions)
		if len(events) < 2 || len(events) > 2+2*maxBackendEvents {
			t.Fatalf("%d events of %d transitions", len(events), n)
		}
		recorder := &fakeRecorder{}
		for _, e := range events {
			e.record(recorder, &v1alpha1.LoadBalancerHealth{})
		}
		for _, recorded := range recorder.recorded {
			note := recorded.note
			if note == "" || len(note) > maxNote || !utf8.ValidString(note) {
				t.Fatalf("a note of %d bytes: %q", len(note), note)
			}
		}
	})
}
