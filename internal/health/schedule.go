// SPDX-License-Identifier: Apache-2.0

package health

import (
	"time"

	"github.com/cespare/xxhash/v2"
)

const (
	// DefaultInterval is the schema's default of spec.interval.
	DefaultInterval = 30 * time.Second

	// StalledInterval is the least time between observations of a stalled
	// object: the cause may be fixed in Alibaba Cloud, without a change in the cluster.
	StalledInterval = 5 * time.Minute

	// FreshFor is how long an observation serves further objects without another
	// call. It equals the least interval, and a health check lasts longer than
	// this to change its result.
	FreshFor = 5 * time.Second

	minStale = 90 * time.Second
)

// staleAfter is the age at which an observation is too old for a verdict: two
// slow or failed observations must not withdraw a verdict.
func staleAfter(interval time.Duration) time.Duration {
	return max(3*interval, minStale)
}

// NextSlot returns when to observe key again after an observation at last: at
// the key's first slot that is at least half an interval later. A key has one
// slot in every interval, at an offset that a hash of the key gives. So the
// observations of many keys are spread over the interval, even if all of them
// started at once.
func NextSlot(key string, interval time.Duration, last time.Time) time.Time {
	earliest := last.Add(interval / 2)
	sinceSlot := (time.Duration(earliest.UnixNano()) - offset(key, interval)) % interval
	if sinceSlot == 0 {
		return earliest
	}
	return earliest.Add(interval - sinceSlot)
}

// nextHeartbeat returns when to write a status again that was written at last
// and did not change. Each key has a period of its own, from three quarters of
// the heartbeat to all of it, so that objects that were written at once, as when
// a cluster starts, are soon written at different times.
func nextHeartbeat(key string, heartbeat time.Duration, last time.Time) time.Time {
	return last.Add(heartbeat - offset(key, max(heartbeat/4, 1)))
}

// offset is a time in the interval. Its hash is the same in every process, and it
// spreads numbered keys well, which FNV does not.
func offset(key string, interval time.Duration) time.Duration {
	return time.Duration(xxhash.Sum64String(key) % uint64(interval))
}
