// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"maps"
	"testing"
)

func TestSeries(t *testing.T) {
	t.Parallel()

	const text = `# HELP go_goroutines x
go_goroutines 42
workqueue_depth{name="a b",priority="1"} 2
workqueue_depth{name="c"} 1e+00
requests_total{code="200",resource="health",subresource="status",verb="PATCH"} 40
requests_total{code="200",resource="health",subresource="status",verb="PUT"} 2
requests_total{code="200",resource="health",subresource="",verb="LIST"} 7
requests_total{code="200",resource="pods",subresource="status",verb="PATCH"} 1.5e+06
`
	s, err := ParseSeries(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Sum("workqueue_depth"); got != 3 {
		t.Errorf("the sum of a family is %v, not 3", got)
	}
	if got := s.Sum("requests_total", `resource="health"`, `subresource="status"`); got != 42 {
		t.Errorf("the sum of the series with two labels is %v, not 42", got)
	}
	if got, want := s.Count(), map[string]int{"go_goroutines": 1, "workqueue_depth": 2, "requests_total": 4}; !maps.Equal(got, want) {
		t.Errorf("the families have %v series, not %v", got, want)
	}
	if _, err := ParseSeries("go_goroutines many"); err == nil {
		t.Error("a value that is not a number is accepted")
	}
}
