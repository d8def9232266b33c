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

// exampleHistory is a possible history of one backend: normal, abnormal, normal.
func exampleHistory() ([]revision, []loggedResponse) {
	var statuses []revision
	var responses []loggedResponse
	for i, status := range []string{"normal", "abnormal", "normal"} {
		at := noon.Add(time.Duration(i) * time.Minute)
		id := string(rune('a' + i))
		responses = append(responses, loggedResponse{requestID: id, loadBalancer: "lb", rows: map[string]string{"i-1": status}, at: at.Add(300 * time.Millisecond)})
		object := named("n", "lb")
		object.Status = v1alpha1.LoadBalancerHealthStatus{LastRequestID: id, Backends: []v1alpha1.BackendStatus{
			{ServerID: "i-1", ServerHealthStatus: status, LastTransitionTime: metav1.NewTime(at)},
		}}
		statuses = append(statuses, revision{at.Add(time.Second), object})
	}
	return statuses, responses
}

// TestHistoryChecks proves that the checks of TestKills find every inconsistency.
func TestHistoryChecks(t *testing.T) {
	for want, corrupt := range map[string]func(s []revision, r []loggedResponse){
		"":                                     func([]revision, []loggedResponse) {},
		"no response has its request id":       func(s []revision, _ []loggedResponse) { s[1].object.Status.LastRequestID = "x" },
		"a response older than the one before": func(s []revision, _ []loggedResponse) { s[2].object.Status.LastRequestID = "a" },
		"rows that differ from the response":   func(_ []revision, r []loggedResponse) { r[1].rows["i-1"] = "unavailable" },
		"a new time without a new state": func(s []revision, r []loggedResponse) {
			s[1].object.Status.Backends[0].ServerHealthStatus, r[1].rows["i-1"] = "normal", "normal"
		},
		"a time that differs from the response": func(s []revision, _ []loggedResponse) {
			s[1].object.Status.Backends[0].LastTransitionTime.Time = noon.Add(time.Minute - time.Second)
		},
	} {
		statuses, responses := exampleHistory()
		corrupt(statuses, responses)
		found := strings.Join(inconsistencies(statuses, responses), "\n")
		if want == "" && found != "" || !strings.Contains(found, want) {
			t.Errorf("%q, not %q", found, want)
		}
	}
}

// TestEventChecks proves that the checks of TestKills find every wrong event.
func TestEventChecks(t *testing.T) {
	statuses, _ := exampleHistory()
	transitions := transitionsOf(statuses)
	kill := []time.Time{statuses[1].at.Add(lostWithin / 2)}
	for _, test := range []struct {
		recorded map[string]int
		killed   []time.Time
		want     string
		lost     int
	}{
		{map[string]int{"BackendAbnormal i-1": 1, "BackendNormal i-1": 1}, nil, "", 0},
		{map[string]int{"BackendNormal i-1": 1}, kill, "", 1},
		{map[string]int{"BackendNormal i-1": 1}, nil, "not recorded, without a kill: BackendAbnormal i-1", 1},
		{map[string]int{"BackendAbnormal i-1": 1}, kill, "not recorded, without a kill: BackendNormal i-1", 1},
		{map[string]int{"BackendAbnormal i-1": 2, "BackendNormal i-1": 1}, nil, "recorded without a transition: BackendAbnormal i-1", 0},
		{map[string]int{"BackendAbnormal i-1": 1, "BackendNormal i-1": 1, "BackendUnavailable i-1": 1}, kill, "recorded without a transition: BackendUnavailable i-1", 0},
	} {
		wrong, lost := wrongEvents(test.recorded, transitions, test.killed)
		if strings.Join(slices.Sorted(slices.Values(wrong)), "\n") != test.want || lost != test.lost {
			t.Errorf("%v: %q, %d lost; not %q, %d", test.recorded, wrong, lost, test.want, test.lost)
		}
	}
}
