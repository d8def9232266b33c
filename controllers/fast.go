// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

const (
	// steadyAfter is how long a target must be without a signal or a transition
	// until fast observation ends. With ACK's defaults a health check detects a
	// failure after 19 s; slower ones, and a cloud controller manager that retries,
	// need several times as long.
	steadyAfter = 90 * time.Second
	// fastPriority is the queue's priority of fast observations, below routine ones.
	fastPriority = routinePriority - 10
)

// fastState is the fast observation of one target.
type fastState struct {
	// signaledAt is the last signal; zero: none.
	signaledAt time.Time
	// activeAt is the last signal or transition; zero: none.
	activeAt time.Time
	// attemptedAt is when the last fast observation started; zero: none. Routine
	// observations do not depend on it.
	attemptedAt time.Time
	// queued is true while the target is queued for a fast permit.
	queued bool
	// rows identifies the rows of the last observation, and their health, of a
	// scope; observed is false before the first one.
	rows     uint64
	scope    alicloud.Scope
	observed bool
}

// signal records the signals until at; zero: there was none.
func (f *fastState) signal(at time.Time) {
	f.signaledAt, f.activeAt = later(f.signaledAt, at), later(f.activeAt, at)
}

// succeeded compares an observation with the one before it.
func (f *fastState) succeeded(observation *alicloud.Observation) {
	rows := rowsID(observation)
	if f.observed && f.scope == observation.Scope && f.rows != rows {
		f.activeAt = later(f.activeAt, observation.At)
	}
	f.rows, f.scope, f.observed = rows, observation.Scope, true
}

// rowsID identifies the rows of an observation and their health, in any order.
func rowsID(observation *alicloud.Observation) (id uint64) {
	var text []byte // one buffer: this runs for every row of every observation
	for i := range observation.Backends {
		b := &observation.Backends[i]
		text = strconv.AppendInt(text[:0], int64(b.ListenerPort), 10)
		text = strconv.AppendInt(append(text, '/'), int64(b.Port), 10)
		for _, word := range [...]string{b.ListenerProtocol, b.ServerID, b.ServerIP, b.ServerHealthStatus} {
			text = append(append(text, '/'), word...)
		}
		id += xxhash.Sum64(text)
	}
	return id
}

// fastDueAt is when the target is due for a fast observation: at once after a
// signal, and at the interval until the target is steady and no pod awaits it.
// Zero: not before the next routine observation. Fast observation needs a
// successful one before it: retries of failed observations are routine.
func (rec *reconciliation) fastDueAt(interval time.Duration, awaited bool) time.Time {
	f, p := &rec.state.fast, &rec.plan
	if interval <= 0 || p.interval <= interval || p.stalled || rec.state.failures.last != nil || len(p.active) == 0 {
		return time.Time{}
	}
	last := later(f.attemptedAt, rec.state.attemptedAt)
	at := last.Add(interval)
	if f.signaledAt.After(last) {
		at = later(f.signaledAt, f.attemptedAt.Add(interval))
	}
	if !at.Equal(f.signaledAt) && rec.dueAt().Sub(at) < interval/2 {
		return time.Time{} // the routine observation is soon enough
	}
	if awaited || !f.activeAt.IsZero() && at.Before(f.activeAt.Add(steadyAfter)) {
		return at
	}
	return time.Time{}
}

func (r *Reconciler) fastDueAt(rec *reconciliation) time.Time {
	return rec.fastDueAt(r.FastInterval, r.Awaited != nil && r.Awaited(rec.target))
}

// mustObserveFast decides whether to make a fast observation now.
func (r *Reconciler) mustObserveFast(rec *reconciliation) bool {
	if at := r.fastDueAt(rec); !at.IsZero() && !rec.now.Before(at) {
		return true
	}
	if rec.state.fast.queued {
		r.Limiter.Cancel(ratelimit.Claim{Bucket: bucketOf(rec.target), Item: rec.target.LoadBalancerID})
		rec.state.permitAt, rec.state.fast.queued = time.Time{}, false
	}
	return false
}

// fastAttempted records a fast observation, and returns it if it succeeded. One
// that failed changes no status: the routine observations decide on failures, so
// that a failure has the same consequences with and without fast observation.
func (r *Reconciler) fastAttempted(ctx context.Context, rec *reconciliation, result *attempt) *attempt {
	rec.state.fast.attemptedAt = rec.now
	if failure := result.failure; failure != nil {
		log.FromContext(ctx).V(1).Info("fast observation failed", "reason", failure.Kind, "code", failure.Code,
			"requestId", failure.RequestID, "message", failure.Message)
		return nil
	}
	rec.state.succeeded(result.observation)
	return result
}
