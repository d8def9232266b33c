// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// FuzzRegistered runs a random sequence of events on one object of a Service, and
// compares the missing backends with a simple record of what each observation lacked.
func FuzzRegistered(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		data := make([]byte, 120)
		for i := range data {
			data[i] = byte(random.UintN(256))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &registration{testEnv: newServiceEnv(t), input: &fuzzInput{data: data}, since: map[string]time.Time{}}
		for steps := 0; len(r.input.data) > 0 && steps < 60; steps++ {
			r.step()
		}
	})
}

// registration is an environment with a record of absent backends.
type registration struct {
	*testEnv
	input *fuzzInput
	// wanted are the names of the expected backends, as listener and server.
	wanted []string
	// readyAt is when a pod became ready.
	readyAt map[string]time.Time
	// since is since when observations lack a backend.
	since map[string]time.Time
}

var fuzzListeners = []ServicePort{{80, "tcp"}, {443, "https"}}

// step is one event.
func (r *registration) step() {
	switch r.input.next(9) {
	case 0, 1, 2:
		r.observeSome()
	case 3:
		r.after(pick(r.input, 0, time.Second, 5*time.Second, 15*time.Second, 29*time.Second, 30*time.Second, time.Minute, 10*time.Minute))
	case 4, 5:
		r.expectSome()
	case 6:
		r.keeps(func() { r.fail(alicloud.Throttled) })
	case 7:
		r.restart()
		r.since = map[string]time.Time{}
	case 8:
		r.keeps(func() { r.edit(suspend).wait() })
		r.keeps(func() { r.edit(resume).wait() })
		r.since = map[string]time.Time{}
	}
}

// keeps checks that an event without an observation changes nothing.
func (r *registration) keeps(event func()) {
	r.t.Helper()
	before := r.missing()
	event()
	if got := r.missing(); !slices.Equal(got, before) {
		r.t.Fatalf("missing are %q, and were %q", got, before)
	}
}

// expectSome makes the cluster expect other backends.
func (r *registration) expectSome() {
	r.wanted, r.readyAt, r.expected = nil, map[string]time.Time{}, &Expected{}
	for _, port := range fuzzListeners {
		l := ExpectedListener{ServicePort: port}
		mask := r.input.next(256)
		for i := range 5 {
			if mask>>i&1 == 0 {
				continue
			}
			name := fmt.Sprintf("%d i-%d", port.Port, i)
			r.wanted = append(r.wanted, name)
			b := ExpectedBackend{Type: TypeECS, ServerID: fmt.Sprintf("i-%d", i), Port: 8443}
			if mask>>5 == 0 {
				b.Location.PodReadySince = r.now.Add(-10 * time.Second)
				r.readyAt[name] = b.Location.PodReadySince
			}
			l.Backends = append(l.Backends, b)
		}
		if len(l.Backends) > 0 && l.Port == 80 && mask>>5 == 1 {
			l.NotDetermined = NotDetermined{Reason: NoNodePort}
			r.wanted = nil
		}
		r.expected.Listeners = append(r.expected.Listeners, l)
	}
}

// observeSome is an observation of some backends.
func (r *registration) observeSome() {
	var rows []alicloud.Backend
	listed := map[string]bool{}
	for _, port := range fuzzListeners {
		mask := r.input.next(32) | 1<<5 // one that is not expected keeps the listener
		for i := range 6 {
			if mask>>i&1 == 1 {
				listed[fmt.Sprintf("%d i-%d", port.Port, i)] = true
				rows = append(rows, alicloud.Backend{ServerID: fmt.Sprintf("i-%d", i), ListenerPort: port.Port, ListenerProtocol: port.Protocol, Port: 8443, ServerHealthStatus: "normal"})
			}
		}
	}
	if r.expected == nil {
		r.keeps(func() { r.observeRows(rows) })
		return
	}
	was := find(r.object.Status.Conditions, v1alpha1.ConditionRegistered)
	want, waiting := r.lacking(listed, was.status == metav1.ConditionFalse)
	outcome := r.observeRows(rows)
	if got := r.missing(); !slices.Equal(got, want) {
		r.t.Fatalf("missing are %q, want %q", got, want)
	}
	r.checkRegistered(outcome, was, len(want) > 0, waiting)
}

// lacking records which backends an observation lacks, and returns the missing
// ones. waiting is whether others are absent.
func (r *registration) lacking(listed map[string]bool, missingBefore bool) (missing []string, waiting bool) {
	var absent []string
	before, wasMissing := r.since, missingBefore
	r.since = map[string]time.Time{}
	for _, name := range r.wanted {
		ready := r.readyAt[name]
		if listed[name] || ready.After(r.now) {
			continue
		}
		since, known := before[name]
		if !known && wasMissing {
			since = r.listedSince(name)
		}
		if since.IsZero() || since.Before(ready) {
			since = r.now
		}
		r.since[name] = since
		absent = append(absent, name+" "+since.Truncate(time.Second).UTC().String())
		missingBefore = missingBefore || r.now.Sub(since) >= 30*time.Second
	}
	if missingBefore {
		return absent, false
	}
	return nil, len(absent) > 0
}

func (r *registration) listedSince(name string) time.Time {
	for _, b := range r.object.Status.MissingBackends {
		if fmt.Sprintf("%d %s", b.ListenerPort, b.ServerID) == name {
			return b.Since.Time
		}
	}
	return time.Time{}
}

// missing are the missing backends of the status.
func (r *registration) missing() []string {
	var names []string
	for _, b := range r.object.Status.MissingBackends {
		names = append(names, fmt.Sprintf("%d %s %s", b.ListenerPort, b.ServerID, b.Since.UTC()))
	}
	return names
}

func (r *registration) checkRegistered(outcome Outcome, was condition, missing, waiting bool) {
	undetermined := slices.ContainsFunc(r.expected.Listeners, func(l ExpectedListener) bool { return l.NotDetermined.Reason != "" })
	is := find(r.object.Status.Conditions, v1alpha1.ConditionRegistered)
	want := "True(AllRegistered)"
	switch {
	case missing:
		want = "False(BackendsMissing)"
	case undetermined:
		want = "Unknown(NotDetermined)"
	case waiting && was.status != metav1.ConditionTrue:
		want = "Unknown(Pending)"
	}
	if got := fmt.Sprintf("%s(%s)", is.status, is.reason); got != want {
		r.t.Fatalf("Registered is %s, want %s", got, want)
	}
	transition := ""
	if was.status != is.status && (is.status == metav1.ConditionFalse || is.status == metav1.ConditionTrue && was.status == metav1.ConditionFalse) {
		transition = want
	}
	if got := formatCondition(outcome.Transitions.Registered); got != transition {
		r.t.Fatalf("got transition %q, want %q", got, transition)
	}
	if strings.Contains(is.message, "since") {
		r.t.Fatalf("the message is not stable: %s", is.message)
	}
}
