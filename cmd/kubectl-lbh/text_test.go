// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestDisplayWidth(t *testing.T) {
	t.Parallel()

	for text, want := range map[string]int{"normal": 6, "负载均衡": 8, "é": 1, "e\u0301": 1, "ｆ": 2, "→": 1, "🙂": 2, "": 0} {
		if got := displayWidth(text); got != want {
			t.Errorf("%q has %d columns, not %d", text, got, want)
		}
	}
	for _, width := range []int{2, 3, 5, 9} {
		if got := truncate("负载均衡 is SLB", width); displayWidth(got) > width || !strings.Contains(got, "…") {
			t.Errorf("%q in %d columns", got, width)
		}
	}
}

func TestWideCharactersKeepColumnsAligned(t *testing.T) {
	t.Parallel()

	_, out := newOptions()
	words := &table{header: []string{"A", "B"}, rows: [][]cell{{{text: "负载"}, {text: "x"}}, {{text: "a\x07bcde"}, {text: "y"}}}}
	if err := words.write(out, false); err != nil {
		t.Fatal(err)
	}
	if want := "A        B\n负载     x\na·bcde   y\n"; out.String() != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

func TestTableFits(t *testing.T) {
	t.Parallel()

	for columns, want := range map[int]int{200: 6, 51: 6, 50: 5, 42: 5, 41: 4, 3: 4} {
		words := &table{rows: [][]cell{nil}}
		for range 6 {
			words.header = append(words.header, "HEAD")
			words.rows[0] = append(words.rows[0], cell{text: "sixsix"})
		}
		words.fit(columns)
		if len(words.header) != want || len(words.rows[0]) != want {
			t.Errorf("in %d columns there are %d, and %d in a row, not %d", columns, len(words.header), len(words.rows[0]), want)
		}
	}
}
