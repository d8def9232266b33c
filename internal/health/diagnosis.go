// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// Cause is the most probable cause of a backend that is abnormal or missing.
type Cause struct {
	// Diagnosis is "" where nothing explains it.
	Diagnosis v1alpha1.Diagnosis
	// Message is the fact and the place to check: one line without times or
	// counts, the same for equal situations.
	Message string
}

// symptoms are what is known of one backend beside its health.
type symptoms struct {
	at Location
	// ofService is true for a backend of an object with a Service or Ingress whose
	// expected backends are known. Others have only the causes of the node and pod.
	ofService bool
	// group is the server group of a backend of NLB or ALB, whose health checks come
	// from the load balancer's own addresses; "" for CLB.
	group string
	// status is how a registered backend counts; missing is true for one that is not registered.
	status  class
	missing bool
	// excluded is why the node is no backend of the Service; nil: it may be one.
	excluded *Excluded
	// withoutEndpoint is true for a node that has no endpoint of a Service that needs one there.
	withoutEndpoint bool
	// port is the registered port, and ports are those of the Service for this
	// backend; portKind is nodePort or targetPort.
	port     int32
	ports    []int32
	portKind string
	// blockedBy is the NetworkPolicy that keeps health checks from the backend.
	blockedBy string
	// unchecked is true when the health check of the listener is off.
	unchecked bool
	// contradicts is true when the backend is abnormal while its pod is Ready, both for a while.
	contradicts bool
}

// causes are the causes in the order in which the first one counts. Each explains
// its symptom, or returns "".
var causes = [...]struct {
	diagnosis v1alpha1.Diagnosis
	explain   func(*symptoms) string
}{
	{v1alpha1.DiagnosisNodeNotReady, (*symptoms).nodeNotReady},
	{v1alpha1.DiagnosisPodNotReady, (*symptoms).podNotReady},
	{v1alpha1.DiagnosisPodTerminating, (*symptoms).podTerminating},
	{v1alpha1.DiagnosisNodeDraining, (*symptoms).nodeDraining},
	{v1alpha1.DiagnosisNodeExcluded, (*symptoms).nodeExcluded},
	{v1alpha1.DiagnosisNoLocalEndpoint, (*symptoms).noLocalEndpoint},
	{v1alpha1.DiagnosisPortMismatch, (*symptoms).portMismatch},
	{v1alpha1.DiagnosisNetworkPolicyBlocks, (*symptoms).networkPolicyBlocks},
	{v1alpha1.DiagnosisHealthCheckOff, (*symptoms).healthCheckOff},
	{v1alpha1.DiagnosisPodReadyButAbnormal, (*symptoms).podReadyButAbnormal},
}

func (s *symptoms) cause() Cause {
	for i := range causes {
		if message := causes[i].explain(s); message != "" {
			return Cause{causes[i].diagnosis, message}
		}
	}
	return Cause{}
}

// fails is whether the backend is abnormal or missing.
func (s *symptoms) fails() bool { return s.missing || s.status == abnormal }

func symptomsOf(row *v1alpha1.BackendStatus, at Location, listener *v1alpha1.ListenerStatus, now time.Time) *symptoms {
	return &symptoms{
		at: at, group: row.ServerGroupID, status: classOf(row.ServerHealthStatus), port: row.Port,
		unchecked:   listener != nil && listener.HealthCheck == v1alpha1.HealthCheckDisabled,
		contradicts: now.Sub(at.PodReadySince) >= contradictionAfter && now.Sub(row.LastTransitionTime.Time) >= contradictionAfter,
	}
}

// compare sets the symptoms in which a row differs from what the cluster expects
// of its listener; nil: not known. b is the expected backend that it is; nil: none.
func (s *symptoms) compare(row *v1alpha1.BackendStatus, expected *Expected, l *ExpectedListener, b *ExpectedBackend) {
	if l == nil {
		return
	}
	s.ofService = true
	s.setPorts(l, row.Type)
	switch {
	case b != nil:
		s.ports, s.blockedBy = []int32{b.Port}, b.BlockedBy
	case !IsAddress(row.Type) && s.at.Node != "":
		s.excluded = expected.excludedNode(s.at.Node)
		s.withoutEndpoint = l.Policy == PolicyLocal && !l.mayHaveEndpoint(s.at.Node)
	}
}

// setPorts sets the ports that the Service has for backends of a type. Nodes are
// no backends of a Service whose backends are pods.
func (s *symptoms) setPorts(l *ExpectedListener, kind string) {
	switch {
	case IsAddress(kind):
		s.ports, s.portKind = l.TargetPorts, "targetPort"
	case l.Policy != PolicyENI && l.NodePort != 0:
		s.ports, s.portKind = []int32{l.NodePort}, "nodePort"
	}
}

// mayHaveEndpoint returns whether an endpoint on the node may be a backend though
// it is not expected: the operator may not read its pod.
func (l *ExpectedListener) mayHaveEndpoint(node string) bool {
	return slices.ContainsFunc(l.Excluded, func(e Excluded) bool {
		return e.Node == node && e.Reason == ExcludedPodUnknown
	})
}

// CauseOfMissing returns why an expected backend is not registered. rows are
// those of its listener.
func (l *ExpectedListener) CauseOfMissing(b *ExpectedBackend, rows []v1alpha1.BackendStatus) Cause {
	s := symptoms{at: b.Location, ofService: true, missing: true, ports: []int32{b.Port}, portKind: "nodePort"}
	if b.Type == TypeENI {
		s.portKind = "targetPort"
	}
	for i := range rows {
		row := &rows[i]
		if row.Type == b.Type && LocationKey(row.Type, row.ServerID, row.ServerIP) == b.key() {
			s.port = row.Port
		}
	}
	if cause := s.cause(); cause.Diagnosis != "" {
		return cause
	}
	return Cause{Message: messageNotRegistered}
}

// seeController is where the cloud controller manager says why it fails or waits.
const seeController = "check " + v1alpha1.CheckController

const messageNotRegistered = "it is not registered: " + seeController

// whereToCheck is what kubectl lbh tree says, too.
func (s *symptoms) whereToCheck(d v1alpha1.Diagnosis) string { return d.Check(s.at.Pod, s.at.Node) }

func (s *symptoms) nodeNotReady() string {
	if !s.at.NodeNotReady {
		return ""
	}
	return fmt.Sprintf("node %s is not Ready: check %s", s.at.Node, s.whereToCheck(v1alpha1.DiagnosisNodeNotReady))
}

func (s *symptoms) podNotReady() string {
	waits := s.ofService && s.at.PodTerminating
	if !s.fails() || s.at.Pod == "" || !s.at.PodReadySince.IsZero() || waits {
		return ""
	}
	return fmt.Sprintf("pod %s is not Ready: check %s", s.at.Pod, s.whereToCheck(v1alpha1.DiagnosisPodNotReady))
}

func (s *symptoms) podTerminating() string {
	if !s.ofService || !s.fails() || !s.at.PodTerminating {
		return ""
	}
	return fmt.Sprintf("pod %s is terminating, and is registered until the cloud controller manager removes it: if it stays, %s", s.at.Pod, seeController)
}

func (s *symptoms) nodeDraining() string {
	if !s.ofService || !s.fails() || s.at.NodeDraining == "" {
		return ""
	}
	fact := "is unschedulable, as while it is drained"
	if s.at.NodeDraining != Unschedulable {
		fact = "has the taint " + s.at.NodeDraining + ", and will be removed"
	}
	return fmt.Sprintf("node %s %s: check %s", s.at.Node, fact, s.whereToCheck(v1alpha1.DiagnosisNodeDraining))
}

func (s *symptoms) nodeExcluded() string {
	if !s.fails() || s.excluded == nil {
		return ""
	}
	switch s.excluded.Reason {
	case ExcludedByLabel:
		return fmt.Sprintf("node %s has the label %s, which excludes it, but is registered: %s", s.at.Node, s.excluded.Detail, seeController)
	case ExcludedByBackendLabel:
		return fmt.Sprintf("node %s lacks the label %s of the Service's annotation backend-label, but is registered: %s", s.at.Node, s.excluded.Detail, seeController)
	default:
		return "" // it has another cause, or none
	}
}

func (s *symptoms) noLocalEndpoint() string {
	if !s.fails() || !s.withoutEndpoint {
		return ""
	}
	return fmt.Sprintf("node %s has no ready pod of the Service, whose externalTrafficPolicy is Local, but is registered: %s", s.at.Node, seeController)
}

func (s *symptoms) portMismatch() string {
	if !s.fails() || s.port == 0 || len(s.ports) == 0 || slices.Contains(s.ports, s.port) {
		return ""
	}
	numbers := make([]string, 0, len(s.ports))
	for _, port := range s.ports {
		numbers = append(numbers, strconv.Itoa(int(port)))
	}
	return fmt.Sprintf("port %d is registered, but the %s of the Service is %s: %s", s.port, s.portKind, strings.Join(numbers, " or "), seeController)
}

func (s *symptoms) networkPolicyBlocks() string {
	if !s.fails() || s.blockedBy == "" || s.group != "" {
		return ""
	}
	return fmt.Sprintf("NetworkPolicy %s admits no health checks from 100.64.0.0/10: check %s", s.blockedBy, s.whereToCheck(v1alpha1.DiagnosisNetworkPolicyBlocks))
}

func (s *symptoms) healthCheckOff() string {
	if !s.ofService || s.status == normal || !s.unchecked {
		return ""
	}
	return v1alpha1.DiagnosisHealthCheckOff.Explain() + ": check " + s.whereToCheck(v1alpha1.DiagnosisHealthCheckOff)
}

func (s *symptoms) podReadyButAbnormal() string {
	if !s.fails() || !s.at.podReady() || !s.contradicts {
		return ""
	}
	row := v1alpha1.BackendStatus{Diagnosis: v1alpha1.DiagnosisPodReadyButAbnormal, ServerGroupID: s.group}
	return row.Explain()
}
