// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"cmp"
	"net"
	"strconv"
	"strings"
)

// Diagnosis is what the cluster knows about a backend, where that explains or contradicts its
// health. Later versions may add others.
type Diagnosis string

// Diagnoses.
const (
	// DiagnosisNodeNotReady: the node that the backend is, or that its pod runs
	// on, is not Ready, whatever the result of the health check.
	DiagnosisNodeNotReady Diagnosis = "NodeNotReady"
	// DiagnosisPodNotReady: the backend is abnormal, and its pod is not Ready
	// either; of a pod with readiness gates, its containers are not ready.
	DiagnosisPodNotReady Diagnosis = "PodNotReady"
	// DiagnosisPodReadyButAbnormal: the backend has been abnormal for a minute,
	// and its pod has been Ready for a minute, or would be but for its readiness gates.
	DiagnosisPodReadyButAbnormal Diagnosis = "PodReadyButAbnormal"
	// DiagnosisPortMismatch: the backend is registered with another port than
	// the targetPort or nodePort of the Service.
	DiagnosisPortMismatch Diagnosis = "PortMismatch"
	// DiagnosisOrphan: the cluster has no such node or pod, but it has another
	// backend of the listener.
	DiagnosisOrphan Diagnosis = "Orphan"
)

// Explain returns a short explanation of a diagnosis, with its likely cause; ""
// for an unknown diagnosis.
func (d Diagnosis) Explain() string {
	switch d {
	case DiagnosisNodeNotReady:
		return "the node is not Ready"
	case DiagnosisPodNotReady:
		return "the pod is not Ready"
	case DiagnosisPodReadyButAbnormal:
		return "the pod is Ready: does a NetworkPolicy or a host firewall block health checks from 100.64.0.0/10?"
	case DiagnosisPortMismatch:
		return "another port of it is registered than the Service's targetPort or nodePort"
	case DiagnosisOrphan:
		return "no node or pod of this cluster"
	default:
		return ""
	}
}

// Location returns the pod, the node and the explained diagnosis of a backend,
// such as "pod prod/web-1; node cn-hangzhou.10.0.0.7; the pod is not Ready"; ""
// where none of them is known.
func (in *BackendStatus) Location() string {
	var parts []string
	for _, part := range []struct{ prefix, text string }{{"pod ", in.Pod}, {"node ", in.Node}, {"", in.Diagnosis.Explain()}} {
		if part.text != "" {
			parts = append(parts, part.prefix+part.text)
		}
	}
	return strings.Join(parts, "; ")
}

// Address returns the server, address and port of a backend, such as
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
