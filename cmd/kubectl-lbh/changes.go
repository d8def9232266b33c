// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// A change is one thing that turned.
type change struct {
	text  string
	color color
}

// backendKey tells backends of an object apart.
type backendKey struct {
	listener           listenerKey
	serverID, serverIP string
	port               int32
}

func keyOf(b *v1alpha1.BackendStatus) backendKey {
	return backendKey{listenerKey{b.ListenerPort, b.ListenerProtocol}, b.ServerID, b.ServerIP, b.Port}
}

// changes are what turned between two states of an object: backends in the
// order of the newer one, then those that are gone, then the verdict, then
// whether it is observed. Rows of different load balancers are not compared,
// and rows that were or are left out neither came nor went.
func changes(before, after *v1alpha1.LoadBalancerHealth) []change {
	var found []change
	if sameTarget(before, after) {
		found = backendChanges(before, after)
	}
	if was, is := rankOf(before), rankOf(after); was.word() != is.word() {
		found = append(found, change{fmt.Sprintf("%s → %s (%s)", was.word(), is.word(), reasonOf(after, v1alpha1.ConditionReady)), is.color()})
	}
	was, is := statusOf(before, v1alpha1.ConditionObserved), statusOf(after, v1alpha1.ConditionObserved)
	switch {
	case is == metav1.ConditionFalse && (was != is || reasonOf(before, v1alpha1.ConditionObserved) != reasonOf(after, v1alpha1.ConditionObserved)):
		found = append(found, change{"observation failed: " + messageOf(after, v1alpha1.ConditionObserved), yellow})
	case was == metav1.ConditionFalse && is == metav1.ConditionTrue:
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
	whole := before.Status.OmittedBackends == 0 && after.Status.OmittedBackends == 0
	var found []change
	for i := range after.Status.Backends {
		b := &after.Status.Backends[i]
		was, known := old[keyOf(b)]
		delete(old, keyOf(b))
		switch name := backendName(b); {
		case known && was != b.ServerHealthStatus:
			found = append(found, change{fmt.Sprintf("%s  %s → %s%s", name, was, b.ServerHealthStatus, whereabouts(b)), colorOf(b.ServerHealthStatus)})
		case !known && whole:
			found = append(found, change{fmt.Sprintf("%s  added, %s%s", name, b.ServerHealthStatus, whereabouts(b)), colorOf(b.ServerHealthStatus)})
		}
	}
	if !whole {
		return found
	}
	for i := range before.Status.Backends {
		b := &before.Status.Backends[i]
		if _, gone := old[keyOf(b)]; gone {
			found = append(found, change{backendName(b) + "  removed", faint})
		}
	}
	return found
}

func backendName(b *v1alpha1.BackendStatus) string {
	return listenerKey{b.ListenerPort, b.ListenerProtocol}.String() + " " + b.Address()
}
