// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

const (
	// maxBackendEvents is how many backends of one observation get an event of their own.
	maxBackendEvents = 10
	// maxListed is how many backends a summary event lists.
	maxListed = 5
	// actionObserve is the action of events about an observation.
	actionObserve = "Observe"
	// actionMonitor is the action of events about a Service and its object.
	actionMonitor = "Monitor"
	// maxNote is the API's bound of an event's note.
	maxNote = 1024
)

// EventRecorder is the part of client-go's events.EventRecorder that is used;
// internal/events implements it.
type EventRecorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// objectEvent is an event before it is recorded.
type objectEvent struct {
	eventType string
	reason    string
	note      string
	// about is the field path of the part of the object that the event is about.
	about string
}

// record records the event on an object.
func (e objectEvent) record(recorder EventRecorder, object *v1alpha1.LoadBalancerHealth) {
	e.recordOn(recorder, actionObserve, objectReference(object))
}

func objectReference(object *v1alpha1.LoadBalancerHealth) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind,
		Namespace: object.Namespace, Name: object.Name, UID: object.UID,
	}
}

// recordOn records the event on an object of any kind.
func (e objectEvent) recordOn(recorder EventRecorder, action string, regarding *corev1.ObjectReference) {
	related := regarding.DeepCopy()
	related.FieldPath = e.about
	note := e.note
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote-3], "") + "..."
	}
	recorder.Eventf(regarding, related, e.eventType, e.reason, action, "%s", note)
}

// eventsOf returns the events of the transitions of one observation: the cause
// first, then listeners, backends and what is missing, then the verdict.
func eventsOf(transitions health.Transitions) []objectEvent {
	var events []objectEvent
	if transitions.LoadBalancer != nil {
		events = append(events, loadBalancerEvent(transitions.LoadBalancer))
	}
	if transitions.Observation != nil {
		events = append(events, observationEvent(transitions.Observation))
	}
	for i := range transitions.Listeners {
		events = append(events, listenerEvent(&transitions.Listeners[i]))
	}
	if len(transitions.Backends) > maxBackendEvents {
		events = append(events, backendsChangedEvent(transitions.Backends))
	} else {
		for i := range transitions.Backends {
			events = append(events, backendEvents(&transitions.Backends[i])...)
		}
	}
	if transitions.Registered != nil {
		events = append(events, registeredEvent(transitions.Registered))
	}
	if transitions.Verdict != nil {
		events = append(events, verdictEvent(transitions.Verdict))
	}
	return events
}

func loadBalancerEvent(transition *health.LoadBalancerTransition) objectEvent {
	note := fmt.Sprintf("%s %s has the load balancer %s, had %s", transition.Reference.Kind, transition.Reference.Name, transition.To, transition.From)
	path := "status.serviceLoadBalancer"
	if transition.Reference.Kind == v1alpha1.ReferenceIngress {
		path = "status.ingressLoadBalancer"
	}
	return objectEvent{corev1.EventTypeNormal, v1alpha1.EventLoadBalancerChanged, note, path}
}

func observationEvent(transition *health.ConditionTransition) objectEvent {
	e := objectEvent{corev1.EventTypeNormal, v1alpha1.EventObservationRecovered, transition.Message, conditionPath(v1alpha1.ConditionObserved, transition.Reason)}
	if transition.Status == metav1.ConditionFalse {
		e.eventType, e.reason = corev1.EventTypeWarning, v1alpha1.EventObservationFailed
		e.note = transition.Reason + ": " + transition.Message
	}
	return e
}

func listenerEvent(transition *health.ListenerTransition) objectEvent {
	about := "status.listeners{" + transition.Listener + "}"
	if transition.Missing {
		return objectEvent{corev1.EventTypeWarning, v1alpha1.EventListenerMissing,
			"listener " + transition.Listener + " is no longer in the response: it was emptied, or it was removed", about}
	}
	return objectEvent{corev1.EventTypeNormal, v1alpha1.EventListenerReturned, "listener " + transition.Listener + " is in the response again", about}
}

func registeredEvent(transition *health.ConditionTransition) objectEvent {
	e := objectEvent{corev1.EventTypeNormal, v1alpha1.EventBackendsRegistered, transition.Message, conditionPath(v1alpha1.ConditionRegistered, transition.Reason)}
	if transition.Status == metav1.ConditionFalse {
		e.eventType, e.reason = corev1.EventTypeWarning, v1alpha1.EventBackendsMissing
	}
	return e
}

func verdictEvent(transition *health.ConditionTransition) objectEvent {
	e := objectEvent{note: transition.Reason + ": " + transition.Message, about: conditionPath(v1alpha1.ConditionHealthy, transition.Reason)}
	switch transition.Status {
	case metav1.ConditionTrue:
		e.eventType, e.reason = corev1.EventTypeNormal, v1alpha1.EventLoadBalancerHealthy
	case metav1.ConditionFalse:
		e.eventType, e.reason = corev1.EventTypeWarning, v1alpha1.EventLoadBalancerUnhealthy
	default:
		e.eventType, e.reason = corev1.EventTypeWarning, v1alpha1.EventLoadBalancerHealthUnknown
	}
	return e
}

// backendEvents is one event, or two for a backend that was added abnormal: that
// it was added, and what is wrong with it.
func backendEvents(transition *health.BackendTransition) []objectEvent {
	name := backendName(&transition.Backend)
	where := locationNote(transition)
	about := func(eventType, reason, what string) objectEvent {
		return objectEvent{eventType, reason, "backend " + name + " " + what + where, "status.backends{" + name + "}"}
	}
	was := ""
	if transition.From != "" && transition.From != health.Omitted {
		was = ", was " + transition.From
	}
	fails := "is abnormal: its health check fails"
	if reason := transition.Backend.Reason; reason != "" {
		fails += " (" + reason + ")"
	}
	abnormal := about(corev1.EventTypeWarning, v1alpha1.EventBackendAbnormal, fails+was)
	switch {
	case transition.To == "":
		return []objectEvent{about(corev1.EventTypeNormal, v1alpha1.EventBackendRemoved, "was removed"+was)}
	case transition.From == "" && transition.To == v1alpha1.StatusAbnormal:
		return []objectEvent{about(corev1.EventTypeNormal, v1alpha1.EventBackendAdded, "was added, and is abnormal"), abnormal}
	case transition.From == "":
		return []objectEvent{about(corev1.EventTypeNormal, v1alpha1.EventBackendAdded, "was added, and is "+transition.To)}
	case transition.To == v1alpha1.StatusAbnormal:
		return []objectEvent{abnormal}
	case transition.To == v1alpha1.StatusNormal:
		return []objectEvent{about(corev1.EventTypeNormal, v1alpha1.EventBackendNormal, "is normal"+was)}
	default:
		return []objectEvent{about(corev1.EventTypeWarning, v1alpha1.EventBackendUnavailable, "has no health-check result"+was)}
	}
}

// locationNote is the last part of a backend's note: its node or pod. A removed backend
// has no diagnosis any more. For a backend that became abnormal just now, the note
// says that its pod is Ready, which contradicts nothing yet.
func locationNote(transition *health.BackendTransition) string {
	b := transition.Backend
	if transition.To == "" {
		b.Diagnosis = ""
	}
	if transition.Cause != "" {
		b.Diagnosis = "" // the cause says more
	}
	text := b.Location()
	switch {
	case transition.Cause != "":
		return "; " + strings.TrimPrefix(text+"; "+transition.Cause, "; ")
	case text == "":
		return ""
	case transition.PodReady && transition.To == v1alpha1.StatusAbnormal && b.Diagnosis == "":
		return "; " + text + "; the pod is Ready"
	default:
		return "; " + text
	}
}

// backendsChangedEvent sums up many backends: the counts, and a list of the
// first few, worst first.
func backendsChangedEvent(transitions []health.BackendTransition) objectEvent {
	e := objectEvent{eventType: corev1.EventTypeNormal, reason: v1alpha1.EventBackendsChanged}
	var counts, listed []string
	for _, to := range []struct{ status, phrase string }{
		{v1alpha1.StatusAbnormal, "abnormal"},
		{v1alpha1.StatusUnavailable, "without a health-check result"},
		{v1alpha1.StatusNormal, "normal"},
		{"", "removed"},
	} {
		count := 0
		for i := range transitions {
			if transitions[i].To != to.status {
				continue
			}
			count++
			if len(listed) < maxListed {
				listed = append(listed, backendName(&transitions[i].Backend))
			}
		}
		if count == 0 {
			continue
		}
		counts = append(counts, strconv.Itoa(count)+" "+to.phrase)
		if to.status == v1alpha1.StatusAbnormal || to.status == v1alpha1.StatusUnavailable {
			e.eventType = corev1.EventTypeWarning
		}
	}
	total := strings.Join(counts, ", ")
	e.note = fmt.Sprintf("%d backends changed: %s; among them %s", len(transitions), total, strings.Join(listed, ", "))
	e.about = "status.backends{" + total + "}"
	return e
}

// backendName is a backend in an event: its server, address and port, its listener,
// and its server group, because a server may be in several.
func backendName(b *v1alpha1.BackendStatus) string {
	name := b.Address()
	if b.ListenerPort != 0 {
		name += " (listener " + strconv.Itoa(int(b.ListenerPort))
		if b.ListenerProtocol != "" {
			name += "/" + b.ListenerProtocol
		}
		if b.ServerGroupID != "" {
			name += ", server group " + b.ServerGroupID
		}
		name += ")"
	}
	return name
}

func conditionPath(conditionType, reason string) string {
	return "status.conditions{" + conditionType + ": " + reason + "}"
}
