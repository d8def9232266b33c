// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// placed prints each row's place and diagnosis in one line.
func placed(rows []v1alpha1.BackendStatus) string {
	words := make([]string, 0, len(rows))
	for i := range rows {
		words = append(words, fmt.Sprintf("%s %s/%s/%s", rows[i].ServerID, rows[i].Node, rows[i].Pod, rows[i].Diagnosis))
	}
	return strings.Join(words, ", ")
}

// asENI turns rows into those of pods: one network interface, many addresses.
func asENI(rows []alicloud.Backend) []alicloud.Backend {
	for i := range rows {
		rows[i].ServerID, rows[i].Type = "eni-1", TypeENI
	}
	return rows
}

func TestWhatTheClusterSaysOfABackend(t *testing.T) {
	long := start.Add(-time.Hour)
	pod := func(edit ...func(*Place)) Place {
		p := Place{Node: "n", Pod: "prod/p", PodReadySince: long}
		for _, e := range edit {
			e(&p)
		}
		return p
	}
	notReady := func(p *Place) { p.PodReadySince = time.Time{} }
	nodeDown := func(p *Place) { p.NodeNotReady = true }
	for name, test := range map[string]struct {
		letter rune
		place  Place
		want   string
	}{
		"a node":                               {'n', Place{Node: "n"}, "n//"},
		"an abnormal one, for all it tells":    {'a', Place{Node: "n"}, "n//"},
		"a node that is not Ready":             {'n', Place{Node: "n", NodeNotReady: true}, "n//NodeNotReady"},
		"abnormal on a node that is not Ready": {'a', Place{Node: "n", NodeNotReady: true}, "n//NodeNotReady"},
		"a pod":                                {'n', pod(), "n/prod/p/"},
		"without a result":                     {'u', pod(), "n/prod/p/"},
		"Ready but abnormal":                   {'a', pod(), "n/prod/p/PodReadyButAbnormal"},
		"Ready just now":                       {'a', pod(func(p *Place) { p.PodReadySince = start.Add(time.Second) }), "n/prod/p/"},
		"Ready for long enough":                {'a', pod(func(p *Place) { p.PodReadySince = start }), "n/prod/p/PodReadyButAbnormal"},
		"neither Ready nor normal":             {'a', pod(notReady), "n/prod/p/PodNotReady"},
		"normal, and not Ready":                {'n', pod(notReady), "n/prod/p/"},
		"a pod on a node that is not Ready":    {'a', pod(nodeDown), "n/prod/p/NodeNotReady"},
		"nobody looked":                        {'a', Place{}, "//"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answer(string(test.letter))
			w.places = Places{"i-0": test.place}
			w.after(settled).answer(string(test.letter))
			if got := placed(w.object.Status.Backends); got != "i-0 "+test.want {
				t.Errorf("got %q, want %q", got, "i-0 "+test.want)
			}
		})
	}
}

// A program that hangs fails the health check before its own probe: that its pod
// is Ready still contradicts nothing yet.
func TestAPodContradictsABackendThatIsAbnormalForAWhile(t *testing.T) {
	w := newWorld(t)
	w.places = Places{"i-0": {Pod: "prod/p", PodReadySince: start.Add(-time.Hour)}}
	w.answer("n")
	turned := w.after(time.Second).answer("a").Transitions.Backends
	if len(turned) != 1 || !turned[0].PodReady || turned[0].Backend.Diagnosis != "" {
		t.Errorf("%+v", turned)
	}
	for _, step := range []struct {
		later time.Duration
		want  string
	}{{settled - time.Second, "i-0 /prod/p/"}, {time.Second, "i-0 /prod/p/PodReadyButAbnormal"}} {
		w.after(step.later).answer("a")
		if got := placed(w.object.Status.Backends); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
	}
}

// A load balancer may serve what is no part of the cluster: not to be found is
// a finding only beside backends that are.
func TestAnOrphanIsOneAmongOthers(t *testing.T) {
	missing, node := Place{Missing: true}, Place{Node: "n"}
	for name, test := range map[string]struct {
		listeners []string
		places    Places
		want      string
	}{
		"among nodes":               {[]string{"nn"}, Places{"i-0": node, "i-1": missing}, "i-0 n//, i-1 //Orphan"},
		"among pods":                {[]string{"nn"}, Places{"i-0": {Pod: "p"}, "i-1": missing}, "i-0 /p/, i-1 //Orphan"},
		"all of another cluster":    {[]string{"na"}, Places{"i-0": missing, "i-1": missing}, "i-0 //, i-1 //"},
		"among those of nobody":     {[]string{"nn"}, Places{"i-1": missing}, "i-0 //, i-1 //"},
		"nodes on another listener": {[]string{"80/tcp n", "443/tcp -n"}, Places{"i-0": node, "i-1": missing}, "i-0 n//, i-1 //"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.places = test.places
			w.answer(test.listeners...)
			if got := placed(w.object.Status.Backends); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAddressesAreComparedInOneSpelling(t *testing.T) {
	for ip, want := range map[string]string{
		"10.0.0.1": "10.0.0.1", "2408:0:0:0:0:0:0:1": "2408::1", "FD00::A": "fd00::a", "::ffff:10.0.0.1": "10.0.0.1", "": "", "none": "none",
	} {
		if got := PlaceKey(TypeENI, "eni-1", ip); got != want {
			t.Errorf("%s: got %q, want %q", ip, got, want)
		}
	}
}

func TestBackendsOfAnENIAreFoundByAddress(t *testing.T) {
	w := newWorld(t)
	w.places = Places{"10.0.0.0": {Pod: "prod/p-0"}, "10.0.0.1": {Pod: "prod/p-1"}, "eni-1": {Node: "not this"}}
	w.answerRows(asENI(backends("nn")))
	if got, want := placed(w.object.Status.Backends), "eni-1 /prod/p-0/, eni-1 /prod/p-1/"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if key := PlaceKey(TypeENI, "eni-1", ""); key != "" {
		t.Errorf("one without an address is found by %q", key)
	}
}

// What the cluster says is written when it changes, and is no transition.
func TestANewPlaceIsWrittenWithoutEvents(t *testing.T) {
	w := newWorld(t)
	w.answer("na")
	for _, step := range []struct {
		places Places
		write  bool
		want   string
	}{
		{Places{"i-0": {Node: "n-0"}, "i-1": {Node: "n-1"}}, true, "i-0 n-0//, i-1 n-1//"},
		{Places{"i-0": {Node: "n-0"}, "i-1": {Node: "n-1"}}, false, "i-0 n-0//, i-1 n-1//"},
		{Places{"i-0": {Node: "n-0"}, "i-1": {Node: "n-1", NodeNotReady: true}}, true, "i-0 n-0//, i-1 n-1//NodeNotReady"},
		{nil, true, "i-0 //, i-1 //"}, // the flag was taken away
	} {
		w.places = step.places
		outcome := w.after(time.Second).answer("na")
		if outcome.Write != step.write || told(outcome.Transitions) {
			t.Errorf("%s: write %t, changes %+v", step.want, outcome.Write, outcome.Transitions)
		}
		if got := placed(w.object.Status.Backends); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
	}
}

func TestAFailureKeepsPlaces(t *testing.T) {
	w := newWorld(t)
	w.places = Places{"i-0": {Node: "n-0"}}
	w.answer("n")
	w.places = nil
	w.after(time.Second).fail(alicloud.Throttled)
	if got, want := placed(w.object.Status.Backends), "i-0 n-0//"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTransitionsTellThePlace(t *testing.T) {
	w := newWorld(t)
	w.answer("nn")
	w.places = Places{"i-0": {Node: "n-0", NodeNotReady: true}, "i-1": {Node: "n-1"}}
	outcome := w.after(time.Second).answer("an")
	if got, want := outcome.Transitions.Backends[0].Backend.Whereabouts(), "node n-0; the node is not Ready"; got != want {
		t.Errorf("a turn: got %q, want %q", got, want)
	}
	outcome = w.after(time.Second).answer("a")
	if got, want := outcome.Transitions.Backends[0].Backend.Whereabouts(), "node n-1"; got != want {
		t.Errorf("one that is gone: got %q, want %q", got, want)
	}
}
