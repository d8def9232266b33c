// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// lostWithin is how soon before a kill a status must have been written for its
// events to be missing: the recorder writes them behind the statuses.
const lostWithin = time.Second

// stored is a status as the API server kept it.
type stored struct {
	object *v1alpha1.LoadBalancerHealth
	seen   time.Time
}

// history is every status that was ever stored, by object.
type history struct {
	mu     sync.Mutex
	byName map[string][]stored
}

// watchHistory sees every version: a watch leaves none out.
func watchHistory(t *testing.T, w *env, namespace string) *history {
	t.Helper()
	h := &history{byName: map[string][]stored{}}
	watching, err := client.NewWithWatch(w.plane.Config, client.Options{Scheme: w.admin.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	watch, err := watching.Watch(w.ctx, &v1alpha1.LoadBalancerHealthList{}, client.InNamespace(namespace))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watch.Stop)
	go func() {
		for event := range watch.ResultChan() {
			if object, ok := event.Object.(*v1alpha1.LoadBalancerHealth); ok {
				h.mu.Lock()
				h.byName[object.Name] = append(h.byName[object.Name], stored{object, time.Now()})
				h.mu.Unlock()
			}
		}
	}()
	return h
}

func (h *history) of(name string) []stored {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]stored{}, h.byName[name]...)
}

// check demands that each object's history is a possible one, and that enough
// of the kills fell where it could go wrong.
func (h *history) check(t *testing.T, k *killTest) {
	t.Helper()
	g := NewWithT(t)
	writes, recorded, lost := 0, 0, 0
	written := map[string]bool{}
	answers := k.answers.answers()
	for _, object := range k.objects {
		k.eventually(t, func(g Gomega) { // the watch has caught up
			all := h.of(object.Name)
			g.Expect(all).NotTo(BeEmpty())
			g.Expect(all[len(all)-1].object.ResourceVersion).To(Equal(k.get(g, object).ResourceVersion))
		})
		statuses := h.of(object.Name)
		g.Expect(impossible(statuses, answers)).To(BeEmpty())
		for _, s := range statuses {
			written[s.object.Status.LastRequestID] = true
		}
		writes += len(statuses) - 1
		counts := k.toldOf(g, object)
		wrong, missing := untrue(counts, turnsOf(statuses), k.killed)
		g.Expect(wrong).To(BeEmpty(), object.Name)
		lost += missing
		for _, times := range counts {
			recorded += times
		}
	}
	midway := k.midway(answers, written)
	t.Logf("%d answers, %d status writes; %d events recorded, %d lost with a kill; %d of %d kills between an answer that said something new and its write",
		len(answers), writes, recorded, lost, midway, kills)
	g.Expect(midway).To(BeNumerically(">=", leastMidway))
}

// midway counts the kills by which an answer was lost that said something else
// than the answer that was written before it.
func (k *killTest) midway(answers []given, written map[string]bool) int {
	count := 0
	from := time.Time{}
	known := map[string]map[string]string{}
	for _, at := range k.killed {
		hit := false
		for _, a := range answers {
			if !a.at.After(from) || a.at.After(at) {
				continue
			}
			if written[a.requestID] {
				known[a.loadBalancer] = a.rows
			} else if before, ok := known[a.loadBalancer]; ok && !maps.Equal(before, a.rows) {
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

// impossible names what is wrong with a row of statuses: each must be an answer
// that was given, in the order in which they were, and a row's time moves when,
// and only when, the row turns.
func impossible(statuses []stored, answers []given) []string {
	var wrong []string
	byID := map[string]int{}
	for i, a := range answers {
		byID[a.requestID] = i
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
			complain("no such answer was given")
			continue
		case i < last:
			complain("an older answer than before")
		case answers[i].loadBalancer != s.object.Spec.LoadBalancerID || !maps.Equal(rowsOf(s.object), answers[i].rows):
			complain("not what was answered")
		}
		last = i
		for _, row := range status.Backends {
			before, known := rows[row.ServerID]
			moved := row.LastTransitionTime.Time
			switch same := known && before.ServerHealthStatus == row.ServerHealthStatus; {
			case same && !moved.Equal(before.LastTransitionTime.Time):
				complain("the time moved, the state did not")
			// Times are stored in whole seconds.
			case !same && (moved.Before(answers[i].at.Truncate(time.Second)) || moved.After(s.seen)):
				complain("the time is not that of the answer")
			}
			rows[row.ServerID] = row
		}
	}
	return wrong
}

// turn is a transition that a stored status records.
type turn struct {
	what string
	seen time.Time
}

// turnsOf are the transitions between the statuses, spelled as their events begin.
func turnsOf(statuses []stored) []turn {
	var turns []turn
	reasons := map[string]string{"normal": "BackendNormal", "abnormal": "BackendAbnormal", "unavailable": "BackendUnavailable"}
	verdicts := map[string]string{"True": "LoadBalancerHealthy", "False": "LoadBalancerUnhealthy", "Unknown": "LoadBalancerHealthUnknown"}
	rows := map[string]string{}
	verdict, failed := "", false
	for _, s := range statuses {
		if s.object.Status.LastRequestID == "" {
			continue
		}
		is := rowsOf(s.object)
		for server, status := range is {
			if was, known := rows[server]; known && was != status {
				turns = append(turns, turn{reasons[status] + " " + server, s.seen})
			}
		}
		healthy := string(conditionOf(s.object, "Healthy").Status)
		if healthy != verdict && (verdict != "" || healthy == "False") {
			turns = append(turns, turn{verdicts[healthy], s.seen})
		}
		rows, verdict = is, healthy
		observed := conditionOf(s.object, "Observed")
		switch fails := observed.Status == "False"; {
		case fails && !failed:
			turns = append(turns, turn{"ObservationFailed", s.seen})
		case !fails && failed:
			turns = append(turns, turn{"ObservationRecovered", s.seen})
		}
		failed = observed.Status == "False"
	}
	return turns
}

// toldOf counts the events about an object, spelled as turnsOf spells.
func (k *killTest) toldOf(g Gomega, object *v1alpha1.LoadBalancerHealth) map[string]int {
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

// untrue names what is wrong with the events recorded: none may be recorded that no
// status records, nothing more often than it happened, and nothing may be
// missing but what a kill cut off, which it counts. The event follows the write
// of its status, so a process that dies between the two leaves the status and
// no event, and its successor, which finds the status as it should be, has
// nothing to tell.
func untrue(recorded map[string]int, turns []turn, killed []time.Time) (wrong []string, lost int) {
	happened, mayBeLost := map[string]int{}, map[string]int{}
	for _, turned := range turns {
		happened[turned.what]++
		if slices.ContainsFunc(killed, func(at time.Time) bool { return at.Sub(turned.seen).Abs() < lostWithin }) {
			mayBeLost[turned.what]++
		}
	}
	for what, times := range recorded {
		if times > happened[what] {
			wrong = append(wrong, "recorded but did not happen: "+what)
		}
	}
	for what, times := range happened {
		missing := times - recorded[what]
		if missing > mayBeLost[what] {
			wrong = append(wrong, "not recorded, and no kill to blame: "+what)
		}
		lost += max(missing, 0)
	}
	return wrong, lost
}
