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
	// DiagnosisOrphan: the cluster has no such node or pod, but it has another
	// backend of the listener.
	DiagnosisOrphan Diagnosis = "Orphan"
)

// Diagnoses of an abnormal or missing backend of a Service.
const (
	// DiagnosisPodTerminating: the pod is terminating.
	DiagnosisPodTerminating Diagnosis = "PodTerminating"
	// DiagnosisNodeDraining: the node is unschedulable, or the autoscaler is going to delete it.
	DiagnosisNodeDraining Diagnosis = "NodeDraining"
	// DiagnosisNodeExcluded: a label excludes the node from the backends of the
	// Service, but the node is registered.
	DiagnosisNodeExcluded Diagnosis = "NodeExcluded"
	// DiagnosisNoLocalEndpoint: the externalTrafficPolicy is Local, and the node
	// has no endpoint of the Service, but is registered.
	DiagnosisNoLocalEndpoint Diagnosis = "NoLocalEndpoint"
	// DiagnosisPortMismatch: the registered port is not the targetPort or nodePort of the Service.
	DiagnosisPortMismatch Diagnosis = "PortMismatch"
	// DiagnosisNetworkPolicyBlocks: a NetworkPolicy selects the pod, and none
	// that does admits health checks from 100.64.0.0/10.
	DiagnosisNetworkPolicyBlocks Diagnosis = "NetworkPolicyBlocks"
	// DiagnosisHealthCheckOff: the listener does not check health.
	DiagnosisHealthCheckOff Diagnosis = "HealthCheckOff"
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
	case DiagnosisOrphan:
		return "no node or pod of this cluster"
	case DiagnosisPodTerminating:
		return "the pod is terminating"
	case DiagnosisNodeDraining:
		return "the node is being drained"
	case DiagnosisNodeExcluded:
		return "a label excludes the node from load balancers"
	case DiagnosisNoLocalEndpoint:
		return "the node has no ready pod of the Service, whose externalTrafficPolicy is Local"
	case DiagnosisPortMismatch:
		return "the registered port is not that of the Service"
	case DiagnosisNetworkPolicyBlocks:
		return "a NetworkPolicy admits no health checks from 100.64.0.0/10"
	case DiagnosisHealthCheckOff:
		return "the health check of the listener is off"
	default:
		return ""
	}
}

// CheckController is where the cloud controller manager says why it fails or waits.
const CheckController = "the events of the Service, and the log of the cloud controller manager"

// Check returns what to check for a diagnosis of a backend on this node, of this
// pod (namespace/name); "" where Explain says it, and for an unknown diagnosis.
func (d Diagnosis) Check(pod, node string) string {
	switch d {
	case DiagnosisNodeNotReady, DiagnosisNodeDraining:
		return "kubectl describe node " + node
	case DiagnosisPodNotReady:
		namespace, name, _ := strings.Cut(pod, "/")
		return "kubectl describe pod -n " + namespace + " " + name
	case DiagnosisOrphan, DiagnosisPodTerminating, DiagnosisNodeExcluded, DiagnosisNoLocalEndpoint, DiagnosisPortMismatch:
		return CheckController
	case DiagnosisNetworkPolicyBlocks:
		return "its ingress rules"
	case DiagnosisHealthCheckOff:
		return "the Service's annotations about health checks, and the listener in the console"
	default:
		return ""
	}
}

// Cause returns the diagnosis of a backend, with the fact and what to check, such as
// "PodNotReady: the pod is not Ready: check kubectl describe pod -n prod web-1"; ""
// without a diagnosis.
func (in *BackendStatus) Cause() string { return in.Diagnosis.cause(in.Explain(), in.Pod, in.Node) }

// Explain returns a short explanation of the diagnosis of a backend. The health
// checks of NLB and ALB have other sources than those of CLB.
func (in *BackendStatus) Explain() string {
	if in.Diagnosis == DiagnosisPodReadyButAbnormal && in.ServerGroupID != "" {
		return "the pod is Ready: does a NetworkPolicy or a security group block health checks from the load balancer's own addresses (its local IPs in the vSwitches)?"
	}
	return in.Diagnosis.Explain()
}

// cause joins the parts of a diagnosis that are known.
func (d Diagnosis) cause(fact, pod, node string) string {
	text := string(d)
	if fact != "" {
		text += ": " + fact
	}
	if check := d.Check(pod, node); check != "" {
		text += ": check " + check
	}
	return text
}

// Location returns the pod, the node and the explained diagnosis of a backend,
// such as "pod prod/web-1; node cn-hangzhou.10.0.0.7; the pod is not Ready"; ""
// where none of them is known.
func (in *BackendStatus) Location() string {
	var parts []string
	for _, part := range []struct{ prefix, text string }{{"pod ", in.Pod}, {"node ", in.Node}, {"", in.Explain()}} {
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
