// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documented is a line of the table: it ends with the name of its test.
var documented = regexp.MustCompile("(?m)^\\|.*\\| `TestFaults/([a-z-]+)` \\|$")

// TestFaultsAreDocumented holds docs/reliability.md to the table of the tests:
// a line for each fault, a test for each line, and the reason and the message
// of each as the test demands them.
func TestFaultsAreDocumented(t *testing.T) {
	lines := map[string]string{}
	for _, found := range documented.FindAllStringSubmatch(readFile(t, filepath.Join("..", "..", "docs", "reliability.md")), -1) {
		if _, twice := lines[found[1]]; twice {
			t.Errorf("%s is documented twice", found[1])
		}
		lines[found[1]] = found[0]
	}
	for _, o := range faultCases() {
		line, found := lines[o.name]
		delete(lines, o.name)
		switch {
		case !found:
			t.Errorf("docs/reliability.md has no line that ends with `TestFaults/%s`", o.name)
		case o.reason != "" && !strings.Contains(line, "`"+o.reason+"`"):
			t.Errorf("the line of %s does not name the reason %s", o.name, o.reason)
		case !strings.Contains(line, o.message):
			t.Errorf("the line of %s does not hold the message %q", o.name, o.message)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		t.Errorf("docs/reliability.md documents %s, which no test proves", name)
	}
}
