// SPDX-License-Identifier: Apache-2.0

// Package docs checks the documents: every link leads to a page and a heading, and
// the index leads to every page.
package docs

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root = "../.."
	// index is the page that leads to every other page of docs.
	index = "docs/README.md"
)

func TestLinksHaveTargets(t *testing.T) {
	pages := readPages(t)
	if len(pages) < 10 {
		t.Fatalf("only %d pages", len(pages))
	}
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		for _, target := range pages[name].links {
			if problem := check(pages, name, target); problem != "" {
				t.Errorf("%s links to %s: %s", name, target, problem)
			}
		}
	}
}

func TestIndexLeadsToEveryPage(t *testing.T) {
	pages := readPages(t)
	found := map[string]bool{index: true}
	for todo := []string{index}; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		for _, target := range pages[name].links {
			to, _, local := resolve(name, target)
			if _, isPage := pages[to]; local && isPage && !found[to] && strings.HasPrefix(to, "docs/") {
				found[to] = true
				todo = append(todo, to)
			}
		}
	}
	for name := range pages {
		if strings.HasPrefix(name, "docs/") && !found[name] {
			t.Errorf("nothing that starts at %s leads to %s", index, name)
		}
	}
}

// check returns what is wrong with a link, or "". It requests no address of
// another site, whose server may be down.
func check(pages map[string]page, from, target string) string {
	to, anchor, local := resolve(from, target)
	if !local {
		return ""
	}
	if strings.HasPrefix(to, "..") {
		return "that is outside of the repository"
	}
	if _, err := os.Stat(filepath.Join(root, to)); errors.Is(err, fs.ErrNotExist) {
		return "there is no " + to
	}
	p, isPage := pages[to]
	switch {
	case anchor == "" || (isPage && slices.Contains(p.anchors, anchor)):
		return ""
	case !isPage:
		return to + " has no headings"
	default:
		return to + " has no heading for #" + anchor
	}
}

// resolve splits a link into a path from the root and an anchor.
func resolve(from, target string) (to, anchor string, local bool) {
	if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
		return "", "", false
	}
	file, anchor, _ := strings.Cut(target, "#")
	if file == "" {
		return from, anchor, true
	}
	return path.Join(path.Dir(from), file), anchor, true
}

// page is a Markdown file.
type page struct{ links, anchors []string }

func readPages(t *testing.T) map[string]page {
	t.Helper()
	pages := map[string]page{}
	each(t, ".md", func(file, content string) { pages[file] = parse(content) })
	return pages
}

var (
	link       = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)`)
	definition = regexp.MustCompile(`^\[[^\]]+\]:\s+(\S+)`)
	heading    = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*$`)
	named      = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
	code       = regexp.MustCompile("`[^`]*`")
	linkText   = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	unheard    = regexp.MustCompile(`[^\p{L}\p{N}\p{M} _-]`)
)

// parse reads what is not code.
func parse(text string) page {
	var p page
	block := "" // the mark that closes the block of code
	for row := range strings.Lines(text) {
		row = strings.TrimRight(row, "\r\n")
		content := strings.TrimLeft(row, " >")
		switch mark := content[:min(3, len(content))]; {
		case mark == block && block != "":
			block = ""
			continue
		case block == "" && (mark == "```" || mark == "~~~"):
			block = mark
		}
		if block != "" {
			continue
		}
		if found := heading.FindStringSubmatch(row); found != nil {
			p.anchors = append(p.anchors, p.anchor(found[1]))
		}
		outside := code.ReplaceAllString(row, "")
		for _, found := range slices.Concat(link.FindAllStringSubmatch(outside, -1), definition.FindAllStringSubmatch(outside, -1)) {
			p.links = append(p.links, found[1])
		}
		for _, found := range named.FindAllStringSubmatch(outside, -1) {
			p.anchors = append(p.anchors, found[1])
		}
	}
	return p
}

// anchor is what a code host calls a heading: small letters, words joined, and
// a number where there is one of that name already.
func (p page) anchor(title string) string {
	title = linkText.ReplaceAllString(title, "$1")
	slug := strings.ReplaceAll(unheard.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
	for n, candidate := 0, slug; ; candidate = slug + "-" + string(rune('0'+n)) {
		if !slices.Contains(p.anchors, candidate) {
			return candidate
		}
		n++
	}
}

func TestParse(t *testing.T) {
	t.Parallel()

	p := parse("# What `it` says, in short: 5%\n## Again\n## Again\n[a](b.md#c \"title\") ![d](e.svg) `[no](no.md)`\n```\n[no](no.md)\n# No\n```\n[f]: g.md\n<a id=\"h\"></a>\n")
	if want := []string{"b.md#c", "e.svg", "g.md"}; !slices.Equal(p.links, want) {
		t.Errorf("%q, not %q", p.links, want)
	}
	if want := []string{"what-it-says-in-short-5", "again", "again-1", "h"}; !slices.Equal(p.anchors, want) {
		t.Errorf("%q, not %q", p.anchors, want)
	}
}

func TestBrokenLinksAreFound(t *testing.T) {
	t.Parallel()

	pages := map[string]page{"docs/faq.md": {anchors: []string{"why"}}, "README.md": {}}
	for target, broken := range map[string]bool{
		"docs/faq.md": false, "docs/faq.md#why": false, "docs/faq.md#how": true, "docs/none.md": true, "../elsewhere.md": true,
		"https://example.com/none": false, "#nothing": true, "go.mod": false, "go.mod#x": true,
	} {
		if problem := check(pages, "README.md", target); (problem != "") != broken {
			t.Errorf("%s: %q", target, problem)
		}
	}
}
