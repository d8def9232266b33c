// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func TestFlipTwiceRestoresTheStatus(t *testing.T) {
	t.Parallel()

	status := newStatus("lb-1", 250)
	if len(status.Listeners) != 2 || status.Summary.Normal != 250 || status.Backends[249].ListenerPort != 444 {
		t.Fatalf("%+v", status.Summary)
	}
	once := flip(&status, "1")
	if once.Summary.Abnormal != 1 || once.Listeners[0].Normal != 199 || once.Conditions[2].Reason != "MinHealthyMet" {
		t.Errorf("%+v", once)
	}
	twice := flip(&once, "2")
	if diff := cmp.Diff(status.Conditions, twice.Conditions); diff != "" || twice.Summary.Counts != status.Summary.Counts {
		t.Errorf("the status differs: %s", diff)
	}
}

func TestJSONPatchContainsOnlyChanges(t *testing.T) {
	t.Parallel()

	stored := &v1alpha1.LoadBalancerHealth{Status: newStatus("lb-1", 20)}
	stored.ResourceVersion = "7"
	next := *stored
	next.Status = flip(&stored.Status, "R")
	body, err := jsonBody(stored, &next)
	if err != nil {
		t.Fatal(err)
	}
	var operations []operation
	if err := json.Unmarshal(body, &operations); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, o := range operations {
		paths = append(paths, o.Path)
	}
	want := []string{
		"/metadata/resourceVersion", "/status/conditions", "/status/summary", "/status/listeners",
		"/status/backends/0", "/status/lastObservedTime", "/status/lastRequestId",
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	if whole, err := wholeBody(stored, &next); err != nil || len(body)*3 > len(whole) || !bytes.Contains(whole, []byte(`"resourceVersion":"7"`)) {
		t.Errorf("%d bytes against %d, %v", len(body), len(whole), err)
	}
}
