// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var outputSpecs = []spec{
	{"-o json is a list, worst first, also of nothing", jsonOutput},
	{"-o yaml of one name is that object", yamlOutput},
	{"-o wide adds port, age and message; -o name is for other commands", otherOutputs},
}

func jsonOutput(t *testing.T, s *fixture) {
	var list struct {
		APIVersion, Kind string
		Items            *[]v1alpha1.LoadBalancerHealth
	}
	decode := func() {
		t.Helper()
		if err := json.Unmarshal([]byte(s.lbh(t, "-o", "json").succeeds(t)), &list); err != nil {
			t.Fatal(err)
		}
		if list.APIVersion != v1alpha1.GroupVersion.String() || list.Kind != "LoadBalancerHealthList" || list.Items == nil {
			t.Fatalf("%+v", list)
		}
	}
	decode()
	if len(*list.Items) != 0 {
		t.Errorf("%+v", *list.Items)
	}
	s.put(t, "bad", "abnormal")
	s.observe(t, "bad")
	s.observe(t, "a-new-one", labelled(unserved, "true"))
	s.until(t, "bad", v1alpha1.ReasonBelowMinHealthy)
	decode()
	items := *list.Items
	if len(items) != 2 || items[0].Name != "bad" || items[0].Kind != "LoadBalancerHealth" || items[0].Status.Summary.Abnormal != 1 || items[0].ManagedFields != nil {
		t.Errorf("%+v", items)
	}
}

func yamlOutput(t *testing.T, s *fixture) {
	s.pair(t)
	var object v1alpha1.LoadBalancerHealth
	if err := yaml.UnmarshalStrict([]byte(s.lbh(t, "web", "-o", "yaml").succeeds(t)), &object); err != nil {
		t.Fatal(err)
	}
	if object.Kind != "LoadBalancerHealth" || object.Name != "web" || object.Spec.LoadBalancerID != s.lb("web") {
		t.Errorf("%+v", object)
	}
}

func otherOutputs(t *testing.T, s *fixture) {
	s.put(t, "web", "normal", "abnormal")
	s.observe(t, "web")
	s.until(t, "web", v1alpha1.ReasonMinHealthyMet)
	rows := strings.Split(s.lbh(t, "-o", "wide").table(t), "\n")
	if !strings.HasSuffix(rows[0], "PORT   OBSERVED   MESSAGE") || !strings.HasSuffix(rows[1], "1 of 2 backends are normal (1 abnormal)") {
		t.Errorf("%q", rows)
	}
	if got := s.lbh(t, "-o", "name").succeeds(t); got != "loadbalancerhealth.slb.lbhealth.dev/web\n" {
		t.Errorf("%q", got)
	}
	if got := s.lbh(t, "-o", "jsonpath={.items[*].status.summary.abnormal}").succeeds(t); got != "1" {
		t.Errorf("%q", got)
	}
	s.lbh(t, "-o", "table").fails(t, "table", "wide")
}
