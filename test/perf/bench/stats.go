// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
	"time"
)

// percentile returns the smallest value that at least p percent do not exceed.
func percentile(values []time.Duration, p float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// middleOf drops the first and the last twentieth of some times: n others follow the
// first that it keeps.
func middleOf(times []time.Time) (n int, from, to time.Time) {
	sorted := slices.SortedFunc(slices.Values(times), time.Time.Compare)
	first, last := len(sorted)/20, len(sorted)-1-len(sorted)/20
	if last <= first {
		return 0, time.Time{}, time.Time{}
	}
	return last - first, sorted[first], sorted[last]
}

// median returns the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
