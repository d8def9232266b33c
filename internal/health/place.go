// SPDX-License-Identifier: Apache-2.0

package health

import (
	"net/netip"
	"slices"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// settled is how long a pod must have been Ready, and its backend abnormal,
// before the two contradict each other: a health check sees a pod that turned
// after about 20 s, and a kubelet one that hangs not before its probe failed thrice.
const settled = time.Minute

// TypeENI is the type of a backend that is an address of an elastic network interface.
const TypeENI = "eni"

// Place is what the cluster knows of a backend.
type Place struct {
	// Missing tells that the whole cluster was looked through, and has no such node or pod.
	Missing bool
	// Node is the name of the node that the backend is, or that its pod runs on; "": not known.
	Node string
	// NodeNotReady tells that the node is there, and not Ready.
	NodeNotReady bool
	// Pod is the pod that has the backend's address, as namespace/name; "": not known.
	Pod string
	// PodReadySince is when the pod turned Ready; zero: it is not.
	PodReadySince time.Time
}

// Places are what the cluster knows of the backends of an answer, by PlaceKey.
// nil, and backends that are not in it: nobody looked.
type Places map[string]Place

// PlaceKey is what a backend is found by in the cluster: a server by its id,
// and one of an ENI, which may carry many pods, by its address. "": by nothing.
func PlaceKey(kind, serverID, serverIP string) string {
	if kind == TypeENI {
		return Address(serverIP)
	}
	return serverID
}

// Address is an IP address in the one spelling that it is compared in; what is
// none stays as it is.
func Address(ip string) string {
	if parsed, err := netip.ParseAddr(ip); err == nil {
		return parsed.Unmap().String()
	}
	return ip
}

func (p Places) of(b *v1alpha1.BackendStatus) Place {
	return p[PlaceKey(b.Type, b.ServerID, b.ServerIP)]
}

// place writes into sorted rows where each backend runs, and what the cluster
// says of it, and the same into the changes that are of these rows.
func place(rows []v1alpha1.BackendStatus, changes []BackendTransition, places Places, now time.Time) {
	if places == nil {
		return
	}
	for rest := rows; len(rest) > 0; {
		end := 1
		for end < len(rest) && sameListener(&rest[end], &rest[0]) {
			end++
		}
		placeListener(rest[:end], places, now)
		rest = rest[end:]
	}
	for i := range changes {
		change := &changes[i]
		at, found := slices.BinarySearchFunc(rows, &change.Backend, func(row v1alpha1.BackendStatus, of *v1alpha1.BackendStatus) int { return byIdentity(&row, of) })
		if found {
			p := places.of(&rows[at])
			change.Backend, change.PodReady = rows[at], p.Pod != "" && !p.PodReadySince.IsZero()
		}
	}
}

// placeListener does so with the rows of one listener. Load balancers serve
// what is no part of this cluster, too: a backend that is not found in it is an
// orphan only among those that are.
func placeListener(rows []v1alpha1.BackendStatus, places Places, now time.Time) {
	known := false
	for i := range rows {
		row, p := &rows[i], places.of(&rows[i])
		row.Node, row.Pod, row.Diagnosis = p.Node, p.Pod, diagnose(row, &p, now)
		known = known || row.Node != "" || row.Pod != ""
	}
	for i := range rows {
		if !known && rows[i].Diagnosis == v1alpha1.DiagnosisOrphan {
			rows[i].Diagnosis = ""
		}
	}
}

func diagnose(row *v1alpha1.BackendStatus, p *Place, now time.Time) v1alpha1.Diagnosis {
	switch {
	case p.Missing:
		return v1alpha1.DiagnosisOrphan
	case p.NodeNotReady:
		return v1alpha1.DiagnosisNodeNotReady
	case classOf(row.ServerHealthStatus) != abnormal || p.Pod == "":
		return ""
	case p.PodReadySince.IsZero():
		return v1alpha1.DiagnosisPodNotReady
	case now.Sub(p.PodReadySince) >= settled && now.Sub(row.LastTransitionTime.Time) >= settled:
		return v1alpha1.DiagnosisPodReadyButAbnormal
	default:
		return ""
	}
}
