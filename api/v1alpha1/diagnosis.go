// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"cmp"
	"net"
	"strconv"
	"strings"
)

// Diagnosis is what the cluster says of a backend, where that explains or contradicts its
// health. Others may be added.
type Diagnosis string

// Diagnoses.
const (
	// DiagnosisNodeNotReady: the node that the backend is, or that its pod runs
	// on, is not Ready, whatever its health check says.
	DiagnosisNodeNotReady Diagnosis = "NodeNotReady"
	// DiagnosisPodNotReady: the backend is abnormal, and its pod is not Ready either.
	DiagnosisPodNotReady Diagnosis = "PodNotReady"
	// DiagnosisPodReadyButAbnormal: the backend has been abnormal for a minute,
	// and its pod Ready for as long.
	DiagnosisPodReadyButAbnormal Diagnosis = "PodReadyButAbnormal"
	// DiagnosisOrphan: the cluster has no such node or pod, though it has others
	// behind the listener.
	DiagnosisOrphan Diagnosis = "Orphan"
)

// Explain says in a few words what a diagnosis means, and where to look; ""
// for one that is not known here.
func (d Diagnosis) Explain() string {
	switch d {
	case DiagnosisNodeNotReady:
		return "the node is not Ready"
	case DiagnosisPodNotReady:
		return "the pod is not Ready"
	case DiagnosisPodReadyButAbnormal:
		return "the pod is Ready: does a NetworkPolicy or a host firewall block health checks from 100.64.0.0/10?"
	case DiagnosisOrphan:
		return "no node or pod of this cluster"
	default:
		return ""
	}
}

// Location returns the pod and node of a backend and what its diagnosis means,
// such as "pod prod/web-1; node cn-hangzhou.10.0.0.7; the pod is not Ready". It returns "" for nothing.
func (in *BackendStatus) Location() string {
	var words []string
	for _, word := range []struct{ prefix, text string }{{"pod ", in.Pod}, {"node ", in.Node}, {"", in.Diagnosis.Explain()}} {
		if word.text != "" {
			words = append(words, word.prefix+word.text)
		}
	}
	return strings.Join(words, "; ")
}

// Address is what a backend is known by: its server, address and port, such as
// "i-1 10.0.0.1:8443" or "i-1 [2408::8]:8443".
func (in *BackendStatus) Address() string {
	port, server := strconv.Itoa(int(in.Port)), cmp.Or(in.ServerID, "of unknown id")
	switch {
	case in.ServerIP == "" && in.Port == 0:
		return server
	case in.ServerIP == "":
		return server + ":" + port
	case in.Port == 0:
		return server + " " + in.ServerIP
	default:
		return server + " " + net.JoinHostPort(in.ServerIP, port)
	}
}
