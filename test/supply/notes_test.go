// SPDX-License-Identifier: Apache-2.0

package supply

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const changelog = `# Changelog

## [Unreleased]

## [0.2.0] - 2026-02-03

### Added

- Two.

## [0.1.0] - 2026-01-02

- One.

[Unreleased]: https://example.com/compare/v0.2.0...HEAD
`

func TestReleaseNotes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "CHANGELOG.md")
	write(t, file, []byte(changelog))
	for _, test := range []struct{ version, notes string }{
		{"v0.2.0", "### Added\n\n- Two."},
		{"v0.1.0", "- One."},
		{"v0.1", ""}, // no prefix of another
		{"v0.3.0", ""},
		{"Unreleased", ""}, // empty
	} {
		t.Run(test.version, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), filepath.Join(root, "hack", "release", "notes.sh"), test.version, file).Output()
			if got := strings.TrimSpace(string(out)); got != test.notes {
				t.Errorf("notes are %q, not %q", got, test.notes)
			}
			if (err != nil) != (test.notes == "") {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}
