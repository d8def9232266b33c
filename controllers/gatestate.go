// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

const (
	// gateRewrite is the shortest time between two patches of a gate that stays closed.
	gateRewrite = 30 * time.Second
	// gateConflictRetry is until a gate is decided on again after a conflict. The
	// cache usually shows the change of the pod, and so causes it, much earlier.
	gateConflictRetry = 5 * time.Second
	// gateSearch is how often objects in other shards are searched.
	gateSearch = time.Minute
)

// gateStates is what this process keeps of the Services for which pods wait.
// A process may lose all of it.
type gateStates struct {
	mu        sync.Mutex
	byService map[types.NamespacedName]*gateState
}

// gateState is what this process keeps of one Service. Only the worker of the
// Service's key uses it, except for the fields that mu of gateStates guards.
type gateState struct {
	pods map[types.UID]*podGate
	// notObservedSince is since when nothing has observed the load balancer; zero: something does.
	notObservedSince time.Time
	// elsewhere is true when an object of another shard references the Service,
	// as searched at searchedAt.
	elsewhere  bool
	searchedAt time.Time
	// used are the observations that the worker used last.
	used map[alicloud.Target]usedObservation

	// observations, targets and waiting are guarded by mu. observations are the last
	// of each target, targets are those of the objects of the Service, waiting is by reason.
	observations map[alicloud.Target]*health.GateObservation
	targets      []alicloud.Target
	waiting      map[string]waitingGates
}

// usedObservation is an observation with the pods that it may list, and the same
// as it arrived.
type usedObservation struct {
	withPods, arrived *health.GateObservation
}

// waitingGates are closed gates of pods whose containers are ready.
type waitingGates struct {
	pods int
	// oldest is when the containers of the first of them became ready.
	oldest time.Time
}

// podGate is what this process keeps of the gate of one pod.
type podGate struct {
	// readyAt is the time of ContainersReady that the next two are about.
	readyAt          time.Time
	readySeenAt      time.Time
	registeredSeenAt time.Time
	// observedAt is when the last observation arrived that decided on the pod.
	observedAt time.Time
	// writtenAt, reason and message are of the last patch; zero: none in this process.
	writtenAt       time.Time
	reason, message string
	// openedFrom is the resourceVersion of the pod whose gate was opened: while the
	// cache shows it, the gate only seems to be closed.
	openedFrom string
}

func (s *gateStates) get(key types.NamespacedName) *gateState {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byService == nil {
		s.byService = map[types.NamespacedName]*gateState{}
	}
	if s.byService[key] == nil {
		s.byService[key] = &gateState{pods: map[types.UID]*podGate{}, observations: map[alicloud.Target]*health.GateObservation{}}
	}
	return s.byService[key]
}

func (s *gateStates) delete(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byService, key)
}

// waits reports whether a pod waits for an observation.
func (s *gateStates) waits(key types.NamespacedName) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.byService[key]
	return state != nil && len(state.waiting) > 0
}

// awaited reports whether a pod waits for an observation of a target.
func (s *gateStates) awaited(target alicloud.Target) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range s.byService {
		if len(state.waiting) > 0 && slices.Contains(state.targets, target) {
			return true
		}
	}
	return false
}

// publish makes visible how many pods wait, why, and for which targets. It
// returns the targets that no pod of the Service has waited for so far, or all
// when a pod begins to wait.
func (s *gateStates) publish(pass *gatePass) (wake []alicloud.Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	targets := pass.targets()
	for _, target := range targets {
		if len(pass.waiting) > 0 && (pass.begins || !slices.Contains(pass.state.targets, target)) {
			wake = append(wake, target)
		}
	}
	pass.state.waiting, pass.state.targets = maps.Clone(pass.waiting), targets
	maps.DeleteFunc(pass.state.observations, func(target alicloud.Target, _ *health.GateObservation) bool {
		return !slices.Contains(targets, target)
	})
	return wake
}

// observed keeps an observation for the worker of the Service's key.
func (s *gateStates) observed(key types.NamespacedName, target alicloud.Target, input health.GateInput) {
	input.Previous = s.observation(key, target)
	observation := health.NewGateObservation(input)
	s.mu.Lock()
	defer s.mu.Unlock()
	if state := s.byService[key]; state != nil {
		state.observations[target] = observation
	}
}

// observation returns the last observation of a target; nil: none.
func (s *gateStates) observation(key types.NamespacedName, target alicloud.Target) *health.GateObservation {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state := s.byService[key]; state != nil {
		return state.observations[target]
	}
	return nil
}

// EachWaiting calls visit for each Service and reason with closed gates of pods
// whose containers are ready. oldest is when the first of them became ready.
func (g *GateReconciler) EachWaiting(visit func(namespace, service, reason string, pods int, oldest time.Time)) {
	g.states.mu.Lock()
	defer g.states.mu.Unlock()
	for key, state := range g.states.byService {
		for reason, w := range state.waiting {
			visit(key.Namespace, key.Name, reason, w.pods, w.oldest)
		}
	}
}

// notObserved keeps since when nothing observes the load balancer.
func (s *gateState) notObserved(missing bool, now time.Time) time.Time {
	switch {
	case !missing:
		s.notObservedSince = time.Time{}
	case s.notObservedSince.IsZero():
		s.notObservedSince = now
	}
	return s.notObservedSince
}

// see returns the state of a pod's gate, with when its containers were first
// seen ready, and the pod registered.
func (s *gateState) see(pod *corev1.Pod, service string, now time.Time) (gate *podGate, begins bool) {
	if s.pods[pod.UID] == nil {
		s.pods[pod.UID] = &podGate{}
	}
	gate = s.pods[pod.UID]
	readyAt, ready := cluster.ContainersReady(pod)
	if ready && readyAt.IsZero() {
		readyAt = cmp.Or(gate.readyAt, now)
	}
	if !readyAt.Equal(gate.readyAt) {
		*gate = podGate{readyAt: readyAt, writtenAt: gate.writtenAt, reason: gate.reason, message: gate.message, openedFrom: gate.openedFrom}
		if !readyAt.IsZero() {
			gate.readySeenAt, begins = now, true
		}
	}
	switch registered := !gate.readySeenAt.IsZero() && cluster.IsRegistered(pod, service); {
	case !registered:
		gate.registeredSeenAt = time.Time{}
	case gate.registeredSeenAt.IsZero():
		gate.registeredSeenAt, begins = now, true
	}
	return gate, begins
}

// wrote keeps a patch that succeeded.
func (p *podGate) wrote(pod *corev1.Pod, d *health.GateDecision, now time.Time) {
	p.writtenAt, p.reason, p.message = now, d.Reason, d.Message
	if d.Open {
		p.openedFrom = pod.ResourceVersion
	}
}

// writeAt is when to write a decision; zero: it is written. A gate that stays
// closed is written again after gateRewrite at the earliest.
func (p *podGate) writeAt(d *health.GateDecision, c *corev1.PodCondition, now time.Time) time.Time {
	isWritten := p.reason == d.Reason && p.message == d.Message ||
		p.reason == "" && c != nil && c.Reason == d.Reason && c.Message == d.Message
	switch {
	case d.Reason == "" || isWritten && !d.Open:
		return time.Time{}
	case d.Open:
		return now
	case p.writtenAt.IsZero():
		return later(d.WriteAt, now)
	default:
		return later(later(d.WriteAt, now), p.writtenAt.Add(gateRewrite))
	}
}
