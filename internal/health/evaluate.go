// SPDX-License-Identifier: Apache-2.0

package health

import (
	"slices"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/slb"
)

// notFoundLimit is how many observations in a row must miss a load balancer
// before it counts as gone: one that is being created is missed too.
const notFoundLimit = 3

// Options are the operator's settings that decide what is written.
type Options struct {
	// MaxBackends bounds status.backends.
	MaxBackends int
	// Heartbeat is how old lastObservedTime may get while answers come in.
	Heartbeat time.Duration
}

// Observation is what this process knows of a load balancer. At most one of
// Sample and Failure is set; neither means that nothing was asked since.
type Observation struct {
	// Sample is the answer, covering what the object asks about.
	Sample *slb.Sample
	// Failure is why there is none.
	Failure *slb.Error
	// AnsweredAt is when an answer last arrived in this process; zero: never.
	AnsweredAt time.Time
	// FailingSince is when the first of the failures in a row happened.
	FailingSince time.Time
	// NotFoundInARow counts observations in a row that missed the load balancer.
	NotFoundInARow int
	// ObserveRequest is the value of the request annotation that this
	// observation serves; "" for none.
	ObserveRequest string
}

// Outcome is what to do about one object.
type Outcome struct {
	// Status is the next status. It shares memory with the previous one:
	// read only.
	Status v1alpha1.LoadBalancerHealthStatus
	// Write tells whether Status differs from what is stored, or is a heartbeat.
	Write bool
	// Changes are the transitions to tell once Status is written.
	Changes Changes
	// StaleAt is when the verdict goes stale if no answer comes; zero when
	// there is none that could.
	StaleAt time.Time
}

// Evaluate decides the next status of an object. It reads object, and changes nothing.
func Evaluate(object *v1alpha1.LoadBalancerHealth, o Observation, now time.Time, options Options) Outcome {
	e := newEvaluation(object, o, now)
	switch {
	case object.Spec.Suspend:
		e.suspended()
	case o.Sample != nil:
		e.answered(options.MaxBackends)
	case o.Failure != nil:
		e.failed()
	default:
		e.waiting()
	}
	return e.outcome(options.Heartbeat)
}

// evaluation is the work on one object: previous is read, next and changes are filled in.
type evaluation struct {
	spec        *v1alpha1.LoadBalancerHealthSpec
	generation  int64
	previous    *v1alpha1.LoadBalancerHealthStatus
	wasObserved judgement
	wasHealthy  judgement
	observation Observation
	policy      policy
	interval    time.Duration
	now         time.Time
	stamp       metav1.Time // now, as stored

	next    v1alpha1.LoadBalancerHealthStatus
	changes Changes
	staleAt time.Time
}

func newEvaluation(object *v1alpha1.LoadBalancerHealth, o Observation, now time.Time) *evaluation {
	e := &evaluation{
		spec:        &object.Spec,
		generation:  object.Generation,
		previous:    &object.Status,
		wasObserved: find(object.Status.Conditions, v1alpha1.ConditionObserved),
		wasHealthy:  find(object.Status.Conditions, v1alpha1.ConditionHealthy),
		observation: o,
		policy:      policyOf(&object.Spec),
		interval:    Interval(&object.Spec),
		now:         now,
		stamp:       metav1.NewTime(now.Truncate(time.Second)),
		next:        object.Status,
	}
	if target := targetOf(&object.Spec); e.next.ObservedTarget == nil || *e.next.ObservedTarget != target {
		// What is known is of something else: it leaves without events.
		e.next = v1alpha1.LoadBalancerHealthStatus{
			ObservedGeneration:        e.next.ObservedGeneration,
			Conditions:                e.next.Conditions,
			LastHandledObserveRequest: e.next.LastHandledObserveRequest,
			ObservedTarget:            &target,
		}
		e.wasHealthy = judgement{}
	}
	return e
}

// Interval is spec.interval with its default.
func Interval(spec *v1alpha1.LoadBalancerHealthSpec) time.Duration {
	if spec.Interval.Duration <= 0 {
		return DefaultInterval
	}
	return spec.Interval.Duration
}

// ScopeOf is the part of the load balancer that an object asks about.
func ScopeOf(spec *v1alpha1.LoadBalancerHealthSpec) slb.Scope {
	scope := slb.Scope{ListenerProtocol: string(spec.ListenerProtocol)}
	if spec.ListenerPort != nil {
		scope.ListenerPort = *spec.ListenerPort
	}
	return scope
}

func targetOf(spec *v1alpha1.LoadBalancerHealthSpec) v1alpha1.ObservedTarget {
	scope := ScopeOf(spec)
	return v1alpha1.ObservedTarget{
		LoadBalancerID: spec.LoadBalancerID, RegionID: spec.RegionID,
		ListenerPort: scope.ListenerPort, ListenerProtocol: spec.ListenerProtocol,
	}
}

// known tells whether an answer about this target is in the status.
func (e *evaluation) known() bool { return e.next.LastObservedTime != nil && e.next.Summary != nil }

func (e *evaluation) suspended() {
	suspended := judgement{metav1.ConditionUnknown, v1alpha1.ReasonSuspended, messageSuspended}
	e.forgetVerdicts()
	e.conclude(judgements{observed: suspended, healthy: suspended})
}

func (e *evaluation) answered(maxBackends int) {
	first := !e.known()
	rows := rowsOf(e.observation.Sample, ScopeOf(e.spec))
	changes := compareBackends(rows, e.next.Backends, e.next.OmittedBackends, e.stamp)
	if !first {
		e.changes.Backends = changes
	}
	e.next.Listeners = listenersOf(rows)
	e.next.Summary = summaryOf(e.next.Listeners)
	e.next.Backends, e.next.OmittedBackends = bounded(rows, maxBackends)
	e.serveRequest()

	healthy := e.verdict()
	e.tellVerdict(healthy, first)
	e.conclude(judgements{
		observed: judgement{metav1.ConditionTrue, v1alpha1.ReasonObservationSucceeded, messageObserved},
		healthy:  healthy,
	})
}

func (e *evaluation) failed() {
	failure := e.observation.Failure
	observed := steady(judgement{metav1.ConditionFalse, string(failure.Kind), failure.Message}, e.wasObserved)
	judged := judgements{observed: observed}
	if e.needsPerson(failure.Kind) {
		judged.stalled = &judgement{metav1.ConditionTrue, observed.reason, observed.message}
	}
	e.serveRequest()
	if !e.known() {
		judged.healthy = judgement{metav1.ConditionUnknown, v1alpha1.ReasonPending, messagePendingAfter(observed.message)}
	} else {
		judged.healthy = e.lastKnown(observed.message)
		e.tellVerdict(judged.healthy, false)
	}
	e.conclude(judged)
}

// waiting is for an object that nobody asked about since it was created or
// edited, or whose turn is late.
func (e *evaluation) waiting() {
	if e.generation == e.previous.ObservedGeneration {
		if e.observation.AnsweredAt.IsZero() || !e.known() {
			return
		}
		healthy := e.lastKnown(messageLate)
		if healthy.reason != v1alpha1.ReasonObservationStale {
			return
		}
		e.tellVerdict(healthy, false)
		e.conclude(judgements{observed: e.wasObserved, healthy: healthy, stalled: e.wasStalled()})
		return
	}
	pending := judgement{metav1.ConditionUnknown, v1alpha1.ReasonPending, messagePending}
	judged := judgements{
		observed:    e.wasObserved,
		healthy:     e.wasHealthy,
		reconciling: &judgement{metav1.ConditionTrue, v1alpha1.ReasonProgressing, messageProgressing},
	}
	if !e.known() || judged.observed.status == "" || judged.observed.reason == v1alpha1.ReasonSuspended {
		judged.observed = pending
	}
	if !e.known() || judged.healthy.status == "" || judged.healthy.reason == v1alpha1.ReasonSuspended {
		judged.healthy = pending
	}
	// The conditions are still those of the generation that was observed.
	e.next.Conditions = judged.list(e.previous.Conditions, e.previous.ObservedGeneration, e.stamp)
}

// verdict judges the counts in next, listener by listener and together.
func (e *evaluation) verdict() judgement {
	for i := range e.next.Listeners {
		e.next.Listeners[i].Health = e.policy.verdict(e.next.Listeners[i].Counts)
	}
	summary := e.next.Summary
	if summary.Backends == 0 && !e.policy.wantsNone() {
		return judgement{metav1.ConditionFalse, v1alpha1.ReasonNoBackends, messageNoBackends(e.next.ObservedTarget)}
	}
	switch health := worst(e.next.Listeners); {
	case health == v1alpha1.Unhealthy:
		return judgement{metav1.ConditionFalse, v1alpha1.ReasonBelowMinHealthy, messageListeners(e.next.Listeners, health, e.policy)}
	case health == v1alpha1.Unknown:
		return judgement{metav1.ConditionUnknown, v1alpha1.ReasonHealthCheckUnavailable, messageListeners(e.next.Listeners, health, e.policy)}
	case summary.Normal == summary.Backends:
		return judgement{metav1.ConditionTrue, v1alpha1.ReasonAllBackendsNormal, messageCounts(summary)}
	default:
		return judgement{metav1.ConditionTrue, v1alpha1.ReasonMinHealthyMet, messageCounts(summary)}
	}
}

// lastKnown is the verdict on the last answer until that is too old.
func (e *evaluation) lastKnown(why string) judgement {
	if staleAt := e.answerStaleAt(); e.now.Before(staleAt) {
		e.staleAt = staleAt
		e.next.Listeners = slices.Clone(e.next.Listeners)
		return e.verdict()
	}
	e.forgetVerdicts()
	return judgement{metav1.ConditionUnknown, v1alpha1.ReasonObservationStale, messageStale(e.interval, why)}
}

// forgetVerdicts makes every listener Unknown: counts are kept as what was
// last known, but a verdict is about now.
func (e *evaluation) forgetVerdicts() {
	e.next.Listeners = slices.Clone(e.next.Listeners)
	for i := range e.next.Listeners {
		e.next.Listeners[i].Health = v1alpha1.Unknown
	}
}

// answerStaleAt is when the last answer is too old to be a verdict. A process
// that got no answer itself knows only lastObservedTime, which lags by up to a
// heartbeat behind the answers that an earlier process got; it gives a standing
// verdict two intervals from its own first failure, so that a lost call at a
// restart turns nothing.
func (e *evaluation) answerStaleAt() time.Time {
	if !e.observation.AnsweredAt.IsZero() {
		return e.observation.AnsweredAt.Add(staleAfter(e.interval))
	}
	staleAt := e.next.LastObservedTime.Add(staleAfter(e.interval))
	switch e.wasHealthy.reason {
	case v1alpha1.ReasonObservationStale, v1alpha1.ReasonSuspended, v1alpha1.ReasonPending, "":
		return staleAt
	}
	if grace := e.observation.FailingSince.Add(2 * e.interval); grace.After(staleAt) {
		return grace
	}
	return staleAt
}

func (e *evaluation) needsPerson(kind slb.Kind) bool {
	switch kind {
	case slb.Forbidden, slb.InvalidCredentials, slb.CredentialsNotFound, slb.InvalidRequest:
		return true
	case slb.LoadBalancerNotFound:
		was := e.wasStalled()
		sameTarget := e.previous.ObservedTarget != nil && *e.previous.ObservedTarget == *e.next.ObservedTarget
		return e.observation.NotFoundInARow >= notFoundLimit ||
			sameTarget && was != nil && was.reason == string(kind)
	default:
		return false
	}
}

func (e *evaluation) wasStalled() *judgement {
	if was := find(e.previous.Conditions, v1alpha1.ConditionStalled); was.status == metav1.ConditionTrue {
		return &was
	}
	return nil
}

func (e *evaluation) serveRequest() {
	if e.observation.ObserveRequest != "" {
		e.next.LastHandledObserveRequest = e.observation.ObserveRequest
	}
}

// tellVerdict records a turned verdict. The first verdict on a target is told
// only if it is bad news, and resuming is not a turn.
func (e *evaluation) tellVerdict(healthy judgement, first bool) {
	switch {
	case first && healthy.status != metav1.ConditionFalse,
		!first && (e.wasHealthy.reason == v1alpha1.ReasonSuspended || e.wasHealthy.reason == v1alpha1.ReasonPending),
		healthy.status == e.wasHealthy.status:
	default:
		e.changes.Verdict = healthy.change()
	}
}

// conclude records the conditions as decided for the current generation.
func (e *evaluation) conclude(judged judgements) {
	observed := judged.observed
	failedBefore := e.wasObserved.status == metav1.ConditionFalse
	switch {
	case observed.status == metav1.ConditionFalse && (!failedBefore || observed.reason != e.wasObserved.reason):
		e.changes.Observation = observed.change()
	case observed.status == metav1.ConditionTrue && failedBefore:
		e.changes.Observation = judgement{observed.status, observed.reason, "DescribeHealthStatus answers again, after " + e.wasObserved.reason}.change()
	}
	e.next.ObservedGeneration = e.generation
	e.next.Conditions = judged.list(e.previous.Conditions, e.generation, e.stamp)
}

// outcome compares with what is stored. Only a status that is written anyway,
// or a heartbeat, takes over the answer's time and request id.
func (e *evaluation) outcome(heartbeat time.Duration) Outcome {
	write := !apiequality.Semantic.DeepEqual(&e.next, e.previous)
	if sample := e.observation.Sample; sample != nil && !e.spec.Suspend {
		if !write && e.known() {
			write = sample.At.Sub(e.next.LastObservedTime.Time) >= heartbeat
		}
		if write || !e.known() {
			e.next.LastObservedTime = new(metav1.NewTime(sample.At.Truncate(time.Second)))
			e.next.LastRequestID = sample.RequestID
			write = true
		}
	}
	return Outcome{Status: e.next, Write: write, Changes: e.changes, StaleAt: e.staleAt}
}
