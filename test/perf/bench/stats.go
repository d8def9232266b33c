// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
	"time"
)

// percentile is the smallest value that p percent of all are not above.
func percentile(values []time.Duration, p float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// underWay is the part of a storm between the first and the last twentieth of
// what came: n in the time from one to the other.
func underWay(times []time.Time) (n int, from, to time.Time) {
	sorted := slices.SortedFunc(slices.Values(times), time.Time.Compare)
	first, last := len(sorted)/20, len(sorted)-1-len(sorted)/20
	if last <= first {
		return 0, time.Time{}, time.Time{}
	}
	return last - first, sorted[first], sorted[last]
}

// mean is the mean of two readings of the same processes.
func mean(a, b map[string]float64) map[string]float64 {
	m := map[string]float64{}
	for name := range a {
		m[name] = (a[name] + b[name]) / 2
	}
	return m
}

func flatten[T any](parts [][]T) []T { return slices.Concat(parts...) }

func sum(values []int) (total int) {
	for _, v := range values {
		total += v
	}
	return total
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
