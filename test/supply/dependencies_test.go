// SPDX-License-Identifier: Apache-2.0

package supply

import (
	"encoding/json"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// dependency is a row of the tables in docs/dependencies.md.
type dependency struct{ module, purpose, reason, pinnedIn, licence string }

// documented reads the tables, by the go.mod that pins.
func documented(t *testing.T) map[string][]dependency {
	t.Helper()
	text := harness.ReadFile(t, filepath.Join(root, "docs", "dependencies.md"))
	found := map[string][]dependency{}
	for row := range strings.Lines(string(text)) {
		if !strings.HasPrefix(row, "| `") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
		if len(cells) != 5 {
			t.Errorf("docs/dependencies.md has a row of %d cells, not 5: %s", len(cells), row)
			continue
		}
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		d := dependency{cells[0], cells[1], cells[2], cells[3], cells[4]}
		found[d.pinnedIn] = append(found[d.pinnedIn], d)
	}
	return found
}

// moduleFiles returns every go.mod of the repository, as paths from its root.
func moduleFiles(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(repositoryFiles(t), func(file string) bool { return path.Base(file) != "go.mod" })
}

// ownModule is what the others of this repository are built upon.
const ownModule = "github.com/lbhealth/slb-health-operator"

// direct returns the modules that a go.mod names for its own sake: those that
// its packages import, and those that its tools are of.
func direct(t *testing.T, goMod string) []string {
	t.Helper()
	var file struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Tool []struct{ Path string }
	}
	text := run(t, filepath.Join(root, filepath.Dir(goMod)), "go", "mod", "edit", "-json")
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, require := range file.Require {
		if !require.Indirect && require.Path != ownModule {
			found[require.Path] = true
		}
	}
	for _, tool := range file.Tool {
		longest := ""
		for _, require := range file.Require {
			inside := tool.Path == require.Path || strings.HasPrefix(tool.Path, require.Path+"/")
			if inside && len(require.Path) > len(longest) {
				longest = require.Path
			}
		}
		found[longest] = true
	}
	return slices.Sorted(maps.Keys(found))
}

func TestEveryDependencyIsJustified(t *testing.T) {
	table := documented(t)
	files := moduleFiles(t)
	for _, goMod := range files {
		names := []string{}
		for _, d := range table[goMod] {
			names = append(names, d.module)
			if d.purpose == "" || d.reason == "" {
				t.Errorf("docs/dependencies.md does not say what %s is for, and why this one", d.module)
			}
		}
		needed := direct(t, goMod)
		for _, module := range needed {
			if !slices.Contains(names, module) {
				t.Errorf("%s needs %s: justify it in docs/dependencies.md, or do without", goMod, module)
			}
		}
		for i, module := range names {
			if !slices.Contains(needed, module) {
				t.Errorf("docs/dependencies.md has %s, which %s does not need", module, goMod)
			}
			if slices.Contains(names[:i], module) {
				t.Errorf("docs/dependencies.md has %s twice", module)
			}
		}
	}
	for goMod := range table {
		if !slices.Contains(files, goMod) {
			t.Errorf("docs/dependencies.md names %s, which does not exist", goMod)
		}
	}
}

func TestLicencesAreAsDocumented(t *testing.T) {
	for goMod, dependencies := range documented(t) {
		for _, d := range dependencies {
			t.Run(d.module, func(t *testing.T) {
				text := licenceText(t, filepath.Join(root, filepath.Dir(goMod)), d.module)
				if got := licence(text); got != d.licence {
					t.Errorf("its LICENSE says %q, docs/dependencies.md %q", got, d.licence)
				}
			})
		}
	}
}

// licenceText returns the LICENSE of a module, at the version that is pinned in folder.
func licenceText(t *testing.T, folder, module string) string {
	t.Helper()
	var downloaded struct{ Dir string }
	if err := json.Unmarshal([]byte(run(t, folder, "go", "mod", "download", "-json", module)), &downloaded); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(downloaded.Dir, "LICENSE*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no LICENSE in %s: %v", downloaded.Dir, err)
	}
	text := harness.ReadFile(t, files[0])
	return string(text)
}

// marks are words that only this licence has.
var marks = map[string]*regexp.Regexp{
	"Apache-2.0":   regexp.MustCompile(`Apache License,?\s+Version 2\.0`),
	"MIT":          regexp.MustCompile(`Permission is hereby granted, free of charge`),
	"BSD-2-Clause": regexp.MustCompile(`Redistribution and use in source and binary forms`),
	"BSD-3-Clause": regexp.MustCompile(`Neither the name of`),
	"GPL-2.0":      regexp.MustCompile(`GNU GENERAL PUBLIC LICENSE\s+Version 2`),
	"GPL-3.0":      regexp.MustCompile(`GNU GENERAL PUBLIC LICENSE\s+Version 3`),
	"LGPL-3.0":     regexp.MustCompile(`GNU LESSER GENERAL PUBLIC LICENSE\s+Version 3`),
	"MPL-2.0":      regexp.MustCompile(`Mozilla Public License,?\s+[Vv]ersion 2\.0`),
	"ISC":          regexp.MustCompile(`Permission to use, copy, modify, and/or distribute this software`),
}

// licence returns the licences of a text, in their order of appearance.
func licence(text string) string {
	at := map[string]int{}
	for name, mark := range marks {
		if where := mark.FindStringIndex(text); where != nil {
			at[name] = where[0]
		}
	}
	// The third clause comes after the other two.
	if _, third := at["BSD-3-Clause"]; third {
		at["BSD-3-Clause"] = at["BSD-2-Clause"]
		delete(at, "BSD-2-Clause")
	}
	names := slices.SortedFunc(maps.Keys(at), func(a, b string) int { return at[a] - at[b] })
	return strings.Join(names, " AND ")
}
