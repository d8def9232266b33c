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

// throughput is how many came in a second between the first and the last
// twentieth of all: what a storm does once it is under way, and before it ends.
func throughput(times []time.Time) float64 {
	sorted := slices.SortedFunc(slices.Values(times), time.Time.Compare)
	from, to := len(sorted)/20, len(sorted)-1-len(sorted)/20
	if to <= from {
		return 0
	}
	return float64(to-from) / sorted[to].Sub(sorted[from]).Seconds()
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
