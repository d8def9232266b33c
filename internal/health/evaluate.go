// SPDX-License-Identifier: Apache-2.0

package health

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Evaluate decides the next status of an object. It changes neither object nor input.
func Evaluate(object *v1alpha1.LoadBalancerHealth, input Input, now time.Time, options Options) Outcome {
	e := newEvaluation(object, input, now, options)
	switch {
	case object.Spec.Suspend:
		e.suspended()
	case input.Observation != nil:
		e.observed()
	case input.Failure != nil:
		e.failed()
	default:
		e.waiting()
	}
	return e.outcome()
}

// evaluation is the work on one object. It reads previous, and fills in next
// and transitions, which are its own.
type evaluation struct {
	key             string // namespace/name
	spec            *v1alpha1.LoadBalancerHealthSpec
	generation      int64
	edited          bool // the conditions are not yet about this generation and load balancer
	hasLoadBalancer bool // false for an object whose Service or Ingress has none
	previous        *v1alpha1.LoadBalancerHealthStatus
	wasObserved     condition
	wasHealthy      condition
	wasRegistered   condition
	input           Input
	options         Options
	policy          policy
	interval        time.Duration
	now             time.Time
	stamp           metav1.Time // now, as stored
	request         string      // the value of the request annotation
	accepted        bool        // the annotation accepted a missing listener
	acceptProblem   string      // what is wrong with that annotation; "" for nothing

	next        v1alpha1.LoadBalancerHealthStatus
	transitions Transitions
	absences    Absences
	registered  *condition // of an observation; nil: without a Service or Ingress
	staleAt     time.Time
}

func newEvaluation(object *v1alpha1.LoadBalancerHealth, input Input, now time.Time, options Options) *evaluation {
	_, _, hasLoadBalancer := object.LoadBalancer()
	input.Observation = ownPart(object, &input)
	e := &evaluation{
		key:             object.Namespace + "/" + object.Name,
		spec:            &object.Spec,
		generation:      object.Generation,
		edited:          Edited(object),
		hasLoadBalancer: hasLoadBalancer,
		previous:        &object.Status,
		wasObserved:     find(object.Status.Conditions, v1alpha1.ConditionObserved),
		wasHealthy:      find(object.Status.Conditions, v1alpha1.ConditionHealthy),
		wasRegistered:   find(object.Status.Conditions, v1alpha1.ConditionRegistered),
		input:           input,
		options:         options,
		policy:          policyOf(&object.Spec),
		interval:        Interval(&object.Spec),
		now:             now,
		stamp:           metav1.NewTime(now.Truncate(time.Second)),
		request:         object.Annotations[v1alpha1.ObserveRequestedAtAnnotation],
		next:            withoutFutureTime(object.Status, input.LastObservedAt, now),
	}
	if target := targetOf(object); e.next.ObservedTarget == nil || *e.next.ObservedTarget != target {
		e.next = withTarget(&e.next, target)
		e.wasHealthy, e.wasRegistered = condition{}, condition{}
	}
	if input.Absences.target == *e.next.ObservedTarget {
		e.absences = input.Absences
	}
	known := len(e.next.Listeners)
	e.next.Listeners, e.acceptProblem = acceptListeners(e.next.Listeners, object.Annotations[v1alpha1.ListenersAcceptedAtAnnotation], now)
	if e.accepted = len(e.next.Listeners) < known; e.accepted && e.next.Summary != nil {
		e.next.Summary = summaryOf(e.next.Listeners)
	}
	if object.Spec.ServiceRef == nil {
		e.next.ServiceLoadBalancer = nil
	}
	if object.Spec.IngressRef == nil {
		e.next.IngressLoadBalancer = nil
	}
	return e
}

// withTarget returns the status without what is about another target. The
// removed backends are no transitions.
func withTarget(status *v1alpha1.LoadBalancerHealthStatus, target v1alpha1.ObservedTarget) v1alpha1.LoadBalancerHealthStatus {
	return v1alpha1.LoadBalancerHealthStatus{
		ObservedGeneration:          status.ObservedGeneration,
		Conditions:                  status.Conditions,
		LastHandledObserveRequest:   status.LastHandledObserveRequest,
		LastAttemptedObserveRequest: status.LastAttemptedObserveRequest,
		ServiceLoadBalancer:         status.ServiceLoadBalancer,
		IngressLoadBalancer:         status.IngressLoadBalancer,
		ObservedTarget:              &target,
	}
}

// Interval is spec.interval with its default.
func Interval(spec *v1alpha1.LoadBalancerHealthSpec) time.Duration {
	if spec.Interval.Duration <= 0 {
		return DefaultInterval
	}
	return spec.Interval.Duration
}

// healthCall is the call whose result Observed is about.
func (e *evaluation) healthCall() string { return healthCallOf(e.next.ObservedTarget) }

// hasObservation returns whether the status has an observation of its target.
func (e *evaluation) hasObservation() bool {
	return e.next.LastObservedTime != nil && e.next.Summary != nil
}

func (e *evaluation) suspended() {
	suspended := condition{metav1.ConditionUnknown, v1alpha1.ReasonSuspended, messageSuspended}
	e.withdrawVerdicts()
	e.absences = Absences{} // observations after the suspension start again
	e.setConditions(conditionSet{observed: suspended, healthy: suspended, registered: e.keptRegistered()})
}

func (e *evaluation) observed() {
	first, was := !e.hasObservation(), e.lastVerdict()
	rows, facts := e.setRows(first)
	if e.input.ObserveRequest != "" {
		e.next.LastHandledObserveRequest = e.input.ObserveRequest
	}
	e.next.LastAttemptedObserveRequest = "" // a user may request the same value again
	e.staleAt = e.input.Observation.At.Add(staleAfter(e.interval))
	healthy := e.setVerdict(facts)
	switch {
	case healthy.status == e.wasHealthy.status:
	case !first:
		e.recordVerdict(healthy, was)
	case healthy.status == metav1.ConditionFalse:
		e.transitions.Verdict = healthy.transition() // no change: it was not known before
	}
	room := fitting(rows, &e.next, e.request)
	e.next.Backends, e.next.OmittedBackends = bounded(rows, min(e.options.MaxBackends, room))
	e.setConditions(conditionSet{
		observed:   condition{metav1.ConditionTrue, v1alpha1.ReasonObservationSucceeded, messageObserved(e.healthCall(), e.input.Observation.OddRows)},
		healthy:    healthy,
		registered: e.registered,
	})
}

// setRows returns every row of the observation and the facts about its
// listeners, and records their transitions unless it is the first observation.
func (e *evaluation) setRows(first bool) ([]v1alpha1.BackendStatus, *listenerFacts) {
	omitted, previous := omittedFrom(&e.next), sortedRows(e.next.Backends)
	rows := stampedRows(e.input.Observation, ScopeOf(e.spec), previous, omitted, e.stamp)
	facts := e.setListeners(rows, first)
	around := &surroundings{locations: e.input.Locations, expected: e.input.Expected, listeners: e.next.Listeners, now: e.now}
	rows = locateRows(rows, around)
	if !first {
		e.transitions.Backends = backendTransitions(rows, previous, omitted, around)
	}
	return rows, facts
}

// setListeners evaluates the listeners of the observation, and records their
// transitions unless it is the first observation.
func (e *evaluation) setListeners(rows []v1alpha1.BackendStatus, first bool) *listenerFacts {
	observed, previous := listenersOf(rows), e.next.Listeners
	facts := factsOf(&e.input, e.spec, observed)
	observed = slices.DeleteFunc(observed, facts.mirrored)
	merged := mergeListeners(observed, previous, facts, e.policy, e.stamp)
	e.registered = e.compareRegistered(merged, rows, facts)
	e.next.Listeners = evaluateListeners(merged, previous, facts, e.policy, e.stamp)
	summary := summaryOf(e.next.Listeners)
	if was := e.next.Summary; was != nil {
		summary.DisruptionsAllowed = was.DisruptionsAllowed // until the verdict
	}
	e.next.Summary = summary
	if !first {
		e.transitions.Listeners = listenerTransitions(e.next.Listeners, previous)
	}
	return facts
}

func (e *evaluation) failed() {
	failure := e.input.Failure
	observed := condition{metav1.ConditionFalse, string(failure.Kind), failure.Message}
	if e.hasLoadBalancer && !e.edited { // else the message names the new target
		observed = keepMessage(observed, e.wasObserved)
	}
	set := conditionSet{observed: observed, registered: e.keptRegistered()}
	if e.stalls(failure) {
		set.stalled = &condition{metav1.ConditionTrue, observed.reason, observed.message}
	}
	if e.input.ObserveRequest != "" {
		e.next.LastAttemptedObserveRequest = e.input.ObserveRequest
	}
	if set.stalled == nil {
		set.reconciling = e.requestPending()
	}
	if !e.hasObservation() {
		set.healthy = condition{metav1.ConditionUnknown, v1alpha1.ReasonPending, messagePendingAfter(observed.message)}
	} else {
		set.healthy = e.verdictUntilStale(observed.message)
		if e.hadVerdict() || e.wasHealthy.reason == v1alpha1.ReasonObservationStale {
			e.recordVerdict(set.healthy, e.wasHealthy)
		}
	}
	e.setConditions(set)
}

// requestPending is the condition Reconciling while a requested observation was
// attempted without success; nil otherwise. It stays while the next attempt is
// for a newer request.
func (e *evaluation) requestPending() *condition {
	if e.request == "" || e.request == e.next.LastHandledObserveRequest {
		return nil
	}
	was := find(e.previous.Conditions, v1alpha1.ConditionReconciling)
	if e.request != e.next.LastAttemptedObserveRequest && was.reason != v1alpha1.ReasonObservationRequested {
		return nil
	}
	return &condition{metav1.ConditionTrue, v1alpha1.ReasonObservationRequested, messageRequested}
}

// waiting is for an object that was not observed since it was created or
// edited, or whose observation is late.
func (e *evaluation) waiting() {
	set := conditionSet{observed: e.wasObserved, healthy: e.wasHealthy, stalled: e.wasStalled(), registered: e.keptRegistered()}
	if set.stalled == nil {
		set.reconciling = e.requestPending()
	}
	if e.edited {
		set = e.progressing(set)
	}
	late, accepted := e.late(), e.accepted && e.hasObservation() && e.hadVerdict()
	switch {
	case late:
		set.healthy = e.staleCondition(messageLate)
		e.recordVerdict(set.healthy, e.wasHealthy)
	case accepted:
		set.healthy = e.reevaluate()
		e.recordVerdict(set.healthy, e.wasHealthy)
	}
	if late || accepted || e.edited {
		// The conditions are still those of the generation that was observed.
		e.next.Conditions = set.list(e.previous.Conditions, e.previous.ObservedGeneration, e.generation, e.stamp)
	}
}

// progressing returns the conditions of an object before the first observation
// of its generation: those from before where they are about its target.
func (e *evaluation) progressing(set conditionSet) conditionSet {
	pending := condition{metav1.ConditionUnknown, v1alpha1.ReasonPending, messagePending}
	if !e.hasObservation() || set.observed.status == "" || set.observed.reason == v1alpha1.ReasonSuspended {
		set.observed = pending
	}
	if !e.hasObservation() || set.healthy.status == "" || set.healthy.reason == v1alpha1.ReasonSuspended {
		set.healthy = pending
	}
	set.stalled = nil
	set.reconciling = &condition{metav1.ConditionTrue, v1alpha1.ReasonProgressing, messageProgressing}
	return set
}

// reevaluate evaluates the listeners of the last observation again, because the
// policy, the annotation or the facts may have changed.
func (e *evaluation) reevaluate() condition {
	facts := e.facts()
	e.next.Listeners = evaluateListeners(e.next.Listeners, e.next.Listeners, facts, e.policy, e.stamp)
	return e.setVerdict(facts)
}

// setVerdict returns the verdict on the next listeners, and sets how many
// disruptions it allows.
func (e *evaluation) setVerdict(facts *listenerFacts) condition {
	evaluated := newEvaluatedListeners(e.next.Listeners, facts, e.policy)
	healthy := e.withUnknownGroups(evaluated.condition(e.next.ObservedTarget, e.next.Summary, e.acceptProblem))
	allowed, known := evaluated.disruptionsAllowed()
	e.setDisruptionsAllowed(allowed, known && healthy.status != metav1.ConditionUnknown)
	return healthy
}

// setDisruptionsAllowed sets them in a copy of the summary, which may be that of
// the previous status. It removes them where they are not known.
func (e *evaluation) setDisruptionsAllowed(allowed int32, known bool) {
	if e.next.Summary == nil {
		return
	}
	was := e.next.Summary.DisruptionsAllowed
	if known && was != nil && *was == allowed || !known && was == nil {
		return
	}
	summary := *e.next.Summary
	if summary.DisruptionsAllowed = nil; known {
		summary.DisruptionsAllowed = new(allowed)
	}
	e.next.Summary = &summary
}

func (e *evaluation) verdictOn(listeners []v1alpha1.ListenerStatus, facts *listenerFacts) condition {
	evaluated := newEvaluatedListeners(listeners, facts, e.policy)
	return evaluated.condition(e.next.ObservedTarget, e.next.Summary, e.acceptProblem)
}

// facts are those about the listeners of the last observation.
func (e *evaluation) facts() *listenerFacts {
	return factsOf(&e.input, e.spec, e.next.Listeners)
}

// stalls returns whether a failure requires manual action. A kind of failure
// that stalled the object stalls it until an observation has another result.
func (e *evaluation) stalls(failure *alicloud.Error) bool {
	was := e.wasStalled()
	sameTarget := e.previous.ObservedTarget != nil && *e.previous.ObservedTarget == *e.next.ObservedTarget
	inARow, over := max(1, e.input.SameKindInARow), e.now.Sub(e.input.SameKindSince)
	return failure.Stall().Reached(inARow, over) || sameTarget && was != nil && was.reason == string(failure.Kind)
}

func (e *evaluation) wasStalled() *condition {
	if was := find(e.previous.Conditions, v1alpha1.ConditionStalled); was.status == metav1.ConditionTrue {
		return &was
	}
	return nil
}

// recordVerdict records the transition of a verdict that changed, and adds it to
// the history.
func (e *evaluation) recordVerdict(healthy, was condition) {
	if healthy.status != was.status {
		e.transitions.Verdict = healthy.transition()
		e.next.History = withChange(e.next.History, healthy, e.stamp)
	}
}

// lastVerdict is the previous verdict. While the object was suspended its
// verdict was withdrawn: then it is evaluated from the counts. So a resume is no
// transition, and a change during the suspension is one.
func (e *evaluation) lastVerdict() condition {
	withdrawn := e.wasHealthy.reason == v1alpha1.ReasonSuspended || e.wasHealthy.isPending()
	if !withdrawn || !e.hasObservation() {
		return e.wasHealthy
	}
	facts := e.facts()
	return e.verdictOn(evaluateListeners(e.next.Listeners, e.next.Listeners, facts, e.policy, e.stamp), facts)
}

// setConditions sets the conditions for the current generation, and records the
// transition of Observed.
func (e *evaluation) setConditions(set conditionSet) {
	observed := set.observed
	failedBefore := e.wasObserved.status == metav1.ConditionFalse
	switch {
	case observed.status == metav1.ConditionFalse && (!failedBefore || observed.reason != e.wasObserved.reason):
		e.transitions.Observation = observed.transition()
	case observed.status == metav1.ConditionTrue && failedBefore:
		e.transitions.Observation = condition{observed.status, observed.reason, messageRecovered(e.healthCall(), e.wasObserved.reason)}.transition()
	}
	e.recordRegistered(set.registered)
	e.next.ObservedGeneration = e.generation
	e.next.Conditions = set.list(e.previous.Conditions, e.generation, e.generation, e.stamp)
}

// outcome compares the next status with the stored one. The time and the request
// id of an observation are no reason for a write: only a status that is written
// anyway, or a heartbeat, has them.
func (e *evaluation) outcome() Outcome {
	e.options.fit(&e.next)
	write := !sameStatus(&e.next, e.previous)
	if observation := e.input.Observation; observation != nil && !e.spec.Suspend {
		if !write && e.hasObservation() {
			write = !observation.At.Before(nextHeartbeat(e.key, e.options.Heartbeat, e.next.LastObservedTime.Time))
		}
		if write || !e.hasObservation() {
			e.next.LastObservedTime = new(metav1.NewTime(observation.At.Truncate(time.Second)))
			e.next.LastRequestID = observation.RequestID
			write = true
		}
	}
	return Outcome{Status: e.next, Write: write, Transitions: e.transitions, Absences: e.absences, StaleAt: e.staleAt}
}
