// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// documentedValues are the values in the table of flags of docs/flags.md, by flag.
func documentedValues(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "flags.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| `--") {
			continue
		}
		cells := strings.Split(line, " | ")
		if len(cells) != 4 {
			t.Fatalf("%q has %d columns", line, len(cells))
		}
		flag := strings.Trim(cells[0], "|`- ")
		found[flag] = nil
		for _, value := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[2], -1) {
			found[flag] = append(found[flag], value[1])
		}
		if cells[2] == "always set" {
			found[flag] = []string{}
		}
	}
	if len(found) < 20 {
		t.Fatalf("docs/flags.md has %d flags", len(found))
	}
	return found
}

// flagsOf are the arguments of the Deployments that the chart makes of values, by flag.
func flagsOf(t *testing.T, values map[string]any) (map[string][]string, error) {
	t.Helper()
	content, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := run(t, []string{"HOME=" + t.TempDir()}, content, helmPath(t), "template", release, chartFolder, "--namespace", namespace, "--values", "-")
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for _, object := range parse(t, manifests).of("Deployment") {
		for _, argument := range harness.Decode[appsv1.Deployment](t, object).Spec.Template.Spec.Containers[0].Args {
			name, _, _ := strings.Cut(strings.TrimPrefix(argument, "--"), "=")
			found[name] = append(found[name], argument)
		}
	}
	return found, nil
}

// edit replaces the value at a dotted path by what the function returns; nil
// removes it. It reports whether there was one.
func edit(values map[string]any, path string, other func(any) any) bool {
	name, rest, nested := strings.Cut(path, ".")
	value, found := values[name]
	if nested {
		inner, is := value.(map[string]any)
		return is && edit(inner, rest, other)
	}
	if replacement := other(value); replacement != nil {
		values[name] = replacement
	} else {
		delete(values, name)
	}
	return found
}

func removed(any) any { return nil }

// lengthened is another string, for a value that the chart requires.
func lengthened(value any) any {
	if text, is := value.(string); is {
		return text + "-2"
	}
	return value
}

// changes reports whether a flag changes with a value of a mode.
func changes(t *testing.T, mode, flag, path string, before []string) bool {
	t.Helper()
	return slices.ContainsFunc([]func(any) any{removed, lengthened}, func(other func(any) any) bool {
		values := readValues(t, filepath.Join("testdata", mode+".yaml"))
		if !edit(values, path, other) {
			return false
		}
		flags, err := flagsOf(t, values) // an error: the chart refuses the values
		return err == nil && !slices.Equal(flags[flag], before)
	})
}

// TestFlagsReferenceNamesTheValues edits each value that docs/flags.md names in
// the values of the modes: in one of them the flag must change.
func TestFlagsReferenceNamesTheValues(t *testing.T) {
	rendered := map[string]map[string][]string{}
	for _, mode := range modes(t)[1:] {
		flags, err := flagsOf(t, readValues(t, filepath.Join("testdata", mode+".yaml")))
		if err != nil {
			t.Fatal(err)
		}
		rendered[mode] = flags
	}
	documented := documentedValues(t)
	for flag, paths := range documented {
		for _, path := range paths {
			if !slices.ContainsFunc(modes(t)[1:], func(mode string) bool { return changes(t, mode, flag, path, rendered[mode][flag]) }) {
				t.Errorf("no mode shows that %s sets --%s", path, flag)
			}
		}
	}
	for mode, flags := range rendered {
		extra, _ := readValues(t, filepath.Join("testdata", mode+".yaml"))["extraArgs"].([]any)
		for flag, arguments := range flags {
			if documented[flag] == nil && !slices.Contains(extra, any(arguments[0])) {
				t.Errorf("%s: the chart sets --%s, but docs/flags.md names no value", mode, flag)
			}
		}
	}
}
