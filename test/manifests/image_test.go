// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// TestImages verifies that each image contains only its program, which runs as an
// unprivileged user.
func TestImages(t *testing.T) {
	content := harness.ReadFile(t, filepath.Join("..", "..", "Dockerfile"))
	arguments, stages := stagesOf(string(content))
	for _, want := range []struct{ target, program string }{{"simulator", "slb-simulator"}, {"plugin", "kubectl-lbh"}, {"operator", "slb-health-operator"}} {
		i := slices.IndexFunc(stages, func(s []instruction) bool { return strings.HasSuffix(s[0].value, " AS "+want.target) })
		if i < 0 {
			t.Fatalf("there is no target %s", want.target)
		}
		testImage(t, arguments, stages[i], want.program)
	}
	// docker build without --target builds the last stage.
	if last := stages[len(stages)-1][0].value; !strings.HasSuffix(last, " AS operator") {
		t.Errorf("the default is %q", last)
	}
}

func testImage(t *testing.T, arguments map[string]string, stage []instruction, program string) {
	t.Helper()
	base := regexp.MustCompile(`\$\{(\w+)\}`).ReplaceAllStringFunc(strings.Fields(stage[0].value)[0], func(name string) string {
		return arguments[strings.Trim(name, "${}")]
	})
	// It has certificates and a user, and neither shell nor package manager.
	if !regexp.MustCompile(`^gcr\.io/distroless/static-debian\d+:nonroot$`).MatchString(base) {
		t.Errorf("%s: the base image is %q", program, base)
	}
	var copied, users, entries []string
	for _, i := range stage[1:] {
		switch i.name {
		case "COPY":
			copied = append(copied, i.value)
		case "USER":
			users = append(users, i.value)
		case "ENTRYPOINT":
			entries = append(entries, i.value)
		default: // RUN needs a shell, and ADD fetches
			t.Errorf("%s: the image is made with %s %s", program, i.name, i.value)
		}
	}
	if want := "--from=builder /out/" + program + " /" + program; !slices.Equal(copied, []string{want}) {
		t.Errorf("%s: the image contains %q", program, copied)
	}
	// runAsNonRoot can only be checked of a number.
	if len(users) != 1 || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(users[0]) {
		t.Errorf("%s: it runs as %q", program, users)
	}
	if !slices.Equal(entries, []string{`["/` + program + `"]`}) {
		t.Errorf("%s: it starts with %q", program, entries)
	}
}

type instruction struct{ name, value string }

var instructionForm = regexp.MustCompile(`(?m)^[ \t]*([A-Za-z]+)[ \t]+(.*)$`)

// stagesOf returns the arguments that a Dockerfile has before its first FROM, with
// their defaults, and the instructions of each stage, the first of which is FROM.
func stagesOf(content string) (arguments map[string]string, stages [][]instruction) {
	arguments = map[string]string{}
	for _, found := range instructionForm.FindAllStringSubmatch(strings.ReplaceAll(content, "\\\n", " "), -1) {
		i := instruction{strings.ToUpper(found[1]), strings.Join(strings.Fields(found[2]), " ")}
		switch {
		case i.name == "FROM":
			stages = append(stages, []instruction{i})
		case i.name == "ARG" && stages == nil:
			key, value, _ := strings.Cut(i.value, "=")
			arguments[key] = value
		case stages != nil:
			stages[len(stages)-1] = append(stages[len(stages)-1], i)
		}
	}
	return arguments, stages
}
