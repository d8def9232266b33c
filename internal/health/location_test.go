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

// formatLocations formats the node, pod and diagnosis of each row.
func formatLocations(rows []v1alpha1.BackendStatus) string {
	words := make([]string, 0, len(rows))
	for i := range rows {
		words = append(words, fmt.Sprintf("%s %s/%s/%s", rows[i].ServerID, rows[i].Node, rows[i].Pod, rows[i].Diagnosis))
	}
	return strings.Join(words, ", ")
}

// asENI makes the rows those of pods: one network interface, many addresses.
func asENI(rows []alicloud.Backend) []alicloud.Backend {
	for i := range rows {
		rows[i].ServerID, rows[i].Type = "eni-1", TypeENI
	}
	return rows
}

func TestDiagnosisOfABackend(t *testing.T) {
	long := start.Add(-time.Hour)
	pod := func(edit ...func(*Location)) Location {
		l := Location{Node: "n", Pod: "prod/p", PodReadySince: long}
		for _, e := range edit {
			e(&l)
		}
		return l
	}
	notReady := func(l *Location) { l.PodReadySince = time.Time{} }
	nodeDown := func(l *Location) { l.NodeNotReady = true }
	for name, test := range map[string]struct {
		letter   rune
		location Location
		want     string
	}{
		"node":                            {'n', Location{Node: "n"}, "n//"},
		"abnormal node":                   {'a', Location{Node: "n"}, "n//"},
		"node not Ready":                  {'n', Location{Node: "n", NodeNotReady: true}, "n//NodeNotReady"},
		"abnormal, node not Ready":        {'a', Location{Node: "n", NodeNotReady: true}, "n//NodeNotReady"},
		"pod":                             {'n', pod(), "n/prod/p/"},
		"without a result":                {'u', pod(), "n/prod/p/"},
		"Ready but abnormal":              {'a', pod(), "n/prod/p/PodReadyButAbnormal"},
		"Ready for less than a minute":    {'a', pod(func(l *Location) { l.PodReadySince = start.Add(time.Second) }), "n/prod/p/"},
		"Ready for a minute":              {'a', pod(func(l *Location) { l.PodReadySince = start }), "n/prod/p/PodReadyButAbnormal"},
		"neither Ready nor normal":        {'a', pod(notReady), "n/prod/p/PodNotReady"},
		"normal, not Ready":               {'n', pod(notReady), "n/prod/p/"},
		"pod on a node that is not Ready": {'a', pod(nodeDown), "n/prod/p/NodeNotReady"},
		"location not known":              {'a', Location{}, "//"},
	} {
		t.Run(name, func(t *testing.T) {
			env := newEnv(t)
			env.observe(string(test.letter))
			env.locations = Locations{"i-0": test.location}
			env.after(contradictionAfter).observe(string(test.letter))
			if got := formatLocations(env.object.Status.Backends); got != "i-0 "+test.want {
				t.Errorf("got %q, want %q", got, "i-0 "+test.want)
			}
		})
	}
}

// A program that hangs fails the health check before its kubelet probe: until
// the pod has been Ready for a minute, the two do not contradict each other.
func TestPodReadyButAbnormalNeedsBothForAMinute(t *testing.T) {
	env := newEnv(t)
	env.locations = Locations{"i-0": {Pod: "prod/p", PodReadySince: start.Add(-time.Hour)}}
	env.observe("n")
	transitions := env.after(time.Second).observe("a").Transitions.Backends
	if len(transitions) != 1 || !transitions[0].PodReady || transitions[0].Backend.Diagnosis != "" {
		t.Errorf("%+v", transitions)
	}
	for _, step := range []struct {
		later time.Duration
		want  string
	}{{contradictionAfter - time.Second, "i-0 /prod/p/"}, {time.Second, "i-0 /prod/p/PodReadyButAbnormal"}} {
		env.after(step.later).observe("a")
		if got := formatLocations(env.object.Status.Backends); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
	}
}

// A load balancer may serve machines outside of the cluster: a missing backend
// is an orphan only beside a backend that the cluster has.
func TestOrphanNeedsAnotherBackendInTheCluster(t *testing.T) {
	missing, node := Location{Missing: true}, Location{Node: "n"}
	for name, test := range map[string]struct {
		listeners []string
		locations Locations
		want      string
	}{
		"among nodes":               {[]string{"nn"}, Locations{"i-0": node, "i-1": missing}, "i-0 n//, i-1 //Orphan"},
		"among pods":                {[]string{"nn"}, Locations{"i-0": {Pod: "p"}, "i-1": missing}, "i-0 /p/, i-1 //Orphan"},
		"all of another cluster":    {[]string{"na"}, Locations{"i-0": missing, "i-1": missing}, "i-0 //, i-1 //"},
		"among unknown ones":        {[]string{"nn"}, Locations{"i-1": missing}, "i-0 //, i-1 //"},
		"nodes on another listener": {[]string{"80/tcp n", "443/tcp -n"}, Locations{"i-0": node, "i-1": missing}, "i-0 n//, i-1 //"},
	} {
		t.Run(name, func(t *testing.T) {
			env := newEnv(t)
			env.locations = test.locations
			env.observe(test.listeners...)
			if got := formatLocations(env.object.Status.Backends); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAddressesAreNormalized(t *testing.T) {
	for ip, want := range map[string]string{
		"10.0.0.1": "10.0.0.1", "2408:0:0:0:0:0:0:1": "2408::1", "FD00::A": "fd00::a", "::ffff:10.0.0.1": "10.0.0.1", "": "", "none": "none",
	} {
		if got := LocationKey(TypeENI, "eni-1", ip); got != want {
			t.Errorf("%s: got %q, want %q", ip, got, want)
		}
	}
}

func TestBackendsOfAnENIAreLocatedByAddress(t *testing.T) {
	env := newEnv(t)
	env.locations = Locations{"10.0.0.0": {Pod: "prod/p-0"}, "10.0.0.1": {Pod: "prod/p-1"}, "eni-1": {Node: "not this"}}
	env.observeRows(asENI(backends("nn")))
	if got, want := formatLocations(env.object.Status.Backends), "eni-1 /prod/p-0/, eni-1 /prod/p-1/"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if key := LocationKey(TypeENI, "eni-1", ""); key != "" {
		t.Errorf("the key without an address is %q", key)
	}
}

// A new location causes a write, and no transition.
func TestNewLocationIsWrittenWithoutTransitions(t *testing.T) {
	env := newEnv(t)
	env.observe("na")
	for _, step := range []struct {
		locations Locations
		write     bool
		want      string
	}{
		{Locations{"i-0": {Node: "n-0"}, "i-1": {Node: "n-1"}}, true, "i-0 n-0//, i-1 n-1//"},
		{Locations{"i-0": {Node: "n-0"}, "i-1": {Node: "n-1"}}, false, "i-0 n-0//, i-1 n-1//"},
		{Locations{"i-0": {Node: "n-0"}, "i-1": {Node: "n-1", NodeNotReady: true}}, true, "i-0 n-0//, i-1 n-1//NodeNotReady"},
		{nil, true, "i-0 //, i-1 //"}, // the flag was removed
	} {
		env.locations = step.locations
		outcome := env.after(time.Second).observe("na")
		if outcome.Write != step.write || hasTransitions(outcome.Transitions) {
			t.Errorf("%s: write %t, transitions %+v", step.want, outcome.Write, outcome.Transitions)
		}
		if got := formatLocations(env.object.Status.Backends); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
	}
}

func TestFailureKeepsLocations(t *testing.T) {
	env := newEnv(t)
	env.locations = Locations{"i-0": {Node: "n-0"}}
	env.observe("n")
	env.locations = nil
	env.after(time.Second).fail(alicloud.Throttled)
	if got, want := formatLocations(env.object.Status.Backends), "i-0 n-0//"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTransitionsHaveTheLocation(t *testing.T) {
	env := newEnv(t)
	env.observe("nn")
	env.locations = Locations{"i-0": {Node: "n-0", NodeNotReady: true}, "i-1": {Node: "n-1"}}
	outcome := env.after(time.Second).observe("an")
	if got, want := outcome.Transitions.Backends[0].Backend.Location(), "node n-0; the node is not Ready"; got != want {
		t.Errorf("became abnormal: got %q, want %q", got, want)
	}
	outcome = env.after(time.Second).observe("a")
	if got, want := outcome.Transitions.Backends[0].Backend.Location(), "node n-1"; got != want {
		t.Errorf("removed: got %q, want %q", got, want)
	}
}
