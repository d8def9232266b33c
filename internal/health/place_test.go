// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/slb"
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
func asENI(rows []slb.Backend) []slb.Backend {
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
		"Ready just now":                       {'a', pod(func(p *Place) { p.PodReadySince = start.Add(time.Second - settled) }), "n/prod/p/"},
		"Ready for long enough":                {'a', pod(func(p *Place) { p.PodReadySince = start.Add(-settled) }), "n/prod/p/PodReadyButAbnormal"},
		"neither Ready nor normal":             {'a', pod(notReady), "n/prod/p/PodNotReady"},
		"normal, and not Ready":                {'n', pod(notReady), "n/prod/p/"},
		"a pod on a node that is not Ready":    {'a', pod(nodeDown), "n/prod/p/NodeNotReady"},
		"nobody looked":                        {'a', Place{}, "//"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.places = Places{"i-0": test.place}
			w.answer(string(test.letter))
			if got := placed(w.object.Status.Backends); got != "i-0 "+test.want {
				t.Errorf("got %q, want %q", got, "i-0 "+test.want)
			}
		})
	}
}

// A load balancer may serve what is no part of the cluster: not to be found is
// a finding only beside backends that are, or where the Service is the cluster's.
func TestAnOrphanIsOneAmongOthers(t *testing.T) {
	missing, node := Place{Missing: true}, Place{Node: "n"}
	for name, test := range map[string]struct {
		edit      []func(*v1alpha1.LoadBalancerHealthSpec)
		listeners []string
		places    Places
		want      string
	}{
		"among nodes":                {nil, []string{"nn"}, Places{"i-0": node, "i-1": missing}, "i-0 n//, i-1 //Orphan"},
		"all of another cluster":     {nil, []string{"na"}, Places{"i-0": missing, "i-1": missing}, "i-0 //, i-1 //"},
		"among those of nobody":      {nil, []string{"nn"}, Places{"i-1": missing}, "i-0 //, i-1 //"},
		"nodes on another listener":  {nil, []string{"80/tcp n", "443/tcp -n"}, Places{"i-0": node, "i-1": missing}, "i-0 n//, i-1 //"},
		"alone behind a Service":     {[]func(*v1alpha1.LoadBalancerHealthSpec){ofService("web")}, []string{"n"}, Places{"i-0": missing}, "i-0 //Orphan"},
		"not looked for in Services": {[]func(*v1alpha1.LoadBalancerHealthSpec){ofService("web")}, []string{"n"}, Places{}, "i-0 //"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, test.edit...)
			if w.object.Spec.ServiceRef != nil {
				w.find("web", "lb-web")
			}
			w.places = test.places
			w.answer(test.listeners...)
			if got := placed(w.object.Status.Backends); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
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
		if outcome.Write != step.write || told(outcome.Changes) {
			t.Errorf("%s: write %t, changes %+v", step.want, outcome.Write, outcome.Changes)
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
	w.after(time.Second).fail(slb.Throttled)
	if got, want := placed(w.object.Status.Backends), "i-0 n-0//"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTransitionsTellThePlace(t *testing.T) {
	w := newWorld(t)
	w.answer("nn")
	w.places = Places{"i-0": {Node: "n-0", NodeNotReady: true}, "i-1": {Node: "n-1"}}
	outcome := w.after(time.Second).answer("an")
	if got, want := outcome.Changes.Backends[0].Backend.Whereabouts(), "node n-0; the node is not Ready"; got != want {
		t.Errorf("a turn: got %q, want %q", got, want)
	}
	outcome = w.after(time.Second).answer("a")
	if got, want := outcome.Changes.Backends[0].Backend.Whereabouts(), "node n-1"; got != want {
		t.Errorf("one that is gone: got %q, want %q", got, want)
	}
}
