// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func newMeasurements(n int, goroutines func(i int) float64) []measurement {
	all := make([]measurement, n)
	for i := range all {
		all[i] = measurement{Goroutines: goroutines(i), RSS: 100 << 20, Files: 30, Series: map[string]int{"a": 50}}
	}
	return all
}

func TestGrowthIsFound(t *testing.T) {
	for name, test := range map[string]struct {
		goroutines func(i int) float64
		grows      []string
	}{
		"flat":                {func(int) float64 { return 200 }, nil},
		"noise":               {func(i int) float64 { return 200 + float64(i*7919%20) }, nil},
		"a peak":              {func(i int) float64 { return map[bool]float64{true: 9000, false: 200}[i == 35] }, nil},
		"only in the warm-up": {func(i int) float64 { return min(200, 20*float64(i)) }, nil},
		"a leak":              {func(i int) float64 { return 200 + 9*float64(i) }, []string{"goroutines"}},
		"falling":             {func(i int) float64 { return 500 - 2*float64(i) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var grows []string
			for _, trend := range trends(newMeasurements(40, test.goroutines), false) {
				if trend.grows() {
					grows = append(grows, trend.Name)
				}
			}
			if !slices.Equal(grows, test.grows) {
				t.Errorf("%q grow, want %q", grows, test.grows)
			}
		})
	}
}

func TestTooFewMeasurementsFail(t *testing.T) {
	r := &report{Trends: trends(newMeasurements(2, func(int) float64 { return 1 }), true)}
	if err := r.verdict(); err == nil {
		t.Error("two measurements are enough")
	}
}

func TestGrowingFamilyIsFound(t *testing.T) {
	all := newMeasurements(40, func(int) float64 { return 1 })
	all[39].Series = map[string]int{"a": 61, "b": 10}
	if got := growing(all); len(got) != 1 || got["a"] != 11 {
		t.Errorf("%v", got)
	}
}

func TestForbiddenTextIsFound(t *testing.T) {
	secretValues := []string{"CAISa+b/c=="}
	for _, text := range []string{"x CAISa+b/c==", "CAISa%2Bb%2Fc%3D%3D", "CAISa%252Bb%252Fc%253D%253D", "Q0FJU2ErYi9jPT0=", "Signature%3Dabc", "panic: no", "WARNING: DATA RACE"} {
		if forbidden([]byte(text), secretValues) == "" {
			t.Errorf("nothing is found in %q", text)
		}
	}
	if found := forbidden([]byte("Signature=[redacted], CAIS"), secretValues); found != "" {
		t.Errorf("%q is found", found)
	}
}

func TestSettingsAreRead(t *testing.T) {
	for text, ok := range map[string]bool{"": true, "90s": true, "1h": true, "10": false, "5s": false, "x": false} {
		if _, err := readSettings(func(name string) string { return map[string]string{"SOAK": text}[name] }, time.Now()); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := readSettings(func(string) string { return "90s" }, time.Now()); err == nil || !strings.Contains(err.Error(), "SOAK_SEED") {
		t.Errorf("a seed that is not a number: %v", err)
	}
}
