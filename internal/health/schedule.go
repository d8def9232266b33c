// SPDX-License-Identifier: Apache-2.0

package health

import (
	"time"

	"github.com/cespare/xxhash/v2"
)

const (
	// DefaultInterval is the schema's default of spec.interval.
	DefaultInterval = 30 * time.Second

	// StalledInterval is the least time between observations of what needs a
	// person: the cloud side heals without telling Kubernetes.
	StalledInterval = 5 * time.Minute

	// FreshFor is how long an answer serves further objects without another
	// call. The health checker's own verdict takes longer to settle, and it is
	// the least interval, so nobody asked for anything newer.
	FreshFor = 5 * time.Second

	minStale = 90 * time.Second
)

// staleAfter is the age from which an answer is no verdict any more: one slow
// or lost observation, or two, must not turn a verdict.
func staleAfter(interval time.Duration) time.Duration {
	return max(3*interval, minStale)
}

// NextSlot returns when to look again at key, which was last looked at at
// last: the key's next slot at least half an interval later. Slots recur every
// interval, at a phase that comes from a hash of the key, so that many keys
// never come due together, whatever started them together.
func NextSlot(key string, interval time.Duration, last time.Time) time.Time {
	earliest := last.Add(interval / 2)
	sinceSlot := (time.Duration(earliest.UnixNano()) - phase(key, interval)) % interval
	if sinceSlot == 0 {
		return earliest
	}
	return earliest.Add(interval - sinceSlot)
}

// nextHeartbeat returns when a status that was written at last is written again
// though nothing changed. Each key has a pace of its own, from three quarters of
// the heartbeat to all of it: what was written together, as when a cluster
// starts, drifts apart instead of beating together for ever.
func nextHeartbeat(key string, heartbeat time.Duration, last time.Time) time.Time {
	return last.Add(heartbeat - phase(key, max(heartbeat/4, 1)))
}

// phase needs a hash that is the same in every process and that mixes well: with
// FNV, keys that are numbered come due in a beat.
func phase(key string, interval time.Duration) time.Duration {
	return time.Duration(xxhash.Sum64String(key) % uint64(interval))
}
