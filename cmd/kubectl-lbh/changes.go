// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// change is one difference between two states of an object.
type change struct {
	text  string
	color color
}

// backendKey identifies a backend of an object.
type backendKey struct {
	listener           listenerKey
	serverID, serverIP string
	port               int32
}

func keyOf(b *v1alpha1.BackendStatus) backendKey {
	return backendKey{listenerKey{b.ListenerPort, b.ListenerProtocol, b.ServerGroupID}, b.ServerID, b.ServerIP, b.Port}
}

// changes are the differences between two states of an object: its backends in
// the order of the newer state, then removed backends, then the verdict, then the
// observation. The rows of different load balancers are not compared. A row that
// one of the statuses omits is neither added nor removed.
func changes(before, after *v1alpha1.LoadBalancerHealth) []change {
	var found []change
	if sameTarget(before, after) {
		found = backendChanges(before, after)
	}
	if from, to := rankOf(before), rankOf(after); from.label() != to.label() {
		found = append(found, change{fmt.Sprintf("%s → %s (%s)", from.label(), to.label(), reasonOf(after, v1alpha1.ConditionReady)), to.color()})
	}
	from, to := statusOf(before, v1alpha1.ConditionObserved), statusOf(after, v1alpha1.ConditionObserved)
	switch {
	case to == metav1.ConditionFalse && (from != to || reasonOf(before, v1alpha1.ConditionObserved) != reasonOf(after, v1alpha1.ConditionObserved)):
		found = append(found, change{"observation failed: " + messageOf(after, v1alpha1.ConditionObserved), yellow})
	case from == metav1.ConditionFalse && to == metav1.ConditionTrue:
		found = append(found, change{"observation recovered", green})
	}
	return found
}

func sameTarget(before, after *v1alpha1.LoadBalancerHealth) bool {
	a, b := before.Status.ObservedTarget, after.Status.ObservedTarget
	return a != nil && b != nil && *a == *b
}

func backendChanges(before, after *v1alpha1.LoadBalancerHealth) []change {
	old := map[backendKey]string{}
	for i := range before.Status.Backends {
		b := &before.Status.Backends[i]
		old[keyOf(b)] = b.ServerHealthStatus
	}
	complete := before.Status.OmittedBackends == 0 && after.Status.OmittedBackends == 0
	var found []change
	for i := range after.Status.Backends {
		b := &after.Status.Backends[i]
		from, known := old[keyOf(b)]
		delete(old, keyOf(b))
		switch name := backendName(b); {
		case known && from != b.ServerHealthStatus:
			found = append(found, change{fmt.Sprintf("%s  %s → %s%s", name, from, b.ServerHealthStatus, notesOf(b)), colorOf(b.ServerHealthStatus)})
		case !known && complete:
			found = append(found, change{fmt.Sprintf("%s  added, %s%s", name, b.ServerHealthStatus, notesOf(b)), colorOf(b.ServerHealthStatus)})
		}
	}
	if !complete {
		return found
	}
	for i := range before.Status.Backends {
		b := &before.Status.Backends[i]
		if _, removed := old[keyOf(b)]; removed {
			found = append(found, change{backendName(b) + "  removed", faint})
		}
	}
	return found
}

func backendName(b *v1alpha1.BackendStatus) string {
	return keyOf(b).listener.String() + " " + b.Address()
}
