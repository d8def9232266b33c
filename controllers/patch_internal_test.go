// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"slices"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4" // the API server's own
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func statusWithRows(rows int, edits ...func(*v1alpha1.LoadBalancerHealthStatus)) v1alpha1.LoadBalancerHealthStatus {
	status := v1alpha1.LoadBalancerHealthStatus{
		ObservedGeneration: 1,
		Conditions:         []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "AllBackendsNormal"}},
		ObservedTarget:     &v1alpha1.ObservedTarget{LoadBalancerID: "lb-1", RegionID: "cn-hangzhou", ListenerPort: 443},
		Summary:            &v1alpha1.Summary{Listeners: 1},
		LastObservedTime:   &metav1.Time{Time: start},
	}
	for i := range rows {
		status.Backends = append(status.Backends, v1alpha1.BackendStatus{
			ServerID: "i-" + string(rune('a'+i)), Port: 80, ServerHealthStatus: "normal", LastTransitionTime: metav1.Time{Time: start},
		})
	}
	for _, edit := range edits {
		edit(&status)
	}
	return status
}

func withAbnormal(rows ...int) func(*v1alpha1.LoadBalancerHealthStatus) {
	return func(s *v1alpha1.LoadBalancerHealthStatus) {
		for _, row := range rows {
			s.Backends[row].ServerHealthStatus = "abnormal"
		}
	}
}

func TestStatusPatchHasOnlyDifferences(t *testing.T) {
	for name, test := range map[string]struct {
		previous, next v1alpha1.LoadBalancerHealthStatus
		want           []string
	}{
		"nothing":               {statusWithRows(3), statusWithRows(3), nil},
		"an empty list":         {statusWithRows(0), statusWithRows(0, func(s *v1alpha1.LoadBalancerHealthStatus) { s.Backends = []v1alpha1.BackendStatus{} }), nil},
		"one row":               {statusWithRows(3), statusWithRows(3, withAbnormal(1)), []string{"replace /status/backends/1"}},
		"most rows":             {statusWithRows(4), statusWithRows(4, withAbnormal(0, 1, 2, 3)), []string{"add /status/backends"}},
		"an added row":          {statusWithRows(3), statusWithRows(4), []string{"add /status/backends"}},
		"no row left":           {statusWithRows(3), statusWithRows(0), []string{"remove /status/backends"}},
		"the first rows":        {statusWithRows(0), statusWithRows(3), []string{"add /status/backends"}},
		"another server":        {statusWithRows(3), statusWithRows(3, func(s *v1alpha1.LoadBalancerHealthStatus) { s.Backends[2].ServerID = "i-z" }), []string{"add /status/backends"}},
		"a count reset to zero": {statusWithRows(0, func(s *v1alpha1.LoadBalancerHealthStatus) { s.OmittedBackends = 7 }), statusWithRows(0), []string{"remove /status/omittedBackends"}},
		"a nested field":        {statusWithRows(0), statusWithRows(0, func(s *v1alpha1.LoadBalancerHealthStatus) { s.ObservedTarget.ListenerPort = 0 }), []string{"add /status/observedTarget"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, change := range statusPatch(&test.previous, &test.next) {
				got = append(got, change.Op+" "+change.Path)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// applyPatch applies a patch to a status with the API server's library.
func applyPatch(t *testing.T, previous v1alpha1.LoadBalancerHealthStatus, changes []operation) v1alpha1.LoadBalancerHealthStatus {
	t.Helper()
	data, err := json.Marshal(changes)
	if err != nil {
		t.Fatal(err)
	}
	if changes == nil {
		data = []byte("[]")
	}
	patch, err := jsonpatch.DecodePatch(data)
	if err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(map[string]any{"status": previous})
	if err != nil {
		t.Fatal(err)
	}
	if document, err = patch.Apply(document); err != nil {
		t.Fatalf("%v: %s on %s", err, data, document)
	}
	var object struct {
		Status v1alpha1.LoadBalancerHealthStatus `json:"status"`
	}
	if err := json.Unmarshal(document, &object); err != nil {
		t.Fatal(err)
	}
	return object.Status
}
