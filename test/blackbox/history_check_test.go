// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// tale is a possible history of one backend: normal, abnormal, normal.
func tale() ([]stored, []given) {
	var statuses []stored
	var answers []given
	for i, status := range []string{"normal", "abnormal", "normal"} {
		at := noon.Add(time.Duration(i) * time.Minute)
		id := string(rune('a' + i))
		answers = append(answers, given{requestID: id, loadBalancer: "lb", rows: map[string]string{"i-1": status}, at: at.Add(300 * time.Millisecond)})
		object := named("n", "lb")
		object.Status = v1alpha1.LoadBalancerHealthStatus{LastRequestID: id, Backends: []v1alpha1.BackendStatus{
			{ServerID: "i-1", ServerHealthStatus: status, LastTransitionTime: metav1.NewTime(at)},
		}}
		statuses = append(statuses, stored{object, at.Add(time.Second)})
	}
	return statuses, answers
}

// The checks of TestKills must see what they are there for.
func TestHistoryChecks(t *testing.T) {
	for want, corrupt := range map[string]func(s []stored, a []given){
		"":                            func([]stored, []given) {},
		"no such answer was given":    func(s []stored, _ []given) { s[1].object.Status.LastRequestID = "x" },
		"an older answer than before": func(s []stored, _ []given) { s[2].object.Status.LastRequestID = "a" },
		"not what was answered":       func(_ []stored, a []given) { a[1].rows["i-1"] = "unavailable" },
		"the time moved, the state did not": func(s []stored, a []given) {
			s[1].object.Status.Backends[0].ServerHealthStatus, a[1].rows["i-1"] = "normal", "normal"
		},
		"the time is not that of the answer": func(s []stored, _ []given) {
			s[1].object.Status.Backends[0].LastTransitionTime.Time = noon.Add(time.Minute - time.Second)
		},
	} {
		statuses, answers := tale()
		corrupt(statuses, answers)
		found := strings.Join(impossible(statuses, answers), "\n")
		if want == "" && found != "" || !strings.Contains(found, want) {
			t.Errorf("%q, not %q", found, want)
		}
	}
}

func TestEventChecks(t *testing.T) {
	statuses, _ := tale()
	turns := turnsOf(statuses)
	kill := []time.Time{statuses[1].seen.Add(lostWithin / 2)}
	for _, test := range []struct {
		recorded map[string]int
		killed   []time.Time
		want     string
		lost     int
	}{
		{map[string]int{"BackendAbnormal i-1": 1, "BackendNormal i-1": 1}, nil, "", 0},
		{map[string]int{"BackendNormal i-1": 1}, kill, "", 1},
		{map[string]int{"BackendNormal i-1": 1}, nil, "not recorded, and no kill to blame: BackendAbnormal i-1", 1},
		{map[string]int{"BackendAbnormal i-1": 1}, kill, "not recorded, and no kill to blame: BackendNormal i-1", 1},
		{map[string]int{"BackendAbnormal i-1": 2, "BackendNormal i-1": 1}, nil, "recorded but did not happen: BackendAbnormal i-1", 0},
		{map[string]int{"BackendAbnormal i-1": 1, "BackendNormal i-1": 1, "BackendUnavailable i-1": 1}, kill, "recorded but did not happen: BackendUnavailable i-1", 0},
	} {
		wrong, lost := untrue(test.recorded, turns, test.killed)
		if strings.Join(slices.Sorted(slices.Values(wrong)), "\n") != test.want || lost != test.lost {
			t.Errorf("%v: %q, %d lost; not %q, %d", test.recorded, wrong, lost, test.want, test.lost)
		}
	}
}
