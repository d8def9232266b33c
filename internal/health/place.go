// SPDX-License-Identifier: Apache-2.0

package health

import (
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// settled is how long a pod must have been Ready before its backend ought to
// be normal: a health check takes about 20 s to see it.
const settled = time.Minute

// Place is what the cluster knows of a backend.
type Place struct {
	// Missing tells that the cluster was looked through, and has no such node or pod.
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
		return serverIP
	}
	return serverID
}

// TypeENI is the type of a backend that is an address of an elastic network interface.
const TypeENI = "eni"

// place writes into sorted rows where each backend runs, and what the cluster
// says of it. ours tells that the load balancer is known to be this cluster's.
func place(rows []v1alpha1.BackendStatus, places Places, ours bool, now time.Time) {
	if places == nil {
		return
	}
	for len(rows) > 0 {
		end := 1
		for end < len(rows) && sameListener(&rows[end], &rows[0]) {
			end++
		}
		placeListener(rows[:end], places, ours, now)
		rows = rows[end:]
	}
}

// placeListener does so with the rows of one listener. Load balancers serve
// what is no part of this cluster, too: a backend that is not found in it is an
// orphan only among those that are.
func placeListener(rows []v1alpha1.BackendStatus, places Places, ours bool, now time.Time) {
	for i := range rows {
		row := &rows[i]
		p := places[PlaceKey(row.Type, row.ServerID, row.ServerIP)]
		row.Node, row.Pod = p.Node, p.Pod
		row.Diagnosis = diagnose(&p, classOf(row.ServerHealthStatus), now)
		ours = ours || row.Node != "" || row.Pod != ""
	}
	for i := range rows {
		if !ours && rows[i].Diagnosis == v1alpha1.DiagnosisOrphan {
			rows[i].Diagnosis = ""
		}
	}
}

func diagnose(p *Place, is class, now time.Time) v1alpha1.Diagnosis {
	switch {
	case p.Missing:
		return v1alpha1.DiagnosisOrphan
	case p.NodeNotReady:
		return v1alpha1.DiagnosisNodeNotReady
	case is != abnormal || p.Pod == "":
		return ""
	case p.PodReadySince.IsZero():
		return v1alpha1.DiagnosisPodNotReady
	case now.Sub(p.PodReadySince) >= settled:
		return v1alpha1.DiagnosisPodReadyButAbnormal
	default:
		return ""
	}
}
