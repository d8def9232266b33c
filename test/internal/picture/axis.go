// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"math"
	"time"
)

const mostMarks = 5 // beside zero

// marks are round numbers from at most the lowest to at least the highest, and
// zero is among them: lines that start elsewhere look like more than they are.
func marks(lowest, highest, base float64) []float64 {
	lowest, highest = math.Min(lowest, 0), math.Max(highest, 0)
	if lowest == highest {
		highest = 1
	}
	step := roundUp((highest-lowest)/mostMarks, base)
	const tolerance = 1e-9 // of a step
	first, last := math.Floor(lowest/step+tolerance), math.Ceil(highest/step-tolerance)
	var all []float64
	for n := first; n <= last; n++ {
		all = append(all, n*step)
	}
	return all
}

// roundUp is the least of 1, 2 and 5 times a power of ten that is not below a
// size, counted in powers of the base where the size is above it.
func roundUp(size, base float64) float64 {
	scale := 1.0
	for size/scale >= base {
		scale *= base
	}
	power := math.Pow(10, math.Floor(math.Log10(size/scale)))
	for _, digit := range []float64{1, 2, 5} {
		if round := digit * power * scale; round >= size {
			return round
		}
	}
	return 10 * power * scale
}

var timeSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// times are round times within a range, about so many at most, and how they are written.
func times(from, to time.Time, most int) (all []time.Time, layout string) {
	step := timeSteps[len(timeSteps)-1]
	for _, candidate := range timeSteps {
		if to.Sub(from) <= candidate*time.Duration(most) {
			step = candidate
			break
		}
	}
	layout = "15:04:05"
	if step >= time.Minute {
		layout = "15:04"
	}
	for at := from.Truncate(step); !at.After(to); at = at.Add(step) {
		if !at.Before(from) {
			all = append(all, at)
		}
	}
	return all, layout
}
