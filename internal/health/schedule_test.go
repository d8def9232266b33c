// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestObservationIsStaleAfterThreeIntervalsAndAtLeast90Seconds(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{
		5 * time.Second:  90 * time.Second,
		30 * time.Second: 90 * time.Second,
		31 * time.Second: 93 * time.Second,
		time.Hour:        3 * time.Hour,
	} {
		t.Run(interval.String(), func(t *testing.T) {
			if got := staleAfter(interval); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestSlotIsTheSameInEveryProcess(t *testing.T) {
	got := NextSlot("default/cn-hangzhou/lb-web", 30*time.Second, start)
	if want := time.Date(2026, 1, 2, 3, 4, 30, 157979958, time.UTC); !got.Equal(want) {
		t.Errorf("got %s, want %s: a restart would move every slot", got, want)
	}
}

func TestGapBetweenObservationsIsHalfToOneAndAHalfIntervals(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		interval := 5*time.Second + time.Duration(random.Int64N(int64(time.Hour)))
		last := start.Add(time.Duration(random.Int64N(int64(24 * time.Hour))))
		gap := NextSlot(fmt.Sprint(random.Uint32()), interval, last).Sub(last)
		if gap < interval/2 || gap > interval/2+interval {
			t.Fatalf("interval %s: gap %s", interval, gap)
		}
	}
}

func TestObservationsOnTimeAreExactlyOneIntervalApart(t *testing.T) {
	for _, interval := range []time.Duration{5 * time.Second, 30 * time.Second, 33333333337, time.Hour} {
		for key := range 100 {
			at := NextSlot(fmt.Sprint(key), interval, start)
			for range 10 {
				next := NextSlot(fmt.Sprint(key), interval, at)
				if next.Sub(at) != interval {
					t.Fatalf("key %d, interval %s: gap %s", key, interval, next.Sub(at))
				}
				at = next
			}
		}
	}
}

func TestObservationThatStartedLateDoesNotMoveTheSlots(t *testing.T) {
	const interval = 30 * time.Second
	slot := NextSlot("key", interval, start)
	for late, want := range map[time.Duration]time.Duration{
		0:                      interval,
		time.Nanosecond:        interval,
		14 * time.Second:       interval,
		15 * time.Second:       interval,
		15*time.Second + 1:     2 * interval,
		29 * time.Second:       2 * interval,
		interval + time.Second: 2 * interval,
	} {
		t.Run(late.String(), func(t *testing.T) {
			if got := NextSlot("key", interval, slot.Add(late)).Sub(slot); got != want {
				t.Errorf("the next slot is %s after the one before, want %s", got, want)
			}
		})
	}
}

func TestSlotsOfManyKeysAreSpreadOverTheInterval(t *testing.T) {
	const keys = 10_000
	for _, interval := range []time.Duration{5 * time.Second, 30 * time.Second, time.Hour} {
		t.Run(interval.String(), func(t *testing.T) {
			var tenths [10]int
			for key := range keys {
				at := NextSlot(fmt.Sprintf("default/cn-hangzhou/lb-%05d", key), interval, start.Add(-interval/2))
				if wait := at.Sub(start); wait < 0 || wait >= interval {
					t.Fatalf("the first slot from the start on is %s after it", wait)
				}
				tenths[int(at.Sub(start)*10/interval)]++
			}
			for tenth, n := range tenths {
				if n < keys*8/100 || n > keys*12/100 {
					t.Errorf("tenth %d of the interval gets %d of %d keys: %v", tenth, n, keys, tenths)
				}
			}
		})
	}
}

// Numbered names are usual. A hash that hardly mixes its last byte, such as FNV,
// gives them slots at equal distances: a hundred load balancers with an interval
// of five seconds were due in groups, every half a second.
func TestSlotsOfNumberedKeysAreIrregular(t *testing.T) {
	const keys, interval = 1000, 5 * time.Second
	distances := map[int]int{}
	previous := start
	for key := range keys {
		at := NextSlot(fmt.Sprintf("default/cn-hangzhou/lb-%05d", key), interval, start)
		distances[int((at.Sub(previous)+interval)%interval*100/interval)]++
		previous = at
	}
	if most := slices.Max(slices.Collect(maps.Values(distances))); most > keys*3/100 {
		t.Errorf("%d of %d slots have the same distance to the previous slot, to a hundredth of the interval: %v", most, keys, distances)
	}
}

func TestFreshForIsTheLeastInterval(t *testing.T) {
	if FreshFor != 5*time.Second {
		t.Errorf("an observation serves further objects for %s, and the least interval is 5s", FreshFor)
	}
}
