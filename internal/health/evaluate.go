// SPDX-License-Identifier: Apache-2.0

package health

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Evaluate decides the next status of an object. It reads object, and changes nothing.
func Evaluate(object *v1alpha1.LoadBalancerHealth, o Input, now time.Time, options Options) Outcome {
	e := newEvaluation(object, o, now, options)
	switch {
	case object.Spec.Suspend:
		e.suspended()
	case o.Observation != nil:
		e.answered()
	case o.Failure != nil:
		e.failed()
	default:
		e.waiting()
	}
	return e.outcome()
}

// evaluation is the work on one object: previous is read, next and changes are filled in.
type evaluation struct {
	key         string // tells objects apart
	spec        *v1alpha1.LoadBalancerHealthSpec
	generation  int64
	edited      bool // nobody concluded anything on this generation and load balancer yet
	askable     bool // it is about a load balancer, not a Service that has none
	previous    *v1alpha1.LoadBalancerHealthStatus
	wasObserved judgement
	wasHealthy  judgement
	input       Input
	options     Options
	policy      policy
	interval    time.Duration
	now         time.Time
	stamp       metav1.Time // now, as stored
	request     string      // the value of the request annotation
	accepted    bool        // a missing listener was accepted by annotation
	unaccepted  string      // what is wrong with that annotation; "" for nothing

	next        v1alpha1.LoadBalancerHealthStatus
	transitions Transitions
	staleAt     time.Time
}

func newEvaluation(object *v1alpha1.LoadBalancerHealth, o Input, now time.Time, options Options) *evaluation {
	_, _, askable := object.LoadBalancer()
	e := &evaluation{
		key:         object.Namespace + "/" + object.Name,
		spec:        &object.Spec,
		generation:  object.Generation,
		edited:      Edited(object),
		askable:     askable,
		previous:    &object.Status,
		wasObserved: find(object.Status.Conditions, v1alpha1.ConditionObserved),
		wasHealthy:  find(object.Status.Conditions, v1alpha1.ConditionHealthy),
		input:       o,
		options:     options,
		policy:      policyOf(&object.Spec),
		interval:    Interval(&object.Spec),
		now:         now,
		stamp:       metav1.NewTime(now.Truncate(time.Second)),
		request:     object.Annotations[v1alpha1.ObserveRequestedAtAnnotation],
		next:        notAhead(object.Status, o.AnsweredAt, now),
	}
	if target := targetOf(object); e.next.ObservedTarget == nil || *e.next.ObservedTarget != target {
		// What is known is of something else: it leaves without events.
		e.next = v1alpha1.LoadBalancerHealthStatus{
			ObservedGeneration:          e.next.ObservedGeneration,
			Conditions:                  e.next.Conditions,
			LastHandledObserveRequest:   e.next.LastHandledObserveRequest,
			LastAttemptedObserveRequest: e.next.LastAttemptedObserveRequest,
			ServiceLoadBalancer:         e.next.ServiceLoadBalancer,
			ObservedTarget:              &target,
		}
		e.wasHealthy = judgement{}
	}
	known := len(e.next.Listeners)
	e.next.Listeners, e.unaccepted = acceptListeners(e.next.Listeners, object.Annotations[v1alpha1.ListenersAcceptedAtAnnotation], now)
	if e.accepted = len(e.next.Listeners) < known; e.accepted && e.next.Summary != nil {
		e.next.Summary = summaryOf(e.next.Listeners)
	}
	if object.Spec.ServiceRef == nil {
		e.next.ServiceLoadBalancer = nil
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

// known tells whether an answer about this target is in the status.
func (e *evaluation) known() bool { return e.next.LastObservedTime != nil && e.next.Summary != nil }

func (e *evaluation) suspended() {
	suspended := judgement{metav1.ConditionUnknown, v1alpha1.ReasonSuspended, messageSuspended}
	e.forgetVerdicts()
	e.conclude(judgements{observed: suspended, healthy: suspended})
}

func (e *evaluation) answered() {
	first := !e.known()
	was := e.lastVerdict()
	rows := rowsOf(e.input.Observation, ScopeOf(e.spec))
	changes := compareBackends(rows, e.next.Backends, omittedRows{e.next.OmittedBackends, e.next.LastObservedTime}, e.stamp)
	place(rows, changes, e.input.Places, e.now)
	answered, previous := listenersOf(rows), e.next.Listeners
	facts := factsOf(&e.input, e.spec, answered)
	e.next.Listeners = mergeListeners(answered, previous, facts, e.policy, e.stamp)
	e.next.Summary = summaryOf(e.next.Listeners)
	if !first {
		e.transitions.Backends = changes
		e.transitions.Listeners = listenerChanges(e.next.Listeners, previous)
	}
	if e.input.ObserveRequest != "" {
		e.next.LastHandledObserveRequest = e.input.ObserveRequest
	}
	e.next.LastAttemptedObserveRequest = "" // its value may be requested again
	room := fitting(rows, e.next.Listeners, e.next.LastHandledObserveRequest, e.request)
	e.next.Backends, e.next.OmittedBackends = bounded(rows, min(e.options.MaxBackends, room))

	e.staleAt = e.input.Observation.At.Add(staleAfter(e.interval))
	evaluateListeners(e.next.Listeners, previous, facts, e.policy, e.stamp)
	healthy := e.conditionOf(e.next.Listeners, facts)
	if (!first || healthy.status == metav1.ConditionFalse) && healthy.status != e.wasHealthy.status {
		e.tellVerdict(healthy, was)
	}
	e.conclude(judgements{
		observed: judgement{metav1.ConditionTrue, v1alpha1.ReasonObservationSucceeded, messageObservedWith(e.input.Observation.OddRows)},
		healthy:  healthy,
	})
}

func (e *evaluation) failed() {
	failure := e.input.Failure
	observed := judgement{metav1.ConditionFalse, string(failure.Kind), failure.Message}
	if e.askable && !e.edited { // else the words name what the spec names now, or the Service has
		observed = steady(observed, e.wasObserved)
	}
	judged := judgements{observed: observed}
	if e.stalls(failure) {
		judged.stalled = &judgement{metav1.ConditionTrue, observed.reason, observed.message}
	}
	if e.input.ObserveRequest != "" {
		e.next.LastAttemptedObserveRequest = e.input.ObserveRequest
	}
	if judged.stalled == nil {
		judged.reconciling = e.unanswered()
	}
	if !e.known() {
		judged.healthy = judgement{metav1.ConditionUnknown, v1alpha1.ReasonPending, messagePendingAfter(observed.message)}
	} else {
		judged.healthy = e.lastKnown(observed.message)
		if e.stands() || e.wasHealthy.reason == v1alpha1.ReasonObservationStale {
			e.tellVerdict(judged.healthy, e.wasHealthy)
		}
	}
	e.conclude(judged)
}

// unanswered is the condition Reconciling while a requested observation was
// attempted and not answered; nil otherwise. It outlasts a newer request that
// was not attempted yet.
func (e *evaluation) unanswered() *judgement {
	if e.request == "" || e.request == e.next.LastHandledObserveRequest {
		return nil
	}
	was := find(e.previous.Conditions, v1alpha1.ConditionReconciling)
	if e.request != e.next.LastAttemptedObserveRequest && was.reason != v1alpha1.ReasonObservationRequested {
		return nil
	}
	return &judgement{metav1.ConditionTrue, v1alpha1.ReasonObservationRequested, messageRequested}
}

// waiting is for an object that was not observed since it was created or
// edited, or whose observation is late.
func (e *evaluation) waiting() {
	judged := judgements{observed: e.wasObserved, healthy: e.wasHealthy, stalled: e.wasStalled()}
	if judged.stalled == nil {
		judged.reconciling = e.unanswered()
	}
	if e.edited {
		e.awaitFirst(&judged)
	}
	late, accepted := e.late(), e.accepted && e.known() && e.stands()
	switch {
	case late:
		judged.healthy = e.stale(messageLate)
		e.tellVerdict(judged.healthy, e.wasHealthy)
	case accepted:
		judged.healthy = e.reevaluate()
		e.tellVerdict(judged.healthy, e.wasHealthy)
	}
	if late || accepted || e.edited {
		// The conditions are still those of the generation that was observed.
		e.next.Conditions = judged.list(e.previous.Conditions, e.previous.ObservedGeneration, e.generation, e.stamp)
	}
}

// awaitFirst turns the conditions that were into those of an object whose
// generation nobody asked about yet.
func (e *evaluation) awaitFirst(judged *judgements) {
	pending := judgement{metav1.ConditionUnknown, v1alpha1.ReasonPending, messagePending}
	if !e.known() || judged.observed.status == "" || judged.observed.reason == v1alpha1.ReasonSuspended {
		judged.observed = pending
	}
	if !e.known() || judged.healthy.status == "" || judged.healthy.reason == v1alpha1.ReasonSuspended {
		judged.healthy = pending
	}
	judged.stalled = nil
	judged.reconciling = &judgement{metav1.ConditionTrue, v1alpha1.ReasonProgressing, messageProgressing}
}

// late tells whether a standing verdict got too old for want of an
// observation. A process that got no answer yet knows only that the last one
// came before it looked.
func (e *evaluation) late() bool {
	if !e.known() || !e.stands() {
		return false
	}
	staleAt := e.answerStaleAt()
	if since := e.input.Since.Add(staleAfter(e.interval)); e.input.AnsweredAt.IsZero() && since.After(staleAt) {
		staleAt = since
	}
	if e.now.Before(staleAt) {
		e.staleAt = staleAt
		return false
	}
	return true
}

// reevaluate evaluates the listeners of the last answer again, which the policy,
// the annotation or the facts may have changed for.
func (e *evaluation) reevaluate() judgement {
	facts, previous := e.facts(), e.next.Listeners
	e.next.Listeners = slices.Clone(previous)
	evaluateListeners(e.next.Listeners, previous, facts, e.policy, e.stamp)
	return e.conditionOf(e.next.Listeners, facts)
}

func (e *evaluation) conditionOf(listeners []v1alpha1.ListenerStatus, facts *listenerFacts) judgement {
	evaluated := newEvaluatedListeners(listeners, facts, e.policy)
	return evaluated.condition(e.next.ObservedTarget, e.next.Summary, e.unaccepted)
}

// lastKnown is the verdict on the last answer until that is too old.
func (e *evaluation) lastKnown(why string) judgement {
	staleAt := e.answerStaleAt()
	if !e.now.Before(staleAt) {
		return e.stale(why)
	}
	e.staleAt = staleAt
	return e.reevaluate()
}

// facts are those about the listeners of the last answer.
func (e *evaluation) facts() *listenerFacts {
	return factsOf(&e.input, e.spec, e.next.Listeners)
}

// stale takes back the verdict on an answer that is too old.
func (e *evaluation) stale(why string) judgement {
	e.forgetVerdicts()
	return judgement{metav1.ConditionUnknown, v1alpha1.ReasonObservationStale, messageStale(e.interval, why)}
}

// forgetVerdicts makes every listener Unknown: counts are kept as what was
// last known, but a verdict is about now.
func (e *evaluation) forgetVerdicts() {
	previous := e.next.Listeners
	e.next.Listeners = slices.Clone(previous)
	for i := range e.next.Listeners {
		e.next.Listeners[i].Health = v1alpha1.Unknown
	}
	stampListeners(e.next.Listeners, previous, e.stamp)
}

// answerStaleAt is when the last answer is too old to be a verdict. The status
// knows that answer's time only to a heartbeat: lastObservedTime is the time
// of one that was written, and those that found nothing new came after it.
// While a verdict stands, this process's own answers tell more, or, where it
// got none, a grace of two intervals from its first failure, so that a lost
// call at a restart turns nothing. What an answer said of an object that had
// no verdict then, say a suspended one, is not in its status.
func (e *evaluation) answerStaleAt() time.Time {
	earliest := e.next.LastObservedTime.Add(staleAfter(e.interval))
	if !e.stands() {
		return earliest
	}
	staleAt := e.input.FailingSince.Add(2 * e.interval)
	if answered := e.input.AnsweredAt; !answered.IsZero() {
		staleAt = answered.Add(staleAfter(e.interval))
	}
	latest := earliest.Add(e.options.Heartbeat + time.Second) // lastObservedTime is in seconds
	switch {
	case staleAt.Before(earliest):
		return earliest
	case staleAt.After(latest):
		return latest
	default:
		return staleAt
	}
}

// stands tells whether the verdict before was one on an answer.
func (e *evaluation) stands() bool {
	switch e.wasHealthy.reason {
	case v1alpha1.ReasonObservationStale, v1alpha1.ReasonSuspended, v1alpha1.ReasonPending, "":
		return false
	default:
		return true
	}
}

// stalls tells whether a failure requires manual action. What was said to does
// until it is over.
func (e *evaluation) stalls(failure *alicloud.Error) bool {
	was := e.wasStalled()
	sameTarget := e.previous.ObservedTarget != nil && *e.previous.ObservedTarget == *e.next.ObservedTarget
	inARow, over := max(1, e.input.SameKindInARow), e.now.Sub(e.input.SameKindSince)
	return failure.Stall().Reached(inARow, over) || sameTarget && was != nil && was.reason == string(failure.Kind)
}

func (e *evaluation) wasStalled() *judgement {
	if was := find(e.previous.Conditions, v1alpha1.ConditionStalled); was.status == metav1.ConditionTrue {
		return &was
	}
	return nil
}

// tellVerdict records a verdict that turned.
func (e *evaluation) tellVerdict(healthy, was judgement) {
	if healthy.status != was.status {
		e.transitions.Verdict = healthy.change()
	}
}

// lastVerdict is the verdict before. One that was withheld, because nobody
// looked, is read off the counts: resuming is not a turn, but what turned
// meanwhile is.
func (e *evaluation) lastVerdict() judgement {
	withheld := e.wasHealthy.reason == v1alpha1.ReasonSuspended || e.wasHealthy.waits()
	if !withheld || !e.known() {
		return e.wasHealthy
	}
	facts, listeners := e.facts(), slices.Clone(e.next.Listeners)
	evaluateListeners(listeners, e.next.Listeners, facts, e.policy, e.stamp)
	return e.conditionOf(listeners, facts)
}

// conclude records the conditions as decided for the current generation.
func (e *evaluation) conclude(judged judgements) {
	observed := judged.observed
	failedBefore := e.wasObserved.status == metav1.ConditionFalse
	switch {
	case observed.status == metav1.ConditionFalse && (!failedBefore || observed.reason != e.wasObserved.reason):
		e.transitions.Observation = observed.change()
	case observed.status == metav1.ConditionTrue && failedBefore:
		e.transitions.Observation = judgement{observed.status, observed.reason, messageRecovered(e.wasObserved.reason)}.change()
	}
	e.next.ObservedGeneration = e.generation
	e.next.Conditions = judged.list(e.previous.Conditions, e.generation, e.generation, e.stamp)
}

// outcome compares with what is stored. Only a status that is written anyway,
// or a heartbeat, takes over the answer's time and request id.
func (e *evaluation) outcome() Outcome {
	e.options.fit(&e.next)
	write := !sameStatus(&e.next, e.previous)
	if sample := e.input.Observation; sample != nil && !e.spec.Suspend {
		if !write && e.known() {
			write = !sample.At.Before(nextHeartbeat(e.key, e.options.Heartbeat, e.next.LastObservedTime.Time))
		}
		if write || !e.known() {
			e.next.LastObservedTime = new(metav1.NewTime(sample.At.Truncate(time.Second)))
			e.next.LastRequestID = sample.RequestID
			write = true
		}
	}
	return Outcome{Status: e.next, Write: write, Transitions: e.transitions, StaleAt: e.staleAt}
}
