// SPDX-License-Identifier: Apache-2.0

package health

import (
	"net/netip"
	"strings"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// contradictionAfter is how long a pod must have been Ready, and its backend
// abnormal, before the two contradict each other. A health check needs about
// 20 s to detect a pod that fails or recovers, and a kubelet needs three failed
// probes to detect a program that hangs.
const contradictionAfter = time.Minute

// Types of backends that are addresses.
const (
	// TypeENI is an address of an elastic network interface.
	TypeENI = "eni"
	// typeECI is an elastic container instance, and typeIP an address alone, of NLB and ALB.
	typeECI = "eci"
	typeIP  = "ip"
)

// IsAddress returns whether a backend of a type is identified by its address, as a
// pod is, and not by the id of a server.
func IsAddress(kind string) bool { return kind == TypeENI || kind == typeECI || kind == typeIP }

// MayBeNode returns whether a backend that is an address may be that of a node.
func MayBeNode(kind string) bool { return kind == typeIP }

// Location is the node or pod that a backend is, as the cluster knows it.
type Location struct {
	// Missing is true when the cluster has no such node or pod, and every
	// namespace was searched.
	Missing bool
	// Node is the name of the node that the backend is, or that its pod runs on; "": not known.
	Node string
	// NodeNotReady is true when the node exists and is not Ready.
	NodeNotReady bool
	// NodeDraining is what shows that the node is being drained, Unschedulable or
	// the key of a taint; "": it is not, or not known.
	NodeDraining string
	// Pod is the pod that has the backend's address, as namespace/name; "": not known.
	Pod string
	// PodReadySince is when the pod became Ready, but for its readiness gates; zero: it is not Ready.
	PodReadySince time.Time
	// PodTerminating is true when the pod is terminating and could serve but for that.
	PodTerminating bool
}

// Unschedulable is the NodeDraining of a node that accepts no new pods.
const Unschedulable = "unschedulable"

func (l Location) podReady() bool { return l.Pod != "" && !l.PodReadySince.IsZero() }

// Locations are the locations of the backends of one observation, by
// LocationKey. Nothing is known of a backend that has no entry, nor of any
// where Locations is nil.
type Locations map[string]Location

// LocationKey identifies a backend in the cluster: a server by its id, and an
// ENI, which may have many pods, by its address. "": it cannot be identified.
func LocationKey(kind, serverID, serverIP string) string {
	if IsAddress(kind) {
		return Address(serverIP)
	}
	return serverID
}

// Address normalizes an IP address, so that addresses can be compared. It
// returns other strings as they are.
func Address(ip string) string {
	if !strings.Contains(ip, ":") {
		return ip // IPv4 has one form
	}
	if parsed, err := netip.ParseAddr(ip); err == nil {
		return parsed.Unmap().String()
	}
	return ip
}

func (l Locations) of(b *v1alpha1.BackendStatus) Location {
	return l[LocationKey(b.Type, b.ServerID, b.ServerIP)]
}

// surroundings are what the rows of an observation are compared with.
type surroundings struct {
	// locations are nil where no node or pod is known.
	locations Locations
	// expected is nil for an object without a Service or Ingress, or where it is not known.
	expected  *Expected
	listeners []v1alpha1.ListenerStatus
	now       time.Time
	// backends are the expected ones of each listener that was needed.
	backends map[*ExpectedListener]map[string]*ExpectedBackend
}

// locateRows returns copies of sorted rows with node, pod and diagnosis. It
// returns the rows themselves where no locations are known.
//
// A load balancer may also serve machines outside of the cluster: a backend
// that the cluster does not have is an orphan only if the cluster has another
// backend of the same listener.
func locateRows(rows []v1alpha1.BackendStatus, around *surroundings) []v1alpha1.BackendStatus {
	if around.locations == nil {
		return rows
	}
	located := make([]v1alpha1.BackendStatus, 0, len(rows))
	for rest := rows; len(rest) > 0; {
		n := 1
		for n < len(rest) && sameListener(&rest[n], &rest[0]) {
			n++
		}
		inCluster := around.locations.includeAny(rest[:n])
		for i := range n {
			located = append(located, around.locate(rest[i], inCluster))
		}
		rest = rest[n:]
	}
	return located
}

// includeAny returns whether the node or pod of any of the rows is known.
func (l Locations) includeAny(rows []v1alpha1.BackendStatus) bool {
	for i := range rows {
		if at := l.of(&rows[i]); at.Node != "" || at.Pod != "" {
			return true
		}
	}
	return false
}

// locate returns the row with node, pod and diagnosis. inCluster is whether
// the cluster has any backend of the row's listener.
func (s *surroundings) locate(row v1alpha1.BackendStatus, inCluster bool) v1alpha1.BackendStatus {
	at := s.locations.of(&row)
	row.Node, row.Pod = at.Node, at.Pod
	switch {
	case !at.Missing:
		row.Diagnosis = s.causeOf(&row, at).Diagnosis
	case inCluster:
		row.Diagnosis = v1alpha1.DiagnosisOrphan
	default:
		row.Diagnosis = ""
	}
	return row
}

// causeOf returns why a registered backend is abnormal, or what contradicts its health.
func (s *surroundings) causeOf(row *v1alpha1.BackendStatus, at Location) Cause {
	listener := listenerOf(row, s.listeners)
	symptoms := symptomsOf(row, at, listener, s.now)
	if l := s.expected.listenerOf(row); l != nil && symptoms.status != normal {
		symptoms.compare(row, s.expected, l, s.backendsOf(l)[LocationKey(row.Type, row.ServerID, row.ServerIP)])
	}
	return symptoms.cause()
}

// causeInService is the message of the cause of an abnormal row, where the backends
// that its Service should have are known: it names what the diagnosis does not, such as
// the port or the NetworkPolicy. "": there is none.
func (s *surroundings) causeInService(row *v1alpha1.BackendStatus) string {
	if s.locations == nil || s.expected.listenerOf(row) == nil {
		return ""
	}
	if at := s.locations.of(row); !at.Missing {
		return s.causeOf(row, at).Message
	}
	return ""
}

// backendsOf indexes the backends of a listener once: it may have thousands.
func (s *surroundings) backendsOf(l *ExpectedListener) map[string]*ExpectedBackend {
	if s.backends == nil {
		s.backends = map[*ExpectedListener]map[string]*ExpectedBackend{}
	}
	if s.backends[l] == nil {
		s.backends[l] = byKey(l.Backends)
	}
	return s.backends[l]
}
