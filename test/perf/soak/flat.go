// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"slices"
)

// A quantity may differ a little between two quiet moments, and must not grow.
type quantity struct {
	name  string
	value func(sample) float64
	// A later median may be above an earlier one by this part of it, and by this much.
	part, more float64
}

const residentMemory = "resident memory (MiB)"

// idlePool is how many connections to the SLB API may lie idle for a minute, one
// for each worker; a transport keeps two goroutines with each.
const idlePool = 32

var quantities = []quantity{
	{"goroutines", func(s sample) float64 { return s.Goroutines }, 0.10, 2 * idlePool},
	{residentMemory, func(s sample) float64 { return mebibytes(s.RSS) }, 0.15, 8},
	{"heap in use (MiB)", func(s sample) float64 { return mebibytes(s.Heap) }, 0.20, 16}, // as it is when it is asked: garbage too
	{"open files", func(s sample) float64 { return s.Files }, 0.10, idlePool},
	{"connections", func(s sample) float64 { return s.Connections }, 0.10, idlePool},
	{"work that waits", func(s sample) float64 { return s.Waiting }, 0, 5},
	{"metric series, without objects'", func(s sample) float64 { return float64(total(s.Series)) }, 0.03, 10},
}

func mebibytes(bytes float64) float64 { return bytes / (1 << 20) }

// A trend is the median of a quantity in the first and in the last third of
// the samples after the warm-up.
type trend struct {
	Name    string  `json:"name"`
	First   float64 `json:"firstThird"`
	Last    float64 `json:"lastThird"`
	Allowed float64 `json:"allowed"`
}

func (t trend) grows() bool { return t.Last > t.Allowed }

// measured are the samples after the warm-up, a quarter of all.
func measured(samples []sample) []sample { return samples[len(samples)/4:] }

// raceMemory is the part of its memory that a program with the race detector
// may gain: it gives nothing back after an answer of many megabytes.
const raceMemory = 1

func trends(samples []sample, race bool) []trend {
	samples = measured(samples)
	third := len(samples) / 3
	if third == 0 {
		return nil
	}
	first, last := samples[:third], samples[len(samples)-third:]
	found := make([]trend, 0, len(quantities))
	for _, q := range quantities {
		from := medianOf(first, q.value)
		if race && q.name == residentMemory {
			q.part = raceMemory
		}
		found = append(found, trend{Name: q.name, First: from, Last: medianOf(last, q.value), Allowed: from*(1+q.part) + q.more})
	}
	return found
}

func medianOf(samples []sample, value func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i := range samples {
		values[i] = value(samples[i])
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}

// familyLimit is how many series one family may gain: a code or two that was not seen before.
const familyLimit = 10

// growing are the families that have more series at the end than after the warm-up.
func growing(samples []sample) map[string]int {
	samples = measured(samples)
	found := map[string]int{}
	if len(samples) == 0 {
		return found
	}
	first, last := samples[0].Series, samples[len(samples)-1].Series
	for family, n := range last {
		// A histogram gains a dozen series with each label.
		if more := n - first[family]; more > familyLimit && more > n/10 {
			found[family] = more
		}
	}
	return found
}

func total(counted map[string]int) (sum int) {
	for n := range maps.Values(counted) {
		sum += n
	}
	return sum
}
