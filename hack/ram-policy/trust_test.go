// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	exampleProvider = "acs:ram::1234567890123456:oidc-provider/ack-rrsa-c0123456789abcdef"
	exampleIssuer   = "https://oidc-ack-cn-hangzhou.oss-cn-hangzhou.aliyuncs.com/c0123456789abcdef"
)

// trust runs the command with -trust and an input that nothing may read.
func trust(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := run(append([]string{"-trust"}, args...), strings.NewReader("not JSON"), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestTrustPolicyHasTheDocumentedShape compares the output to the form that
// Alibaba Cloud documents for RRSA, field by field.
func TestTrustPolicyHasTheDocumentedShape(t *testing.T) {
	want := map[string]any{
		"Version": "1",
		"Statement": []any{map[string]any{
			"Action": "sts:AssumeRole",
			"Effect": "Allow",
			"Condition": map[string]any{"StringEquals": map[string]any{
				"oidc:aud": "sts.aliyuncs.com",
				"oidc:iss": exampleIssuer,
				"oidc:sub": "system:serviceaccount:lb:watcher",
			}},
			"Principal": map[string]any{"Federated": []any{exampleProvider}},
		}},
	}
	for name, args := range map[string][]string{
		"an ARN":                {"-oidc-provider", exampleProvider},
		"an ARN and an account": {"-oidc-provider", exampleProvider, "-account", "1234567890123456"},
		"a name and an account": {"-oidc-provider", "ack-rrsa-c0123456789abcdef", "-account", "1234567890123456"},
	} {
		t.Run(name, func(t *testing.T) {
			document := trust(t, append(args, "-issuer", exampleIssuer, "-namespace", "lb", "-service-account", "watcher")...)
			var got any
			if err := json.Unmarshal([]byte(document), &got); err != nil {
				t.Fatalf("%s: %v", document, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTrustPolicyDefaultsToTheShippedServiceAccount(t *testing.T) {
	kustomization, err := os.ReadFile("../../config/default/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	account, err := os.ReadFile("../../config/rbac/service_account.yaml")
	if err != nil {
		t.Fatal(err)
	}
	find := func(pattern string, in []byte) string { return string(regexp.MustCompile(pattern).FindSubmatch(in)[1]) }
	subject := "system:serviceaccount:" + find(`(?m)^namespace: (\S+)`, kustomization) + ":" +
		find(`(?m)^namePrefix: (\S+)`, kustomization) + find(`(?m)^  name: (\S+)`, account)
	if document := trust(t, "-oidc-provider", exampleProvider, "-issuer", exampleIssuer); !strings.Contains(document, `"oidc:sub": "`+subject+`"`) {
		t.Errorf("%s does not trust %s", document, subject)
	}
}

// TestDocumentedTrustPolicy demands that docs/ack.md shows what its command prints.
func TestDocumentedTrustPolicy(t *testing.T) {
	page, err := os.ReadFile("../../docs/ack.md")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?s)go run ./hack/ram-policy (-trust .*?) > trust.json`).FindSubmatch(page)
	document := regexp.MustCompile("(?s)```json\n(\\{\\s*\"Statement.*?)```").FindSubmatch(page)
	if command == nil || document == nil {
		t.Fatal("docs/ack.md has no command, or no document")
	}
	var out bytes.Buffer
	args := strings.Fields(strings.ReplaceAll(string(command[1]), "\\\n", " "))
	if err := run(args, strings.NewReader(""), &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(out.String(), string(document[1])); diff != "" {
		t.Errorf("output -, docs/ack.md +:\n%s", diff)
	}
}

func TestTrustPolicyRefusesInvalidInput(t *testing.T) {
	valid := []string{"-trust", "-oidc-provider", exampleProvider, "-issuer", exampleIssuer}
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"no provider":                      {[]string{"-trust", "-issuer", exampleIssuer}, "needs -oidc-provider"},
		"no issuer":                        {[]string{"-trust", "-oidc-provider", exampleProvider}, "needs -issuer"},
		"a provider of another kind":       {append(valid, "-oidc-provider", "acs:ram::1234567890123456:saml-provider/x"), "oidc-provider/NAME"},
		"a provider of every account":      {append(valid, "-oidc-provider", "acs:ram::*:oidc-provider/x"), "oidc-provider/NAME"},
		"a provider with an asterisk":      {append(valid, "-oidc-provider", "acs:ram::1:oidc-provider/*"), "oidc-provider/NAME"},
		"a name without an account":        {append(valid, "-oidc-provider", "ack-rrsa-c1"), "needs -account"},
		"an account in words":              {append(valid, "-account", "mine"), "-account"},
		"another account":                  {append(valid, "-account", "99"), "belongs to the account 1234567890123456"},
		"an issuer without TLS":            {append(valid, "-issuer", "http://oidc.example/c1"), "https URL"},
		"an issuer without a host":         {append(valid, "-issuer", "https:///c1"), "https URL"},
		"an issuer with an asterisk":       {append(valid, "-issuer", "https://oidc.example/*"), "https URL"},
		"an issuer with a query":           {append(valid, "-issuer", "https://oidc.example/c1?x=y"), "https URL"},
		"every namespace":                  {append(valid, "-namespace", "*"), "-namespace"},
		"every account":                    {append(valid, "-service-account", "*"), "-service-account"},
		"an account with a colon":          {append(valid, "-service-account", "a:b"), "-service-account"},
		"an empty namespace":               {append(valid, "-namespace", ""), "-namespace"},
		"a flag of the permissions":        {append(valid, "-regions"), "-regions has no effect with -trust"},
		"a flag of trust without -trust":   {[]string{"-issuer", exampleIssuer}, "-issuer needs -trust"},
		"an argument that is not expected": {append(valid, "extra"), `"extra" is not a flag`},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(test.args, strings.NewReader(fleet), &out)
			if err == nil || !strings.Contains(err.Error(), test.says) || out.Len() > 0 {
				t.Errorf("(%q, %v), want an error that says %q", &out, err, test.says)
			}
		})
	}
}
