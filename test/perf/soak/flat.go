// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"slices"
)

// A quantity may vary a little between two measurements, and must not grow.
type quantity struct {
	name  string
	value func(measurement) float64
	// The last median may exceed the first by this part of it, plus this much.
	part, more float64
}

const rssName = "RSS (MiB)"

// idlePool is how many connections to the SLB API may be idle for a minute, one per
// worker; each has two goroutines.
const idlePool = 32

var quantities = []quantity{
	{"goroutines", func(m measurement) float64 { return m.Goroutines }, 0.10, 2 * idlePool},
	{rssName, func(m measurement) float64 { return mebibytes(m.RSS) }, 0.15, 8},
	{"heap in use (MiB)", func(m measurement) float64 { return mebibytes(m.Heap) }, 0.20, 16}, // with garbage
	{"open files", func(m measurement) float64 { return m.Files }, 0.10, idlePool},
	{"connections", func(m measurement) float64 { return m.Connections }, 0.10, idlePool},
	{"queued reconciles", func(m measurement) float64 { return m.Queued }, 0, 5},
	{"metric series, without those of objects", func(m measurement) float64 { return float64(total(m.Series)) }, 0.03, 10},
}

func mebibytes(bytes float64) float64 { return bytes / (1 << 20) }

// A trend contains the medians of a quantity in the first and in the last third of
// the measurements after the warm-up.
type trend struct {
	Name    string  `json:"name"`
	First   float64 `json:"firstThird"`
	Last    float64 `json:"lastThird"`
	Allowed float64 `json:"allowed"`
}

func (t trend) grows() bool { return t.Last > t.Allowed }

// afterWarmUp drops the first quarter.
func afterWarmUp(all []measurement) []measurement { return all[len(all)/4:] }

// raceGrowth is the part by which the RSS of a program with the race detector may
// grow: the detector frees nothing after a response of many megabytes.
const raceGrowth = 1

func trends(all []measurement, race bool) []trend {
	all = afterWarmUp(all)
	third := len(all) / 3
	if third == 0 {
		return nil
	}
	first, last := all[:third], all[len(all)-third:]
	found := make([]trend, 0, len(quantities))
	for _, q := range quantities {
		from := medianOf(first, q.value)
		if race && q.name == rssName {
			q.part = raceGrowth
		}
		found = append(found, trend{Name: q.name, First: from, Last: medianOf(last, q.value), Allowed: from*(1+q.part) + q.more})
	}
	return found
}

func medianOf(all []measurement, value func(measurement) float64) float64 {
	values := make([]float64, len(all))
	for i := range all {
		values[i] = value(all[i])
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}

// familyLimit is how many series a family may gain, for a new error code or two.
const familyLimit = 10

// growing returns the families that gained series after the warm-up, with the number.
func growing(all []measurement) map[string]int {
	all = afterWarmUp(all)
	found := map[string]int{}
	if len(all) == 0 {
		return found
	}
	first, last := all[0].Series, all[len(all)-1].Series
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
