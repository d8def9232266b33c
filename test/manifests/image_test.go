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

// TestImage verifies that the image contains only the program, which runs as an
// unprivileged user.
func TestImage(t *testing.T) {
	content := harness.ReadFile(t, filepath.Join("..", "..", "Dockerfile"))
	arguments, final := finalInstructions(string(content))

	base := regexp.MustCompile(`\$\{(\w+)\}`).ReplaceAllStringFunc(final[0].value, func(name string) string {
		return arguments[strings.Trim(name, "${}")]
	})
	// It has certificates and a user, and neither shell nor package manager.
	if !regexp.MustCompile(`^gcr\.io/distroless/static-debian\d+:nonroot$`).MatchString(base) {
		t.Errorf("the base image is %q", base)
	}
	var copied, users, entries []string
	for _, i := range final[1:] {
		switch i.name {
		case "COPY":
			copied = append(copied, i.value)
		case "USER":
			users = append(users, i.value)
		case "ENTRYPOINT":
			entries = append(entries, i.value)
		default: // RUN needs a shell, and ADD fetches
			t.Errorf("the image is made with %s %s", i.name, i.value)
		}
	}
	if len(copied) != 1 || !regexp.MustCompile(`^--from=builder \S+/slb-health-operator /slb-health-operator$`).MatchString(copied[0]) {
		t.Errorf("the image contains %q", copied)
	}
	// runAsNonRoot can only be checked of a number.
	if len(users) != 1 || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(users[0]) {
		t.Errorf("it runs as %q", users)
	}
	if !slices.Equal(entries, []string{`["/slb-health-operator"]`}) {
		t.Errorf("it starts with %q", entries)
	}
}

type instruction struct{ name, value string }

var instructionForm = regexp.MustCompile(`(?m)^[ \t]*([A-Za-z]+)[ \t]+(.*)$`)

// finalInstructions returns the arguments that a Dockerfile has before its first FROM,
// with their defaults, and the instructions from its last FROM on.
func finalInstructions(content string) (arguments map[string]string, instructions []instruction) {
	arguments = map[string]string{}
	for _, found := range instructionForm.FindAllStringSubmatch(strings.ReplaceAll(content, "\\\n", " "), -1) {
		i := instruction{strings.ToUpper(found[1]), strings.Join(strings.Fields(found[2]), " ")}
		switch {
		case i.name == "FROM":
			instructions = []instruction{i}
		case i.name == "ARG" && instructions == nil:
			key, value, _ := strings.Cut(i.value, "=")
			arguments[key] = value
		default:
			instructions = append(instructions, i)
		}
	}
	return arguments, instructions
}
