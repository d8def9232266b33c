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

// documentedRow is a row of the table: it ends with the name of its test.
var documentedRow = regexp.MustCompile("(?m)^\\|.*\\| `TestFaults/([a-z-]+)` \\|$")

// TestFaultsAreDocumented compares docs/reliability.md to faultCases: every fault has a row with its reason and
// message, and every row has a test.
func TestFaultsAreDocumented(t *testing.T) {
	rows := map[string]string{}
	for _, found := range documentedRow.FindAllStringSubmatch(readFile(t, filepath.Join("..", "..", "docs", "reliability.md")), -1) {
		if _, twice := rows[found[1]]; twice {
			t.Errorf("%s is documented twice", found[1])
		}
		rows[found[1]] = found[0]
	}
	for _, o := range faultCases() {
		row, found := rows[o.name]
		delete(rows, o.name)
		switch {
		case !found:
			t.Errorf("docs/reliability.md has no row that ends with `TestFaults/%s`", o.name)
		case o.reason != "" && !strings.Contains(row, "`"+o.reason+"`"):
			t.Errorf("the row of %s does not name the reason %s", o.name, o.reason)
		case !strings.Contains(row, o.message):
			t.Errorf("the row of %s does not have the message %q", o.name, o.message)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		t.Errorf("docs/reliability.md documents %s, which has no test", name)
	}
}
