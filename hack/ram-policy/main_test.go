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
		"an asterisk for an id":      {nil, list(object("a", "cn-hangzhou", "*", "")), "is no load balancer"},
		"an asterisk in a region":    {nil, list(object("a", "cn-*", "lb-1", "")), "no load balancer"},
		"no id":                      {nil, list(object("a", "cn-hangzhou", "", "")), "no load balancer"},
		"a product without health":   {nil, list(object("a", "cn-hangzhou", "gwlb-1", "")), "no load balancer that the operator observes"},
		"a Service without one":      {nil, list(`{"metadata":{"namespace":"a","name":"x"},"spec":{"serviceRef":{"name":"web"}}}`), "a/x: its Service web has no load balancer"},
		"an Ingress without one":     {nil, list(`{"metadata":{"namespace":"a","name":"x"},"spec":{"ingressRef":{"name":"shop"}}}`), "a/x: its Ingress shop has no load balancer"},
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

// grants are what a policy allows, as ACTION on RESOURCE.
func (p *policy) grants() []string {
	var all []string
	for _, s := range p.Statement {
		for _, action := range s.Action {
			for _, resource := range s.Resource {
				all = append(all, action+" on "+resource)
			}
		}
	}
	return all
}

func TestPolicyHasTheProductsOfTheObjects(t *testing.T) {
	fleet := list(
		object("team-a", "cn-hangzhou", "alb-1", ""), object("team-a", "cn-shanghai", "nlb-2", ""), object("team-a", "cn-hangzhou", "nlb-1", ""),
		object("team-b", "cn-hangzhou", "nlb-1", ""), object("team-b", "cn-hangzhou", "lb-alb-1", ""),
	)
	health := func(product string) []string {
		return []string{product + ":GetListenerHealthStatus", product + ":GetLoadBalancerAttribute"}
	}
	lists := func(product string) []string {
		return []string{product + ":ListListeners", product + ":ListServerGroups"}
	}
	want := policy{"1", []statement{
		{"Allow", []string{"slb:DescribeHealthStatus"}, []string{"acs:slb:cn-hangzhou:12:loadbalancer/lb-alb-1"}},
		{"Allow", health("nlb"), []string{"acs:nlb:cn-hangzhou:12:loadbalancer/nlb-1", "acs:nlb:cn-shanghai:12:loadbalancer/nlb-2"}},
		{"Allow", []string{"nlb:ListServerGroupServers"}, []string{"acs:nlb:cn-hangzhou:12:serverGroup/*", "acs:nlb:cn-shanghai:12:serverGroup/*"}},
		{"Allow", lists("nlb"), []string{"*"}},
		{"Allow", health("alb"), []string{"acs:alb:cn-hangzhou:12:loadbalancer/alb-1"}},
		{"Allow", []string{"alb:ListServerGroupServers"}, []string{"acs:alb:cn-hangzhou:12:servergroup/*"}},
		{"Allow", lists("alb"), []string{"*"}},
	}}
	var out bytes.Buffer
	if err := run([]string{"-account=12", "-listeners=false"}, strings.NewReader(fleet), &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, decode(t, out.Bytes())); diff != "" {
		t.Error(diff)
	}
}

// TestPrintedPoliciesAreDocumented demands that docs/ram-policy.md shows what the
// command prints for one load balancer of each product.
func TestPrintedPoliciesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/ram-policy.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"lb-bp1qjwo61pqz3ahltv0mw", "nlb-cigfz0a7mkfhzg8vz9", "alb-8zmkhp2cqnwj0kkyz4"} {
		var out bytes.Buffer
		if err := run(nil, strings.NewReader(list(object("prod", "cn-hangzhou", id, ""))), &out); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(page, slices.Concat([]byte("```json\n"), out.Bytes(), []byte("```"))) {
			t.Errorf("docs/ram-policy.md lacks\n%s", &out)
		}
	}
}

// TestDocumentedPolicies demands of each policy in docs/ all actions of its
// products, but once the first one of CLB alone, on resources of their form.
func TestDocumentedPolicies(t *testing.T) {
	alone := 0
	for file, count := range map[string]int{"docs/ram-policy.md": 7, "docs/install.md": 1} {
		content, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		documents := regexp.MustCompile("(?s)```json\n(\\{\\s*\"Version.*?)```").FindAllSubmatch(content, -1)
		if len(documents) != count {
			t.Errorf("%s has %d policies, want %d", file, len(documents), count)
		}
		for _, document := range documents {
			p := decode(t, document[1])
			if p.Version != "1" || slices.ContainsFunc(p.Statement, func(s statement) bool { return s.Effect != "Allow" || len(s.Resource) == 0 }) {
				t.Errorf("%s", document[1])
			}
			if verifyGrants(t, &p) {
				alone++
			}
		}
	}
	if alone != 1 {
		t.Errorf("%d documents without listeners", alone)
	}
}

// verifyGrants reports whether a policy lacks the action that CLB can do without.
// It demands the other actions of the policy's products.
func verifyGrants(t *testing.T, p *policy) (alone bool) {
	t.Helper()
	var allowed []string
	for _, s := range p.Statement {
		allowed = append(allowed, s.Action...)
	}
	forms := strings.NewReplacer("REGION", `([a-z0-9-]+|\*)`, "ACCOUNT", `(\d+|\*)`, "ID", `([A-Za-z0-9_-]+|\*)`)
	known := 0
	for i := range products {
		product := &products[i].Product
		if !slices.ContainsFunc(allowed, func(action string) bool { return strings.HasPrefix(action, product.Name+":") }) {
			continue
		}
		for _, action := range product.Actions {
			if !slices.Contains(allowed, product.RAMAction(action)) {
				alone = alone || action == optional
				if action != optional {
					t.Errorf("%s is missing in %q", product.RAMAction(action), allowed)
				}
				continue
			}
			known++
			form := regexp.MustCompile(`^` + product.RAMAction(action) + ` on (\*|` +
				forms.Replace(regexp.QuoteMeta(product.RAMResource(action, "REGION", "ACCOUNT", "ID"))) + `)$`)
			for _, grant := range p.grants() {
				if strings.HasPrefix(grant, product.RAMAction(action)+" ") && !form.MatchString(grant) {
					t.Errorf("the form of %q is not %s", grant, form)
				}
			}
		}
	}
	if known != len(allowed) {
		t.Errorf("an action that the operator does not call, or twice, in %q", allowed)
	}
	return alone
}
