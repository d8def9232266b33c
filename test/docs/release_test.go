// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const firstRelease = "0.1.0"

var unreleased = regexp.MustCompile(`(?:No release has been tagged|There is no release) yet`)

// TestDocumentsNameTheNewestRelease compares the version that documents and examples install to
// the changelog, and checks that they say so as long as there is no release.
func TestDocumentsNameTheNewestRelease(t *testing.T) {
	changelog, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	newest, released := newestRelease(string(changelog))
	named := regexp.MustCompile(`VERSION=v(\d+\.\d+\.\d+)|--version (\d+\.\d+\.\d+)|targetRevision: (\d+\.\d+\.\d+)|\btag: (\d+\.\d+\.\d+)|newTag: v(\d+\.\d+\.\d+)|\?ref=v(\d+\.\d+\.\d+)`)
	found := 0
	for _, suffix := range []string{".md", ".gotmpl", ".yaml"} {
		each(t, suffix, func(file, content string) {
			if !strings.Contains(file, "docs/") && suffix == ".yaml" {
				return
			}
			for _, match := range named.FindAllStringSubmatch(content, -1) {
				found++
				if version := strings.Join(match[1:], ""); version != newest {
					t.Errorf("%s installs %s, and the newest release is %s", file, match[0], newest)
				}
			}
			if phrase := unreleased.FindString(content); released && phrase != "" {
				t.Errorf("%s still says %q", file, phrase)
			}
		})
	}
	if found < 15 {
		t.Errorf("only %d versions are named", found)
	}
	for _, file := range []string{"README.md", "docs/install.md"} {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if says := unreleased.Match(content); says == released {
			t.Errorf("%s says that there is no release: %t", file, says)
		}
	}
}

// newestRelease returns the first version of a changelog, or the one that will be the first.
func newestRelease(changelog string) (version string, released bool) {
	found := regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\]`).FindStringSubmatch(changelog)
	if found == nil {
		return firstRelease, false
	}
	return found[1], true
}

func TestNewestRelease(t *testing.T) {
	t.Parallel()
	for changelog, want := range map[string]string{
		"# Changelog\n\n## [Unreleased]\n":                                        firstRelease,
		"## [Unreleased]\n\n## [0.2.0] - 2027-01-02\n\n## [0.1.0] - 2026-12-01\n": "0.2.0",
	} {
		if got, released := newestRelease(changelog); got != want || released != (want != firstRelease) {
			t.Errorf("%q: %s, %t", changelog, got, released)
		}
	}
}
