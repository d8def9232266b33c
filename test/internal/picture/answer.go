// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
)

// Series is one of the results of a query.
type Series struct {
	Labels map[string]string
	Points []Point
}

// Point is a value, and when it was so, in Unix seconds.
type Point struct{ At, Value float64 }

// UnmarshalJSON reads a result of /api/v1/query, or of /api/v1/query_range.
func (s *Series) UnmarshalJSON(data []byte) error {
	var result struct {
		Metric map[string]string `json:"metric"`
		Value  *Point            `json:"value"`
		Values []Point           `json:"values"`
	}
	if err := json.Unmarshal(data, &result); err != nil {
		return err
	}
	s.Labels, s.Points = result.Metric, result.Values
	if result.Value != nil {
		s.Points = []Point{*result.Value}
	}
	return nil
}

// UnmarshalJSON reads a pair of a time and a number in quotes, which may be NaN.
func (p *Point) UnmarshalJSON(data []byte) error {
	var text string
	pair := []any{&p.At, &text}
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("a point of %d parts", len(pair))
	}
	var err error
	p.Value, err = strconv.ParseFloat(text, 64)
	return err
}

// last is the newest value, NaN being none.
func (s *Series) last() float64 {
	if len(s.Points) == 0 {
		return math.NaN()
	}
	return s.Points[len(s.Points)-1].Value
}

var label = regexp.MustCompile(`{{\s*(\w+)\s*}}`)

// name is what the legend calls it: the format with labels for braces.
func (s *Series) name(format string) string {
	return label.ReplaceAllStringFunc(format, func(found string) string {
		return s.Labels[label.FindStringSubmatch(found)[1]]
	})
}
