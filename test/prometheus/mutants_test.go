// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEachPartOfARuleIsTested breaks one part of the rules after the other: each time,
// a test in the folder rules must fail.
func TestEachPartOfARuleIsTested(t *testing.T) {
	t.Parallel()
	tests := ruleTests(t, rulesFolder)
	for i, r := range readRules(t).all() {
		mutants := mutantsOf(t, r)
		if len(mutants) < 6 {
			t.Errorf("%s has %d mutants only", r.Alert, len(mutants))
		}
		for n, mutant := range mutants {
			t.Run(fmt.Sprintf("%s-%d", r.Alert, n), func(t *testing.T) {
				t.Parallel()
				all := readRules(t)
				all.Groups[0].Rules[i] = mutant
				for file, content := range tests {
					if !strings.Contains(content, r.Alert) {
						continue
					}
					if output, err := promtool(t, all, rulesFolder, "test", "rules", file); err != nil {
						if !strings.Contains(output, "exp:") {
							t.Errorf("%s\n%s", output, mutant.Expr) // no test, but promtool failed
						}
						return
					}
				}
				t.Errorf("no test fails with for: %s, keep_firing_for: %s, and\n%s", mutant.For, mutant.KeepFor, mutant.Expr)
			})
		}
	}
}

var (
	labelList  = regexp.MustCompile(`\b(by|on) \([^)]*\)`)
	matcher    = regexp.MustCompile(`\w+(=~|!~|!=|=)"[^"]*"(, )?`)
	choice     = regexp.MustCompile(`[=!]~"[^"]*"`)
	aggregated = regexp.MustCompile(`max by (\([^)]*\) \([^()]*\) (==|>))`)
	// clause narrows or widens the expression before it.
	clause = regexp.MustCompile(`(?m)^ *(unless|and|or) .*\n?`)
)

// operators are parts of an expression, and what each is replaced with.
var operators = map[string]string{
	"unless on": "and on", "and on": "unless on", "or ": "and ", " == 1": "", " == 0": " >= 0", " > 0\n": "\n",
	"> 0.05": "> 0.5", "> 30": "> 300", "[1d]": "[12h]", "(?i)": "", "0.99": "0.5",
}

func mutantsOf(t *testing.T, r rule) []rule {
	t.Helper()
	var mutants []rule
	for _, expr := range brokenExpressions(r.Expr) {
		mutant := r
		mutant.Expr = expr
		mutants = append(mutants, mutant)
	}
	for _, factor := range []float64{0.5, 2} {
		mutant := r
		mutant.For = scaled(t, r.For, factor)
		mutants = append(mutants, mutant)
	}
	if r.KeepFor != "" {
		for _, factor := range []float64{0, 0.5, 2} {
			mutant := r
			mutant.KeepFor = scaled(t, r.KeepFor, factor)
			mutants = append(mutants, mutant)
		}
	}
	return mutants
}

func scaled(t *testing.T, text string, factor float64) string {
	t.Helper()
	return fmt.Sprintf("%ds", int(duration(t, text).Seconds()*factor))
}

func brokenExpressions(expr string) []string {
	var broken []string
	replace := func(at []int, by string) { broken = append(broken, expr[:at[0]]+by+expr[at[1]:]) }
	for _, at := range labelList.FindAllStringIndex(expr, -1) {
		keyword, list, _ := strings.Cut(strings.TrimSuffix(expr[at[0]:at[1]], ")"), " (")
		labels := strings.Split(list, ", ")
		for i := range labels {
			replace(at, keyword+" ("+strings.Join(slices.Concat(labels[:i], labels[i+1:]), ", ")+")")
		}
	}
	for _, at := range matcher.FindAllStringIndex(expr, -1) {
		replace(at, "")
	}
	for _, at := range choice.FindAllStringIndex(expr, -1) {
		operator, words := expr[at[0]:at[0]+2], strings.Split(expr[at[0]+3:at[1]-1], "|")
		for i := range words {
			if len(words) > 1 {
				replace(at, operator+`"`+strings.Join(slices.Concat(words[:i], words[i+1:]), "|")+`"`)
			}
		}
	}
	for from, to := range operators {
		for at := 0; ; at += len(from) {
			next := strings.Index(expr[at:], from)
			if next < 0 {
				break
			}
			at += next
			replace([]int{at, at + len(from)}, to)
		}
	}
	for _, at := range aggregated.FindAllStringIndex(expr, -1) {
		by := "sum"
		if strings.HasSuffix(expr, "== 0") {
			by = "min" // a sum of none is none, too
		}
		replace([]int{at[0], at[0] + len("max")}, by)
	}
	for _, at := range clause.FindAllStringIndex(expr, -1) {
		if text := expr[at[0]:at[1]]; strings.Count(text, "(") == strings.Count(text, ")") {
			replace(at, "")
		}
	}
	return broken
}
