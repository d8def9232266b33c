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
	// maxNamed is how many backends a summarising event names.
	maxNamed = 5
	// actionObserve is what the operator did when it saw what it tells.
	actionObserve = "Observe"
	// actionMonitor is what the operator did when it could not make an object.
	actionMonitor = "Monitor"
	// maxNote is the API's bound of an event's note.
	maxNote = 1024
)

// EventRecorder is the part of client-go's events.EventRecorder that is used;
// internal/events implements it.
type EventRecorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// notice is one thing to tell about an object.
type notice struct {
	eventType string
	reason    string
	note      string
	// about is the field path of the part of the object that the event is about.
	about string
}

// emit hands the notice to the recorder.
func (n notice) emit(recorder EventRecorder, object *v1alpha1.LoadBalancerHealth) {
	n.emitOn(recorder, actionObserve, &corev1.ObjectReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind,
		Namespace: object.Namespace, Name: object.Name, UID: object.UID,
	})
}

// emitOn hands the notice to the recorder, regarding an object of any kind.
func (n notice) emitOn(recorder EventRecorder, action string, regarding *corev1.ObjectReference) {
	related := regarding.DeepCopy()
	related.FieldPath = n.about
	note := n.note
	if len(note) > maxNote {
		note = strings.ToValidUTF8(note[:maxNote-3], "") + "..."
	}
	recorder.Eventf(regarding, related, n.eventType, n.reason, action, "%s", note)
}

// noticesOf turns the transitions of one observation into notices: the cause
// first, then backends, then the verdict.
func noticesOf(changes health.Transitions) []notice {
	var notices []notice
	if changes.LoadBalancer != nil {
		notices = append(notices, loadBalancerEvent(changes.LoadBalancer))
	}
	if changes.Observation != nil {
		notices = append(notices, observationEvent(changes.Observation))
	}
	for i := range changes.Listeners {
		notices = append(notices, listenerEvent(&changes.Listeners[i]))
	}
	if len(changes.Backends) > maxBackendEvents {
		notices = append(notices, backendsChangedEvent(changes.Backends))
	} else {
		for i := range changes.Backends {
			notices = append(notices, backendEvents(&changes.Backends[i])...)
		}
	}
	if changes.Verdict != nil {
		notices = append(notices, verdictEvent(changes.Verdict))
	}
	return notices
}

func loadBalancerEvent(change *health.LoadBalancerTransition) notice {
	note := fmt.Sprintf("Service %s has the load balancer %s, had %s", change.Service, change.To, change.From)
	return notice{corev1.EventTypeNormal, v1alpha1.EventLoadBalancerChanged, note, "status.serviceLoadBalancer"}
}

func observationEvent(change *health.ConditionTransition) notice {
	n := notice{corev1.EventTypeNormal, v1alpha1.EventObservationRecovered, change.Message, conditionPath(v1alpha1.ConditionObserved, change.Reason)}
	if change.Status == metav1.ConditionFalse {
		n.eventType, n.reason = corev1.EventTypeWarning, v1alpha1.EventObservationFailed
		n.note = change.Reason + ": " + change.Message
	}
	return n
}

func listenerEvent(change *health.ListenerTransition) notice {
	about := "status.listeners{" + change.Listener + "}"
	if change.Missing {
		return notice{corev1.EventTypeWarning, v1alpha1.EventListenerMissing,
			"listener " + change.Listener + " is not in the answer any more: it was emptied, or it was removed", about}
	}
	return notice{corev1.EventTypeNormal, v1alpha1.EventListenerReturned, "listener " + change.Listener + " is in the answer again", about}
}

func verdictEvent(change *health.ConditionTransition) notice {
	n := notice{note: change.Reason + ": " + change.Message, about: conditionPath(v1alpha1.ConditionHealthy, change.Reason)}
	switch change.Status {
	case metav1.ConditionTrue:
		n.eventType, n.reason = corev1.EventTypeNormal, v1alpha1.EventLoadBalancerHealthy
	case metav1.ConditionFalse:
		n.eventType, n.reason = corev1.EventTypeWarning, v1alpha1.EventLoadBalancerUnhealthy
	default:
		n.eventType, n.reason = corev1.EventTypeWarning, v1alpha1.EventLoadBalancerHealthUnknown
	}
	return n
}

// backendEvents is one event, or two for a backend that came abnormal: that it
// came, and what is wrong with it.
func backendEvents(change *health.BackendTransition) []notice {
	name := backendName(&change.Backend)
	where := whereabouts(change)
	tell := func(eventType, reason, what string) notice {
		return notice{eventType, reason, "backend " + name + " " + what + where, "status.backends{" + name + "}"}
	}
	was := ""
	if change.From != "" && change.From != health.Omitted {
		was = ", was " + change.From
	}
	abnormal := tell(corev1.EventTypeWarning, v1alpha1.EventBackendAbnormal, "is abnormal: its health check fails"+was)
	switch {
	case change.To == "":
		return []notice{tell(corev1.EventTypeNormal, v1alpha1.EventBackendRemoved, "is gone"+was)}
	case change.From == "" && change.To == v1alpha1.StatusAbnormal:
		return []notice{tell(corev1.EventTypeNormal, v1alpha1.EventBackendAdded, "came, and is abnormal"), abnormal}
	case change.From == "":
		return []notice{tell(corev1.EventTypeNormal, v1alpha1.EventBackendAdded, "came, and is "+change.To)}
	case change.To == v1alpha1.StatusAbnormal:
		return []notice{abnormal}
	case change.To == v1alpha1.StatusNormal:
		return []notice{tell(corev1.EventTypeNormal, v1alpha1.EventBackendNormal, "is normal"+was)}
	default:
		return []notice{tell(corev1.EventTypeWarning, v1alpha1.EventBackendUnavailable, "has no health-check result"+was)}
	}
}

// whereabouts ends the note of a backend that the cluster knows. What it said of
// one that is gone is past. Of one that turned just now, that its pod is Ready is
// a fact, and not yet a contradiction.
func whereabouts(change *health.BackendTransition) string {
	b := change.Backend
	if change.To == "" {
		b.Diagnosis = ""
	}
	text := b.Location()
	switch {
	case text == "":
		return ""
	case change.PodReady && change.To == v1alpha1.StatusAbnormal && b.Diagnosis == "":
		return "; " + text + "; the pod is Ready"
	default:
		return "; " + text
	}
}

// backendsChangedEvent tells of many backends at once: counts, and the first
// few names, the worst first.
func backendsChangedEvent(changes []health.BackendTransition) notice {
	n := notice{eventType: corev1.EventTypeNormal, reason: v1alpha1.EventBackendsChanged}
	var counts, names []string
	for _, to := range []struct{ status, phrase string }{
		{v1alpha1.StatusAbnormal, "abnormal"},
		{v1alpha1.StatusUnavailable, "without a health-check result"},
		{v1alpha1.StatusNormal, "normal"},
		{"", "gone"},
	} {
		count := 0
		for i := range changes {
			if changes[i].To != to.status {
				continue
			}
			count++
			if len(names) < maxNamed {
				names = append(names, backendName(&changes[i].Backend))
			}
		}
		if count == 0 {
			continue
		}
		counts = append(counts, strconv.Itoa(count)+" "+to.phrase)
		if to.status == v1alpha1.StatusAbnormal || to.status == v1alpha1.StatusUnavailable {
			n.eventType = corev1.EventTypeWarning
		}
	}
	total := strings.Join(counts, ", ")
	n.note = fmt.Sprintf("%d backends changed: %s; among them %s", len(changes), total, strings.Join(names, ", "))
	n.about = "status.backends{" + total + "}"
	return n
}

// backendName is how a backend is called in events: its server, address and
// port, and the listener it stands behind.
func backendName(b *v1alpha1.BackendStatus) string {
	name := b.Address()
	if b.ListenerPort != 0 {
		name += " (listener " + strconv.Itoa(int(b.ListenerPort))
		if b.ListenerProtocol != "" {
			name += "/" + b.ListenerProtocol
		}
		name += ")"
	}
	return name
}

func conditionPath(conditionType, reason string) string {
	return "status.conditions{" + conditionType + ": " + reason + "}"
}
