// SPDX-License-Identifier: Apache-2.0

package health

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// suspect is a backend and all that is known about it. It is abnormal, and
// nothing explains that.
type suspect struct {
	row      v1alpha1.BackendStatus
	at       Location
	expected *Expected
	listener v1alpha1.ListenerStatus
}

// abnormalPod is the pod 10.0.0.1:8080 of a Service whose target port is 8080.
// It became Ready just now.
func abnormalPod(edits ...func(*suspect)) *suspect {
	s := &suspect{
		row: v1alpha1.BackendStatus{
			ServerID: "eni-1", ServerIP: "10.0.0.1", Type: TypeENI, ListenerPort: 443, ListenerProtocol: "https", Port: 8080,
			ServerHealthStatus: v1alpha1.StatusAbnormal, LastTransitionTime: metav1.NewTime(start.Add(-time.Hour)),
		},
		at: Location{Node: "n1", Pod: "prod/web-1", PodReadySince: start},
		expected: &Expected{Listeners: []ExpectedListener{{
			ServicePort: ServicePort{Port: 443, Protocol: "https"}, Policy: PolicyENI, NodePort: 30443, TargetPorts: []int32{8080},
			Backends: []ExpectedBackend{{Type: TypeENI, ServerIP: "10.0.0.1", Port: 8080, Pod: "prod/web-1", Location: Location{Node: "n1"}}},
		}}},
		listener: v1alpha1.ListenerStatus{Port: 443, Protocol: "https", HealthCheck: v1alpha1.HealthCheckEnabled},
	}
	for _, e := range edits {
		e(s)
	}
	return s
}

// abnormalNode is the node n1 with the nodePort 30443 of a Service with externalTrafficPolicy Local.
func abnormalNode(edits ...func(*suspect)) *suspect {
	return abnormalPod(append([]func(*suspect){func(s *suspect) {
		s.row.ServerID, s.row.ServerIP, s.row.Type, s.row.Port = "i-1", "192.168.0.1", TypeECS, 30443
		s.at = Location{Node: "n1"}
		s.expected.Listeners[0].Policy = PolicyLocal
		s.expected.Listeners[0].Backends = []ExpectedBackend{{Type: TypeECS, ServerID: "i-1", Port: 30443, Location: Location{Node: "n1"}}}
	}}, edits...)...)
}

func (s *suspect) around() *surroundings {
	locations := Locations{LocationKey(s.row.Type, s.row.ServerID, s.row.ServerIP): s.at}
	return &surroundings{locations: locations, expected: s.expected, listeners: []v1alpha1.ListenerStatus{s.listener}, now: start}
}

func (s *suspect) cause() Cause { return s.around().causeOf(&s.row, s.at) }

// A transition to abnormal has the message of the cause, which names the port or the
// policy; that of an object without a Service has the diagnosis alone.
func TestTransitionsHaveCauses(t *testing.T) {
	transitionOf := func(s *suspect) BackendTransition {
		t.Helper()
		was := s.row
		was.ServerHealthStatus = v1alpha1.StatusNormal
		all := backendTransitions([]v1alpha1.BackendStatus{s.row}, []v1alpha1.BackendStatus{was}, omittedRows{}, s.around())
		if len(all) != 1 {
			t.Fatalf("%d transitions", len(all))
		}
		return all[0]
	}
	mismatch := abnormalPod(func(s *suspect) { s.row.Port = 9090 })
	alone := abnormalPod(func(s *suspect) { s.row.Port, s.expected = 9090, nil })
	for name, test := range map[string]struct {
		of   *suspect
		want string
	}{
		"of a Service":      {mismatch, "port 9090 is registered, but the targetPort of the Service is 8080: " + seeController},
		"without a Service": {alone, ""},
		"without a cause":   {abnormalPod(), ""},
	} {
		if got := transitionOf(test.of).Cause; got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// Edits of a suspect: one for each cause.

func nodeNotReady(s *suspect)                  { s.at.NodeNotReady = true }
func podNotReady(s *suspect)                   { s.at.PodReadySince = time.Time{} }
func podTerminating(s *suspect)                { s.at.PodReadySince, s.at.PodTerminating = time.Time{}, true }
func nodeCordoned(s *suspect)                  { s.at.NodeDraining = Unschedulable }
func nodeTainted(s *suspect)                   { s.at.NodeDraining = "ToBeDeletedByClusterAutoscaler" }
func policyBlocks(s *suspect)                  { s.expected.Listeners[0].Backends[0].BlockedBy = "prod/deny" }
func checkOff(s *suspect)                      { s.listener.HealthCheck = v1alpha1.HealthCheckDisabled }
func podReady(s *suspect)                      { s.at.PodReadySince = start.Add(-time.Hour) }
func unexpected(s *suspect)                    { s.expected.Listeners[0].Backends = nil }
func withoutService(s *suspect)                { s.expected = nil }
func undetermined(s *suspect)                  { s.expected.Listeners[0].NotDetermined.Reason = Weights }
func isNormal(s *suspect)                      { s.row.ServerHealthStatus = v1alpha1.StatusNormal }
func isUnavailable(s *suspect)                 { s.row.ServerHealthStatus = v1alpha1.StatusUnavailable }
func clusterPolicy(s *suspect)                 { s.expected.Listeners[0].Policy = PolicyCluster }
func ofServerGroup(s *suspect)                 { s.row.ServerGroupID, s.listener.ServerGroupID = "sgp-1", "sgp-1" }
func registeredPort(port int32) func(*suspect) { return func(s *suspect) { s.row.Port = port } }

func excludedNode(reason ExclusionReason, detail string) func(*suspect) {
	return func(s *suspect) {
		unexpected(s)
		s.expected.ExcludedNodes = []Excluded{{Node: "n0", Reason: ExcludedByTaint}, {Node: "n1", Reason: reason, Detail: detail}}
	}
}

// Each cause is found, and is not found beside it.
func TestCauseOfAnAbnormalBackend(t *testing.T) {
	const none = v1alpha1.Diagnosis("")
	for name, test := range map[string]struct {
		suspect *suspect
		want    v1alpha1.Diagnosis
		message string
	}{
		"nothing": {abnormalPod(), none, ""},

		"NodeNotReady":                      {abnormalPod(nodeNotReady), v1alpha1.DiagnosisNodeNotReady, "node n1 is not Ready: check kubectl describe node n1"},
		"NodeNotReady of a normal backend":  {abnormalPod(nodeNotReady, isNormal), v1alpha1.DiagnosisNodeNotReady, "node n1 is not Ready: check kubectl describe node n1"},
		"NodeNotReady: the node is Ready":   {abnormalNode(), none, ""},
		"NodeNotReady: without a Service":   {abnormalPod(nodeNotReady, withoutService), v1alpha1.DiagnosisNodeNotReady, "node n1 is not Ready: check kubectl describe node n1"},
		"PodNotReady":                       {abnormalPod(podNotReady), v1alpha1.DiagnosisPodNotReady, "pod prod/web-1 is not Ready: check kubectl describe pod -n prod web-1"},
		"PodNotReady: normal":               {abnormalPod(podNotReady, isNormal), none, ""},
		"PodNotReady: waits for a gate":     {abnormalPod(), none, ""},
		"PodNotReady: no pod":               {abnormalNode(podNotReady), none, ""},
		"PodTerminating":                    {abnormalPod(podTerminating), v1alpha1.DiagnosisPodTerminating, "pod prod/web-1 is terminating, and is registered until the cloud controller manager removes it: if it stays, check the events of the Service, and the log of the cloud controller manager"},
		"PodTerminating: normal":            {abnormalPod(podTerminating, isNormal), none, ""},
		"PodTerminating: without a Service": {abnormalPod(podTerminating, withoutService), v1alpha1.DiagnosisPodNotReady, "pod prod/web-1 is not Ready: check kubectl describe pod -n prod web-1"},
		"PodTerminating: and not Ready":     {abnormalPod(func(s *suspect) { s.at.PodReadySince = time.Time{} }), v1alpha1.DiagnosisPodNotReady, "pod prod/web-1 is not Ready: check kubectl describe pod -n prod web-1"},
		"NodeDraining: unschedulable":       {abnormalNode(nodeCordoned), v1alpha1.DiagnosisNodeDraining, "node n1 is unschedulable, as while it is drained: check kubectl describe node n1"},
		"NodeDraining: the taint":           {abnormalNode(nodeTainted), v1alpha1.DiagnosisNodeDraining, "node n1 has the taint ToBeDeletedByClusterAutoscaler, and will be removed: check kubectl describe node n1"},
		"NodeDraining: normal":              {abnormalNode(nodeCordoned, isNormal), none, ""},
		"NodeDraining: without a Service":   {abnormalNode(nodeCordoned, withoutService), none, ""},
		"NodeExcluded":                      {abnormalNode(excludedNode(ExcludedByLabel, "service.alibabacloud.com/exclude-node")), v1alpha1.DiagnosisNodeExcluded, "node n1 has the label service.alibabacloud.com/exclude-node, which excludes it, but is registered: check the events of the Service, and the log of the cloud controller manager"},
		"NodeExcluded: lacks a label":       {abnormalNode(excludedNode(ExcludedByBackendLabel, "pool=web")), v1alpha1.DiagnosisNodeExcluded, "node n1 lacks the label pool=web of the Service's annotation backend-label, but is registered: check the events of the Service, and the log of the cloud controller manager"},
		"NodeExcluded: another reason":      {abnormalNode(clusterPolicy, excludedNode(ExcludedNodeIsNew, "")), none, ""},
		"NodeExcluded: another node":        {abnormalNode(clusterPolicy, excludedNode(ExcludedByLabel, "x"), func(s *suspect) { s.at.Node = "n2" }), none, ""},
		"NodeExcluded: normal":              {abnormalNode(excludedNode(ExcludedByLabel, "x"), isNormal), none, ""},
		"NodeExcluded: a pod on the node":   {abnormalPod(excludedNode(ExcludedByLabel, "x")), none, ""},
		"NoLocalEndpoint":                   {abnormalNode(unexpected), v1alpha1.DiagnosisNoLocalEndpoint, "node n1 has no ready pod of the Service, whose externalTrafficPolicy is Local, but is registered: check the events of the Service, and the log of the cloud controller manager"},
		"NoLocalEndpoint: Cluster":          {abnormalNode(unexpected, clusterPolicy), none, ""},
		"NoLocalEndpoint: has one":          {abnormalNode(), none, ""},
		"NoLocalEndpoint: normal":           {abnormalNode(unexpected, isNormal), none, ""},
		"NoLocalEndpoint: a pod":            {abnormalPod(unexpected), none, ""},
		"NoLocalEndpoint: of another pod": {abnormalNode(unexpected, func(s *suspect) {
			s.expected.Listeners[0].Excluded = []Excluded{{Node: "n1", Reason: ExcludedPodUnknown}}
		}), none, ""},
		"NoLocalEndpoint: no known node":    {abnormalNode(unexpected, func(s *suspect) { s.at.Node = "" }), none, ""},
		"PortMismatch of a pod":             {abnormalPod(registeredPort(9090)), v1alpha1.DiagnosisPortMismatch, "port 9090 is registered, but the targetPort of the Service is 8080: check the events of the Service, and the log of the cloud controller manager"},
		"PortMismatch of a node":            {abnormalNode(registeredPort(31000)), v1alpha1.DiagnosisPortMismatch, "port 31000 is registered, but the nodePort of the Service is 30443: check the events of the Service, and the log of the cloud controller manager"},
		"PortMismatch of an old pod":        {abnormalPod(unexpected, registeredPort(9090)), v1alpha1.DiagnosisPortMismatch, "port 9090 is registered, but the targetPort of the Service is 8080: check the events of the Service, and the log of the cloud controller manager"},
		"PortMismatch: one of two numbers":  {abnormalPod(unexpected, registeredPort(9090), func(s *suspect) { s.expected.Listeners[0].TargetPorts = []int32{8080, 9090} }), none, ""},
		"PortMismatch: the pod's number":    {abnormalPod(registeredPort(9090), func(s *suspect) { s.expected.Listeners[0].TargetPorts = []int32{8080, 9090} }), v1alpha1.DiagnosisPortMismatch, "port 9090 is registered, but the targetPort of the Service is 8080: check the events of the Service, and the log of the cloud controller manager"},
		"PortMismatch: no registered port":  {abnormalPod(registeredPort(0)), none, ""},
		"PortMismatch: no known port":       {abnormalPod(unexpected, registeredPort(9090), func(s *suspect) { s.expected.Listeners[0].TargetPorts = nil }), none, ""},
		"PortMismatch: a node among pods":   {abnormalNode(unexpected, registeredPort(31000), func(s *suspect) { s.expected.Listeners[0].Policy = PolicyENI }), none, ""},
		"PortMismatch: normal":              {abnormalPod(registeredPort(9090), isNormal), none, ""},
		"NetworkPolicyBlocks":               {abnormalPod(policyBlocks), v1alpha1.DiagnosisNetworkPolicyBlocks, "NetworkPolicy prod/deny admits no health checks from 100.64.0.0/10: check its ingress rules"},
		"NetworkPolicyBlocks: normal":       {abnormalPod(policyBlocks, isNormal), none, ""},
		"NetworkPolicyBlocks: another pod":  {abnormalPod(policyBlocks, func(s *suspect) { s.row.ServerIP = "10.0.0.2" }), none, ""},
		"HealthCheckOff":                    {abnormalPod(checkOff), v1alpha1.DiagnosisHealthCheckOff, "the health check of the listener is off: check the Service's annotations about health checks, and the listener in the console"},
		"HealthCheckOff: no result":         {abnormalPod(checkOff, isUnavailable), v1alpha1.DiagnosisHealthCheckOff, "the health check of the listener is off: check the Service's annotations about health checks, and the listener in the console"},
		"HealthCheckOff: normal":            {abnormalPod(checkOff, isNormal), none, ""},
		"HealthCheckOff: not known":         {abnormalPod(func(s *suspect) { s.listener.HealthCheck = "" }), none, ""},
		"HealthCheckOff: without a Service": {abnormalPod(checkOff, withoutService), none, ""},
		"PodReadyButAbnormal":               {abnormalPod(podReady), v1alpha1.DiagnosisPodReadyButAbnormal, v1alpha1.DiagnosisPodReadyButAbnormal.Explain()},
		"PodReadyButAbnormal: just now":     {abnormalPod(), none, ""},
		"PodReadyButAbnormal: no result":    {abnormalPod(podReady, isUnavailable), none, ""},
		"PodReadyButAbnormal: a node":       {abnormalNode(), none, ""},
		"PodReadyButAbnormal of a group":    {abnormalPod(podReady, ofServerGroup), v1alpha1.DiagnosisPodReadyButAbnormal, "the pod is Ready: does a NetworkPolicy or a security group block health checks from the load balancer's own addresses (its local IPs in the vSwitches)?"},
		"NetworkPolicyBlocks: of a group":   {abnormalPod(policyBlocks, ofServerGroup), none, ""}, // the policy may admit its health checks
		"not determined":                    {abnormalNode(undetermined, unexpected, nodeCordoned, checkOff, registeredPort(31000)), none, ""},
		"another listener":                  {abnormalNode(unexpected, nodeCordoned, func(s *suspect) { s.row.ListenerPort = 80 }), none, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.suspect.cause(); got.Diagnosis != test.want || got.Message != test.message {
				t.Errorf("got %q: %q\nwant %q: %q", got.Diagnosis, got.Message, test.want, test.message)
			}
			if explained := test.want.Explain(); (explained == "") != (test.want == none) {
				t.Errorf("%q is explained by %q", test.want, explained)
			}
		})
	}
}

// With all symptoms at once the first cause counts; without its symptom, the next one.
func TestOrderOfCauses(t *testing.T) {
	s := abnormalNode(nodeNotReady, podNotReady, nodeCordoned, checkOff, registeredPort(31000), excludedNode(ExcludedByLabel, "x"))
	s.at.Pod = "prod/web-1" // an ECS backend has no pod: this is for the order alone
	symptoms := symptomsOf(&s.row, s.at, &s.listener, start)
	symptoms.compare(&s.row, s.expected, &s.expected.Listeners[0], nil)
	symptoms.blockedBy, symptoms.contradicts = "prod/deny", true
	for _, step := range []struct {
		want   v1alpha1.Diagnosis
		remove func()
	}{
		{v1alpha1.DiagnosisNodeNotReady, func() { symptoms.at.NodeNotReady = false }},
		{v1alpha1.DiagnosisPodNotReady, func() { symptoms.at.PodTerminating = true }},
		{v1alpha1.DiagnosisPodTerminating, func() { symptoms.at.PodTerminating, symptoms.at.PodReadySince = false, start }},
		{v1alpha1.DiagnosisNodeDraining, func() { symptoms.at.NodeDraining = "" }},
		{v1alpha1.DiagnosisNodeExcluded, func() { symptoms.excluded = nil }},
		{v1alpha1.DiagnosisNoLocalEndpoint, func() { symptoms.withoutEndpoint = false }},
		{v1alpha1.DiagnosisPortMismatch, func() { symptoms.port = 30443 }},
		{v1alpha1.DiagnosisNetworkPolicyBlocks, func() { symptoms.blockedBy = "" }},
		{v1alpha1.DiagnosisHealthCheckOff, func() { symptoms.unchecked = false }},
		{v1alpha1.DiagnosisPodReadyButAbnormal, func() { symptoms.contradicts = false }},
		{"", func() {}},
	} {
		if got := symptoms.cause().Diagnosis; got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
		step.remove()
	}
}

func TestCauseOfAMissingBackend(t *testing.T) {
	pod := ExpectedBackend{Type: TypeENI, ServerIP: "10.0.0.1", Port: 8080, Pod: "prod/web-1", Location: Location{Node: "n1"}}
	server := ExpectedBackend{Type: TypeECS, ServerID: "i-1", Port: 30443, Location: Location{Node: "n1"}}
	with := func(b ExpectedBackend, edit func(*ExpectedBackend)) ExpectedBackend { edit(&b); return b }
	podRow := v1alpha1.BackendStatus{ServerID: "eni-1", ServerIP: "10.0.0.1", Type: TypeENI, ListenerPort: 443, Port: 9090}
	for name, test := range map[string]struct {
		backend ExpectedBackend
		rows    []v1alpha1.BackendStatus
		want    v1alpha1.Diagnosis
		message string
	}{
		"nothing":               {pod, nil, "", "it is not registered: check the events of the Service"},
		"a node":                {server, nil, "", "it is not registered: check the events of the Service"},
		"its node is not Ready": {with(pod, func(b *ExpectedBackend) { b.Location.NodeNotReady = true }), nil, v1alpha1.DiagnosisNodeNotReady, "node n1"},
		"its pod is not Ready":  {with(pod, func(b *ExpectedBackend) { b.Location.Pod = "prod/web-1" }), nil, v1alpha1.DiagnosisPodNotReady, "pod prod/web-1"},
		"its pod is Ready": {with(pod, func(b *ExpectedBackend) {
			b.Location.Pod, b.Location.PodReadySince = "prod/web-1", start.Add(-time.Hour)
		}), nil, "", "it is not registered"},
		"its pod terminates":         {with(pod, func(b *ExpectedBackend) { b.Location.Pod, b.Location.PodTerminating = "prod/web-1", true }), nil, v1alpha1.DiagnosisPodTerminating, "pod prod/web-1"},
		"its node is drained":        {with(server, func(b *ExpectedBackend) { b.Location.NodeDraining = Unschedulable }), nil, v1alpha1.DiagnosisNodeDraining, "node n1"},
		"another port is registered": {pod, []v1alpha1.BackendStatus{podRow}, v1alpha1.DiagnosisPortMismatch, "port 9090 is registered, but the targetPort of the Service is 8080"},
		"another pod is registered":  {pod, []v1alpha1.BackendStatus{{ServerIP: "10.0.0.2", Type: TypeENI, Port: 9090}}, "", "it is not registered"},
		"the nodePort of a node":     {server, []v1alpha1.BackendStatus{{ServerID: "i-1", Type: TypeECS, Port: 31000}}, v1alpha1.DiagnosisPortMismatch, "port 31000 is registered, but the nodePort of the Service is 30443"},
		"a policy explains nothing":  {with(pod, func(b *ExpectedBackend) { b.BlockedBy = "prod/deny" }), nil, "", "it is not registered"},
	} {
		l := &ExpectedListener{Backends: []ExpectedBackend{test.backend}}
		if got := l.CauseOfMissing(&test.backend, test.rows); got.Diagnosis != test.want || !strings.HasPrefix(got.Message, test.message) {
			t.Errorf("%s: got %q: %q", name, got.Diagnosis, got.Message)
		}
	}
}

// The rows of a status have the same diagnosis.
func TestDiagnosisOfAServiceIsInTheStatus(t *testing.T) {
	for name, test := range map[string]struct {
		expected bool
		want     string
	}{
		"with spec.serviceRef":    {true, "i-0 //PortMismatch, i-1 //"},
		"without spec.serviceRef": {false, "i-0 //, i-1 //"},
	} {
		t.Run(name, func(t *testing.T) {
			env := newEnv(t)
			env.locations = Locations{}
			if test.expected {
				env.expected = &Expected{Listeners: []ExpectedListener{{
					ServicePort: ServicePort{Port: 443, Protocol: "https"}, Policy: PolicyCluster, NodePort: 30443,
				}}}
			}
			env.observe("443/https an")
			if got := formatLocations(env.object.Status.Backends); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	row := func(id, ip, kind string, port int32) v1alpha1.BackendStatus {
		return v1alpha1.BackendStatus{ServerID: id, ServerIP: ip, Type: kind, ListenerPort: 443, ListenerProtocol: "https", Port: port}
	}
	server, pod := row("i-1", "192.168.0.1", TypeECS, 30443), row("eni-1", "FD00:0::1", TypeENI, 8080)
	with := func(row v1alpha1.BackendStatus, edit func(*v1alpha1.BackendStatus)) v1alpha1.BackendStatus {
		edit(&row)
		return row
	}
	l := ExpectedListener{ServicePort: ServicePort{Port: 443, Protocol: "https"}, Backends: []ExpectedBackend{
		{Type: TypeECS, ServerID: "i-1", Port: 30443}, {Type: TypeENI, ServerIP: "fd00::1", Port: 8080},
	}}
	for name, test := range map[string]struct {
		rows []v1alpha1.BackendStatus
		want string
	}{
		"both":                                 {[]v1alpha1.BackendStatus{server, pod}, ""},
		"none":                                 {nil, "i-1 fd00::1"},
		"the server":                           {[]v1alpha1.BackendStatus{server}, "fd00::1"},
		"the pod":                              {[]v1alpha1.BackendStatus{pod}, "i-1"},
		"other ports":                          {[]v1alpha1.BackendStatus{row("i-1", "", TypeECS, 1), row("eni-1", "fd00::1", TypeENI, 2)}, "i-1 fd00::1"},
		"rows without ports":                   {[]v1alpha1.BackendStatus{row("i-1", "", TypeECS, 0), row("eni-1", "fd00::1", TypeENI, 0)}, ""},
		"another listener":                     {[]v1alpha1.BackendStatus{with(server, func(r *v1alpha1.BackendStatus) { r.ListenerPort = 80 }), pod}, "i-1"},
		"another protocol":                     {[]v1alpha1.BackendStatus{with(server, func(r *v1alpha1.BackendStatus) { r.ListenerProtocol = "udp" }), pod}, "i-1"},
		"a row without a listener":             {[]v1alpha1.BackendStatus{with(server, func(r *v1alpha1.BackendStatus) { r.ListenerPort, r.ListenerProtocol = 0, "" }), pod}, ""},
		"a pod's row without an address":       {[]v1alpha1.BackendStatus{server, row("eni-1", "", TypeENI, 8080)}, ""},
		"the same with another port":           {[]v1alpha1.BackendStatus{server, row("eni-1", "", TypeENI, 9090)}, "fd00::1"},
		"the server's address, without its id": {[]v1alpha1.BackendStatus{row("i-2", "192.168.0.1", TypeECS, 30443), pod}, "i-1"},
	} {
		var got []string
		for _, b := range l.Missing(test.rows) {
			got = append(got, b.ServerID+b.ServerIP)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestExpectedListenerOfARow(t *testing.T) {
	e := &Expected{Listeners: []ExpectedListener{
		{ServicePort: ServicePort{53, "tcp"}}, {ServicePort: ServicePort{53, "udp"}}, {ServicePort: ServicePort{80, "http"}},
		{ServicePort: ServicePort{443, "https"}, NotDetermined: NotDetermined{Reason: Weights}},
	}}
	for name, test := range map[string]struct {
		of       *Expected
		port     int32
		protocol string
		want     *ExpectedListener
	}{
		"its port and protocol": {e, 53, "udp", &e.Listeners[1]},
		"without a protocol":    {e, 80, "", &e.Listeners[2]},
		"one of two":            {e, 53, "", nil},
		"another protocol":      {e, 80, "https", nil},
		"another port":          {e, 81, "", nil},
		"not determined":        {e, 443, "https", nil},
		"nothing is expected":   {nil, 80, "http", nil},
	} {
		if got := test.of.Listener(test.port, test.protocol, ""); got != test.want {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestNotDeterminedSaysWhy(t *testing.T) {
	messages := map[string]NotDeterminedReason{}
	for _, reason := range []NotDeterminedReason{
		EndpointSlicesUnknown, NodesUnknown, ReusedLoadBalancer, Weights, OtherController, BackendTypeUnknown, HybridNodes,
		EndpointWithoutNode, AmbiguousNode, InvalidProviderID, InvalidAnnotation, NoNodePort,
	} {
		message := NotDetermined{reason, "OBJECT"}.Message()
		if other, twice := messages[message]; twice || message == "" {
			t.Errorf("%s and %q have the message %q", reason, other, message)
		}
		messages[message] = reason
	}
	if message := (NotDetermined{Reason: HybridNodes, Object: "n1"}).Message(); !strings.Contains(message, "hybrid node n1") {
		t.Error(message)
	}
	if message := (NotDetermined{}).Message(); message != "" {
		t.Errorf("it is determined, but %q", message)
	}
}
