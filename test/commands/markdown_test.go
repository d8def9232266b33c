// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"slices"
	"strings"
	"testing"
)

// block is a fenced block of a page. A console block has a prompt and an output for each command.
type block struct {
	language string
	lines    []string
}

// blocksOf returns the blocks of a page that have commands.
func blocksOf(page string) []block {
	var found []block
	var current *block
	indent := ""
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		fence := strings.TrimLeft(line, " ")
		switch {
		case current == nil && strings.HasPrefix(fence, "```"):
			current, indent = &block{language: strings.TrimPrefix(fence, "```")}, line[:len(line)-len(fence)]
		case current != nil && fence == "```":
			if current.language == "sh" || current.language == "console" {
				found = append(found, *current)
			}
			current = nil
		case current != nil:
			current.lines = append(current.lines, strings.TrimPrefix(line, indent))
		}
	}
	return found
}

// commands returns the commands of a block, each with its further lines and its here-document.
func (b block) commands() []string {
	var found []string
	end, open := "", false
	for _, line := range b.lines {
		if b.language == "console" {
			if command, prompted := strings.CutPrefix(line, "$ "); prompted {
				found = append(found, command)
			}
			continue
		}
		if open || end != "" {
			found[len(found)-1] += "\n" + line
		} else if text, _, _ := strings.Cut(line, "#"); strings.TrimSpace(text) != "" {
			found = append(found, line)
		} else {
			continue
		}
		if _, tag, here := strings.Cut(line, "<<"); here {
			end = strings.Trim(tag, `'"`)
		} else if line == end {
			end = ""
		}
		open = strings.HasSuffix(line, `\`)
	}
	return found
}

// outputs returns what a console block shows after each command.
func (b block) outputs() []string {
	var found []string
	for _, line := range b.lines {
		if strings.HasPrefix(line, "$ ") {
			found = append(found, "")
		} else if len(found) > 0 {
			found[len(found)-1] += line + "\n"
		}
	}
	return found
}

func TestCommandsOfPage(t *testing.T) {
	t.Parallel()
	const page = "text\n```sh\n# note\nA=1\n\nmake x \\\n  Y=z   # why\nkubectl apply -f - <<'END'\nkind: X\nEND\nls\n```\n" +
		"- item:\n  ```sh\n  one\n  ```\n```yaml\nno: 1\n```\n```console\n$ two\nout\nput\n$ three\n```\n"
	var got []string
	blocks := blocksOf(page)
	for _, b := range blocks {
		got = append(got, b.commands()...)
	}
	want := []string{"A=1", "make x \\\n  Y=z   # why", "kubectl apply -f - <<'END'\nkind: X\nEND", "ls", "one", "two", "three"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
	if got := blocks[len(blocks)-1].outputs(); !slices.Equal(got, []string{"out\nput\n", ""}) {
		t.Errorf("the outputs are %q", got)
	}
}
