// SPDX-License-Identifier: Apache-2.0

package health

import (
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// Expected is what the cluster expects of the load balancer of a Service: the
// backends behind each of its ports.
type Expected struct {
	// NotDetermined is why it cannot be determined, for all listeners; "": it can.
	// It is a text such as "the operator may not read EndpointSlices: grant it",
	// and the same for equal situations.
	NotDetermined string
	// Listeners are the ports of the Service that forward to its endpoints.
	Listeners []ExpectedListener
}

// ExpectedListener is what the cluster expects behind one listener.
type ExpectedListener struct {
	// Port is the front-end port.
	Port int32
	// Protocol is the front-end protocol: tcp, udp, http or https.
	Protocol string
	// NotDetermined is why it cannot be determined for this listener; "": it can.
	NotDetermined string
	// Backends are those that the cluster expects, in any order. One that is
	// listed twice counts once.
	Backends []ExpectedBackend
}

// ExpectedBackend is a backend that the cluster expects behind a listener.
type ExpectedBackend struct {
	// Type is TypeENI for a pod, which its address identifies, and TypeECS for a
	// node, which its instance id identifies.
	Type string
	// ServerID is the id of the ECS instance; "" for a pod.
	ServerID string
	// ServerIP is the address of the pod, or of the node.
	ServerIP string
	// Port is the back-end port: targetPort or nodePort; 0: not known, so any port matches.
	Port int32
	// Pod is the pod, as namespace/name; "" for a node.
	Pod string
	// Node is the name of the node that the backend is, or that its pod runs on.
	Node string
	// Diagnosis is the most probable cause if the backend is missing; "": not known.
	Diagnosis v1alpha1.Diagnosis
	// Since is when the cluster began to expect the backend, such as when its pod
	// became ready; zero: not known. An observation from before says nothing of it.
	Since time.Time
}

// Absences are the expected backends that the last observation lacked, and the
// time of the first of the observations in a row that lacked them.
type Absences map[absentBackend]time.Time

// absentBackend identifies an expected backend.
type absentBackend struct {
	listenerPort     int32
	listenerProtocol string
	server           string // as of LocationKey
	port             int32
}
