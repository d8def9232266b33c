// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// object is one as kubectl prints it.
func object(namespace, region, id, secret string) string {
	credentials := ""
	if secret != "" {
		credentials = fmt.Sprintf(`,"credentials":{"secretRef":{"name":%q}}`, secret)
	}
	return fmt.Sprintf(`{"apiVersion":"slb.lbhealth.dev/v1alpha1","kind":"LoadBalancerHealth","metadata":{"namespace":%q,"name":"x"},`+
		`"spec":{"regionId":%q,"loadBalancerId":%q%s},"status":{"observedGeneration":1}}`, namespace, region, id, credentials)
}

func list(objects ...string) string {
	return `{"apiVersion":"v1","kind":"List","metadata":{"resourceVersion":""},"items":[` + strings.Join(objects, ",") + `]}`
}

// decode reads a document as strictly as can be.
func decode(t *testing.T, document []byte) policy {
	t.Helper()
	var p policy
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return p
}

var fleet = list(
	object("team-b", "cn-shanghai", "lb-3", ""),
	object("team-a", "cn-hangzhou", "lb-2", ""),
	object("team-a", "cn-hangzhou", "lb-1", ""),
	object("team-b", "cn-hangzhou", "lb-1", ""), // one load balancer, two objects
	object("team-b", "cn-hangzhou", "lb-4", "partner"),
	object("team-c", "cn-hangzhou", "lb-5", "partner"), // another Secret of the same name
)

func TestPolicyIsTheLeastThatTheObjectsNeed(t *testing.T) {
	both := []string{"slb:DescribeHealthStatus", "slb:DescribeLoadBalancerListeners"}
	for name, test := range map[string]struct {
		args    []string
		actions []string
		want    []string
	}{
		"without listeners": {[]string{"-listeners=false", "-secret=team-b/partner"}, both[:1], []string{"acs:slb:cn-hangzhou:*:loadbalancer/lb-4"}},
		"the operator's own identity": {nil, both, []string{
			"acs:slb:cn-hangzhou:*:loadbalancer/lb-1", "acs:slb:cn-hangzhou:*:loadbalancer/lb-2", "acs:slb:cn-shanghai:*:loadbalancer/lb-3",
		}},
		"a Secret":   {[]string{"-secret=team-b/partner"}, both, []string{"acs:slb:cn-hangzhou:*:loadbalancer/lb-4"}},
		"an account": {[]string{"-secret=team-c/partner", "-account=1234"}, both, []string{"acs:slb:cn-hangzhou:1234:loadbalancer/lb-5"}},
		"regions":    {[]string{"-regions"}, both, []string{"acs:slb:cn-hangzhou:*:loadbalancer/*", "acs:slb:cn-shanghai:*:loadbalancer/*"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := run(test.args, strings.NewReader(fleet), &out); err != nil {
				t.Fatal(err)
			}
			want := policy{"1", []statement{{"Allow", test.actions, test.want}}}
			if diff := cmp.Diff(want, decode(t, out.Bytes())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatCannotBeAPolicyIsRefusedAndNotWidened(t *testing.T) {
	many := make([]string, 200)
	for i := range many {
		many[i] = object("team-a", "cn-hangzhou", fmt.Sprintf("lb-bp1qjwo61pqz3ahltv%03d", i), "")
	}
	for name, test := range map[string]struct {
		args        []string
		input, says string
	}{
		"no list":                    {nil, "NAME READY", "kubectl get lbh -A -o json"},
		"no objects":                 {nil, list(), "no object"},
		"no object with this Secret": {[]string{"-secret=team-a/partner"}, fleet, "no object"},
		"an asterisk for an id":      {nil, list(object("a", "cn-hangzhou", "*", "")), "no load balancer"},
		"an asterisk in a region":    {nil, list(object("a", "cn-*", "lb-1", "")), "no load balancer"},
		"no id":                      {nil, list(object("a", "cn-hangzhou", "", "")), "no load balancer"},
		"a Service without one":      {nil, list(`{"metadata":{"namespace":"a","name":"x"},"spec":{"serviceRef":{"name":"web"}}}`), "a/x: its Service has no load balancer"},
		"an account in words":        {[]string{"-account=mine"}, fleet, "-account"},
		"too many for one policy":    {nil, list(many...), "-regions"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(test.args, strings.NewReader(test.input), &out)
			if err == nil || !strings.Contains(err.Error(), test.says) || out.Len() > 0 {
				t.Errorf("(%q, %v), want an error that says %q", &out, err, test.says)
			}
		})
	}
}

// TestDocumentedPolicies compares the policies in docs/ to the two actions,
// the first of which can stand alone, and to resources of load balancers.
func TestDocumentedPolicies(t *testing.T) {
	resource := regexp.MustCompile(`^acs:slb:([a-z0-9-]+|\*):(\d+|\*):loadbalancer/([A-Za-z0-9_-]+|\*)$`)
	var documents [][][]byte
	for _, file := range []string{"docs/ram-policy.md", "docs/install.md"} {
		content, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, regexp.MustCompile("(?s)```json\n(\\{\\s*\"Version.*?)```").FindAllSubmatch(content, -1)...)
	}
	if len(documents) != 6 {
		t.Errorf("%d documents", len(documents))
	}
	alone := 0
	for _, document := range documents {
		p := decode(t, document[1])
		if p.Version != "1" || len(p.Statement) != 1 || p.Statement[0].Effect != "Allow" {
			t.Fatalf("%s", document[1])
		}
		switch fmt.Sprint(p.Statement[0].Action) {
		case "[slb:DescribeHealthStatus slb:DescribeLoadBalancerListeners]":
		case "[slb:DescribeHealthStatus]":
			alone++
		default:
			t.Errorf("actions %q", p.Statement[0].Action)
		}
		if r := p.Statement[0].Resource; len(r) == 0 || slices.ContainsFunc(r, func(r string) bool { return !resource.MatchString(r) }) {
			t.Errorf("resources %q", r)
		}
	}
	if alone != 1 {
		t.Errorf("%d documents without listeners", alone)
	}
}
