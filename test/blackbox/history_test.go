// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// lostWithin is the longest time between a status write and a kill that loses the events of the write.
const lostWithin = time.Second

// check requires that the history of every object is possible, and that enough kills fell between a response and its
// write.
func (k *killTest) check(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	writes, recorded, lost := 0, 0, 0
	written := map[string]bool{}
	responses := k.log.responses()
	for _, object := range k.objects {
		statuses := k.history(t, k.recorder, object)
		g.Expect(inconsistencies(statuses, responses)).To(BeEmpty())
		for _, s := range statuses {
			written[s.object.Status.LastRequestID] = true
		}
		writes += len(statuses) - 1
		counts := k.recordedEvents(g, object)
		wrong, missing := wrongEvents(counts, transitionsOf(statuses), k.killed)
		g.Expect(wrong).To(BeEmpty(), object.Name)
		lost += missing
		for _, times := range counts {
			recorded += times
		}
	}
	midway := k.midway(responses, written)
	t.Logf("%d responses, %d status writes; %d events recorded, %d lost with a kill; %d of %d kills between a response with a transition and its write",
		len(responses), writes, recorded, lost, midway, kills)
	g.Expect(midway).To(BeNumerically(">=", minMidway))
}

// midway counts the kills that lost a response that differs from the last one that was written.
func (k *killTest) midway(responses []loggedResponse, written map[string]bool) int {
	count := 0
	from := time.Time{}
	known := map[string]map[string]string{}
	for _, at := range k.killed {
		hit := false
		for _, r := range responses {
			if !r.at.After(from) || r.at.After(at) {
				continue
			}
			if written[r.requestID] {
				known[r.loadBalancer] = r.rows
			} else if before, ok := known[r.loadBalancer]; ok && !maps.Equal(before, r.rows) {
				hit = true
			}
		}
		if hit {
			count++
		}
		from = at
	}
	return count
}

// inconsistencies returns what is wrong with the statuses of an object: each must equal a response, in the order of the
// responses, and the time of a row must change exactly when its state does.
func inconsistencies(statuses []revision, responses []loggedResponse) []string {
	var wrong []string
	byID := map[string]int{}
	for i, r := range responses {
		byID[r.requestID] = i
	}
	last := -1
	rows := map[string]v1alpha1.BackendStatus{}
	for _, s := range statuses {
		status := &s.object.Status
		complain := func(what string) { wrong = append(wrong, s.object.Name+" "+s.object.ResourceVersion+": "+what) }
		i, exists := byID[status.LastRequestID]
		switch {
		case status.LastRequestID == "" && len(status.Backends) == 0:
			continue
		case !exists:
			complain("no response has its request id")
			continue
		case i < last:
			complain("a response older than the one before")
		case responses[i].loadBalancer != s.object.Spec.LoadBalancerID || !maps.Equal(rowsOf(s.object), responses[i].rows):
			complain("rows that differ from the response")
		}
		last = i
		for _, row := range status.Backends {
			before, known := rows[row.ServerID]
			moved := row.LastTransitionTime.Time
			switch same := known && before.ServerHealthStatus == row.ServerHealthStatus; {
			case same && !moved.Equal(before.LastTransitionTime.Time):
				complain("a new time without a new state")
			// Times are stored in whole seconds.
			case !same && (moved.Before(responses[i].at.Truncate(time.Second)) || moved.After(s.at)):
				complain("a time that differs from the response")
			}
			rows[row.ServerID] = row
		}
	}
	return wrong
}

// transition is a transition between two stored statuses.
type transition struct {
	event string // the reason of its event, and the server
	at    time.Time
}

// transitionsOf returns the transitions between the statuses.
func transitionsOf(statuses []revision) []transition {
	var transitions []transition
	reasons := map[string]string{"normal": "BackendNormal", "abnormal": "BackendAbnormal", "unavailable": "BackendUnavailable"}
	verdicts := map[string]string{"True": "LoadBalancerHealthy", "False": "LoadBalancerUnhealthy", "Unknown": "LoadBalancerHealthUnknown"}
	rows := map[string]string{}
	verdict, failed := "", false
	for _, s := range statuses {
		if s.object.Status.LastRequestID == "" {
			continue
		}
		add := func(event string) { transitions = append(transitions, transition{event, s.at}) }
		is := rowsOf(s.object)
		for server, status := range is {
			if was, known := rows[server]; known && was != status {
				add(reasons[status] + " " + server)
			}
		}
		healthy := string(conditionOf(s.object, "Healthy").Status)
		if healthy != verdict && (verdict != "" || healthy == "False") {
			add(verdicts[healthy])
		}
		rows, verdict = is, healthy
		switch fails := conditionOf(s.object, "Observed").Status == "False"; {
		case fails && !failed:
			add("ObservationFailed")
			failed = true
		case !fails && failed:
			add("ObservationRecovered")
			failed = false
		}
	}
	return transitions
}

// recordedEvents counts the events of an object; the keys have the format of transition.event.
func (k *killTest) recordedEvents(g Gomega, object *v1alpha1.LoadBalancerHealth) map[string]int {
	counts := map[string]int{}
	for what, times := range k.events(g, object) {
		head, note, _ := strings.Cut(what, ": ")
		_, reason, _ := strings.Cut(head, " ")
		if strings.HasPrefix(reason, "Backend") {
			reason += " " + strings.Fields(note)[1]
		}
		counts[reason] += times
	}
	return counts
}

// wrongEvents compares the events to the transitions: no transition has two events, and no event lacks a transition.
// The operator records an event after the write of its status, so a kill between the two loses the event: the next
// process finds the status up to date. Only such events may be missing; lost counts them.
func wrongEvents(recorded map[string]int, transitions []transition, killed []time.Time) (wrong []string, lost int) {
	happened, mayBeLost := map[string]int{}, map[string]int{}
	for _, tr := range transitions {
		happened[tr.event]++
		if slices.ContainsFunc(killed, func(at time.Time) bool { return at.Sub(tr.at).Abs() < lostWithin }) {
			mayBeLost[tr.event]++
		}
	}
	for event, times := range recorded {
		if times > happened[event] {
			wrong = append(wrong, "recorded without a transition: "+event)
		}
	}
	for event, times := range happened {
		missing := times - recorded[event]
		if missing > mayBeLost[event] {
			wrong = append(wrong, "not recorded, without a kill: "+event)
		}
		lost += max(missing, 0)
	}
	return wrong, lost
}
