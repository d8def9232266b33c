// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedPatch checks that the patch for RRSA without Helm sets what the chart sets
// with the values of the same page.
func TestDocumentedPatch(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "docs", "ack.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), "```yaml\nidentity:")
	values, rest, _ := strings.Cut(rest, "```")
	_, rest, _ = strings.Cut(rest, "```yaml\napiVersion: apps/v1\nkind: Deployment")
	patch, _, _ := strings.Cut(rest, "```")
	manifests, err := run(t, nil, []byte("identity:"+values), helmPath(t), "template", release, chartFolder, "--values", "-")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`- \{(name: .*)\}`).FindAllStringSubmatch(patch, -1)
	for _, line := range lines {
		if !strings.Contains(withoutQuotes(string(manifests)), withoutQuotes(line[1])) {
			t.Errorf("the chart does not set %s", line[1])
		}
	}
	if len(lines) < 6 {
		t.Errorf("the page has a patch of only %d lines", len(lines))
	}
}

func withoutQuotes(text string) string { return strings.ReplaceAll(text, `"`, "") }

// TestDocumentedValues renders the chart with the values that pages show.
func TestDocumentedValues(t *testing.T) {
	for page, want := range map[string]map[string]string{ // what each block of values begins with, and what it makes
		"ack.md":           {"identity:": "acs:ram::1234567890123456:role/slb-health"},
		"multi-cluster.md": {"slb:": "--slb-qps=2"},
	} {
		content, err := os.ReadFile(filepath.Join(root, "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(content), -1) {
			name, _, _ := strings.Cut(block[1], " ")
			name, _, _ = strings.Cut(name, "\n")
			made, isValues := want[name]
			if !isValues {
				continue
			}
			delete(want, name)
			manifests, err := run(t, nil, []byte(block[1]), helmPath(t), "template", release, chartFolder, "--values", "-")
			if err != nil || !strings.Contains(string(manifests), made) {
				t.Errorf("docs/%s: its values %q make no %s: %v", page, name, made, err)
			}
		}
		for name := range want {
			t.Errorf("docs/%s has no values %q", page, name)
		}
	}
}
