// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	needExclude = "service/reconcile/backend/backend.go needExcludeFromLB "
	byLabel     = "service/reconcile/backend/backend.go filterOutByLabel "
	localNodes  = vgroups + "buildLocalBackends "
	everyNode   = vgroups + "buildClusterBackends "
	nodeUtils   = "helper/node_utils.go "
)

func TestExpectedCandidateNodes(t *testing.T) {
	const all, two, one = "80/tcp: i-1:30080 i-2:30080 i-3:30080", "80/tcp: i-2:30080 i-3:30080", "80/tcp: i-2:30080"
	notTrue := func(status corev1.ConditionStatus) corev1.NodeCondition {
		return corev1.NodeCondition{Type: corev1.NodeReady, Status: status}
	}
	pressure := corev1.NodeCondition{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue}
	runSourceCases(t, []sourceCase{
		{"every node", everyNode + "898", newCluster(allNodes), all, ""},
		{"without an endpoint", everyNode + "922", newCluster(allNodes, func(c *cluster) { c.slices = nil }), all, ""},
		{"the master label", nodeUtils + "IsMasterNode 276", newCluster(allNodes, labelled(1, labelMaster, "")), two, "n1 Label(node-role.kubernetes.io/master)"},
		{"the control-plane label", nodeUtils + "IsMasterNode 276", newCluster(allNodes, labelled(1, "node-role.kubernetes.io/control-plane", "")), all, ""},
		{"the autoscaler's taint", needExclude + "192", newCluster(allNodes, tainted(1, taintAutoscaler)), two, "n1 Taint(ToBeDeletedByClusterAutoscaler)"},
		{"another taint", needExclude + "192", newCluster(allNodes, tainted(1, "node.kubernetes.io/unschedulable")), all, ""},
		{"Karpenter's taint", needExclude + "192", newCluster(allNodes, tainted(1, "karpenter.sh/disrupted")), all, ""},
		{"unschedulable", needExclude + "199", newCluster(allNodes, unschedulable(1)), all, ""},
		{"unschedulable nodes are excluded", needExclude + "200", newCluster(allNodes, unschedulable(1), annotate(newPrefix+"remove-unscheduled-backend", "on")), two, "n1 Unschedulable()"},
		{"the same by the legacy prefix", "service/reconcile/annotation/annotations.go Get 166", newCluster(allNodes, unschedulable(1),
			annotate(oldPrefix+"remove-unscheduled-backend", "on")), two, "n1 Unschedulable()"},
		{"the first prefix counts", "service/reconcile/annotation/annotations.go Get 160", newCluster(allNodes, unschedulable(1),
			annotate(oldPrefix+"remove-unscheduled-backend", "on", newPrefix+"remove-unscheduled-backend", "off")), all, ""},
		{"another word than on", needExclude + "200", newCluster(allNodes, unschedulable(1), annotate(newPrefix+"remove-unscheduled-backend", "true")), all, ""},
		{"not Ready", needExclude + "221", newCluster(allNodes, conditions(1, notTrue(corev1.ConditionFalse))), two, "n1 NodeNotReady()"},
		{"Ready is Unknown", needExclude + "222", newCluster(allNodes, conditions(1, pressure, notTrue(corev1.ConditionUnknown))), two, "n1 NodeNotReady()"},
		{"not Ready and unschedulable", needExclude + "200", newCluster(allNodes, unschedulable(1), conditions(1, notTrue(corev1.ConditionFalse)),
			annotate(newPrefix+"remove-unscheduled-backend", "on")), two, "n1 NodeNotReady()"},
		{"no conditions", needExclude + "213", newCluster(allNodes, conditions(1)), two, "n1 NodeWithoutConditions()"},
		{"conditions without Ready", needExclude + "218", newCluster(allNodes, conditions(1, pressure)), all, ""},
		{"under pressure", needExclude + "221", newCluster(allNodes, conditions(1, pressure, notTrue(corev1.ConditionTrue))), all, ""},
		{"the exclude label", nodeUtils + "IsNodeExcludeFromLoadBalancer 283", newCluster(allNodes, labelled(1, "node.kubernetes.io/exclude-from-external-load-balancers", "false")), two,
			"n1 Label(node.kubernetes.io/exclude-from-external-load-balancers)"},
		{"the alpha exclude label", nodeUtils + "IsNodeExcludeFromLoadBalancer 287", newCluster(allNodes, labelled(1, "alpha.service-controller.kubernetes.io/exclude-balancer", "")), two,
			"n1 Label(alpha.service-controller.kubernetes.io/exclude-balancer)"},
		{"the label exclude-node", nodeUtils + "IsExcludedNode 236", newCluster(allNodes, labelled(1, "service.alibabacloud.com/exclude-node", "true")), two,
			"n1 Label(service.alibabacloud.com/exclude-node)"},
		{"the beta label exclude-node", nodeUtils + "IsExcludedNode 233", newCluster(allNodes, labelled(1, "service.beta.kubernetes.io/exclude-node", "")), two,
			"n1 Label(service.beta.kubernetes.io/exclude-node)"},
		{"a hybrid node", nodeUtils + "IsExcludedNode 239", newCluster(allNodes, providerID(1, "ack-hybrid://node-1")), two, "n1 HybridNode()"},
		{"a deleted node", everyNode + "898", newCluster(allNodes, node(1, func(n *corev1.Node) { n.DeletionTimestamp = &metav1.Time{Time: start} })), all, ""},

		{"backend-label", byLabel + "167", newCluster(allNodes, labelled(2, "pool", "web"), annotate(newPrefix+"backend-label", "pool=web")), one,
			"n1 BackendLabel(pool=web), n3 BackendLabel(pool=web)"},
		{"two labels", byLabel + "167", newCluster(allNodes, labelled(2, "pool", "web"), labelled(2, "zone", "b"), labelled(3, "pool", "web"),
			annotate(newPrefix+"backend-label", "pool=web,zone=b")), one, "n1 BackendLabel(pool=web), n3 BackendLabel(zone=b)"},
		{"a label with a space", byLabel + "163", newCluster(allNodes, labelled(2, "pool", "web"), annotate(newPrefix+"backend-label", "pool =web")), "80/tcp:", "*"},
		{"an empty value", byLabel + "167", newCluster(allNodes, labelled(2, "pool", ""), annotate(newPrefix+"backend-label", "pool=")), one, "*"},
		{"what follows the value", byLabel + "167", newCluster(allNodes, labelled(2, "pool", "web"), annotate(newPrefix+"backend-label", "pool=web=x")), one, "*"},
		{"a label without a value", byLabel + "164", newCluster(allNodes, annotate(newPrefix+"backend-label", "pool")), "? InvalidAnnotation(backend-label)", ""},
		{"the same, of a Service of pods", byLabel + "164", newCluster(eni, annotate(newPrefix+"backend-label", "pool")), "? InvalidAnnotation(backend-label)", ""},
		{"the same, that no node reaches", byLabel + "169", newCluster(allNodes, annotate(newPrefix+"backend-label", "pool=web,x")), "80/tcp:", "*"},
		{"pods whatever the label", vgroups + "buildENIBackends 802", newCluster(eni, annotate(newPrefix+"backend-label", "pool=web")), "80/tcp: 10.0.0.1:8080 10.0.0.2:8080", "*"},
		{"pods whatever the node", vgroups + "buildENIBackends 802", newCluster(eni, labelled(1, labelsExclude[0], ""), tainted(2, taintAutoscaler)), "80/tcp: 10.0.0.1:8080 10.0.0.2:8080", "*"},

		{"a providerID with a scheme", nodeUtils + "NodeFromProviderID 259", newCluster(allNodes, providerID(1, "alicloud://cn-hangzhou.i-1")), all, ""},
		{"a providerID of three parts", nodeUtils + "NodeFromProviderID 272", newCluster(allNodes, providerID(1, "cn-hangzhou.i-1.x")), all, ""},
		{"no providerID", everyNode + "904", newCluster(allNodes, providerID(1, "")), "80/tcp: ? InvalidProviderID(n1)", ""},
		{"a providerID of another cloud", nodeUtils + "NodeFromProviderID 269", newCluster(allNodes, providerID(1, "aws:///eu-west-1a/i-1")), "80/tcp: ? InvalidProviderID(n1)", ""},
		{"the same of an excluded node", everyNode + "899", newCluster(allNodes, providerID(1, ""), labelled(1, labelsExclude[0], "")), two, "*"},
		{"the same of a node that is not Ready", needExclude + "221", newCluster(allNodes, providerID(1, ""), conditions(1, notTrue(corev1.ConditionFalse))), two, "*"},
		{"no nodePort", everyNode + "914", newCluster(allNodes, servicePort(func(p *corev1.ServicePort) { p.NodePort = 0 })), "80/tcp: ? NoNodePort()", ""},
		{"an endpoint without a node", everyNode + "923", newCluster(allNodes, endpointAt(1, func(e *discoveryv1.Endpoint) { e.NodeName = nil })), "80/tcp: ? EndpointWithoutNode(10.0.0.1)", ""},
		{"an endpoint on a node that does not exist", everyNode + "928", newCluster(allNodes, endpointAt(1, func(e *discoveryv1.Endpoint) { e.NodeName = new("n9") })), all, "10.0.0.1 NoNode()"},
	})
}

func TestExpectedLocalNodes(t *testing.T) {
	const both, second = "80/tcp: i-1:30080 i-2:30080", "80/tcp: i-2:30080"
	runSourceCases(t, []sourceCase{
		{"nodes with an endpoint", localNodes + "820", newCluster(local), both, ""},
		{"no endpoint", localNodes + "820", newCluster(local, func(c *cluster) { c.slices[0].Endpoints = nil }), "80/tcp:", ""},
		{"two endpoints on a node", vgroups + "removeDuplicatedECS 881", newCluster(local, endpointAt(2, func(e *discoveryv1.Endpoint) { e.NodeName = new("n1") })), "80/tcp: i-1:30080", ""},
		{"two nodes of an instance", vgroups + "removeDuplicatedECS 881", newCluster(local, providerID(2, "cn-hangzhou.i-1")), "80/tcp: i-1:30080", ""},
		{"an endpoint without a node", localNodes + "821", newCluster(local, endpointAt(1, func(e *discoveryv1.Endpoint) { e.NodeName = nil })), "80/tcp: ? EndpointWithoutNode(10.0.0.1)", ""},
		{"a terminating endpoint without a node", fromSlices + "730", newCluster(local, endpointAt(1, func(e *discoveryv1.Endpoint) { e.NodeName, e.Conditions.Terminating = nil, new(true) })),
			second, "10.0.0.1 Terminating()"},
		{"a node that does not exist", localNodes + "826", newCluster(local, func(c *cluster) { c.nodes = c.nodes[1:] }), second, "10.0.0.1 NoNode()"},
		{"a node that is not Ready", localNodes + "826", newCluster(local, conditions(1, corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown})), second,
			"n1 NodeNotReady(), 10.0.0.1 Node(NodeNotReady)"},
		{"a node with an exclude label", localNodes + "837", newCluster(local, labelled(1, labelsExclude[1], "")), second,
			"n1 Label(alpha.service-controller.kubernetes.io/exclude-balancer), 10.0.0.1 Node(Label)"},
		{"a node that lacks the backend-label", localNodes + "826", newCluster(local, labelled(2, "pool", "web"), annotate(newPrefix+"backend-label", "pool=web")), second,
			"n1 BackendLabel(pool=web), n3 BackendLabel(pool=web), 10.0.0.1 Node(BackendLabel)"},
		{"a hybrid node", localNodes + "837", newCluster(local, providerID(1, "ack-hybrid://x")), second, "n1 HybridNode(), 10.0.0.1 Node(HybridNode)"},
		{"a pod on a hybrid node", vgroups + "updateVServerGroupENIBackendID 132", newCluster(eni, providerID(1, "ack-hybrid://x")), "80/tcp: ? HybridNodes(n1)", "n1 HybridNode()"},
		{"no providerID", localNodes + "843", newCluster(local, providerID(1, "")), "80/tcp: ? InvalidProviderID(n1)", ""},
		{"no providerID of a node without an endpoint", localNodes + "842", newCluster(local, providerID(3, "")), both, ""},
		{"two nodes for one address", fromSlices + "735", newCluster(local, secondSlice(func(s *discoveryv1.EndpointSlice) {
			s.Endpoints[0] = endpointOn("10.0.0.1", "n3", "web-1")
		})), "80/tcp: ? AmbiguousNode(10.0.0.1)", ""},
		{"nodePort of the port", localNodes + "851", newCluster(local, servicePort(func(p *corev1.ServicePort) { p.NodePort = 31000 })), "80/tcp: i-1:31000 i-2:31000", ""},
	})
}

func TestExpectedVirtualNodes(t *testing.T) {
	const pod = "80/tcp: i-1:30080 10.0.0.2:8080"
	down := conditions(2, corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse})
	hidden := labelled(2, labelsExclude[0], "")
	const label = "n2 Label(node.kubernetes.io/exclude-from-external-load-balancers)"
	runSourceCases(t, []sourceCase{
		{"Local: its pod", localNodes + "832", newCluster(local, virtual(2)), pod, ""},
		{"Local: its pod in spite of the exclude label", localNodes + "837", newCluster(local, virtual(2), hidden), pod, label},
		{"Local: not Ready", needExclude + "208", newCluster(local, virtual(2), down), pod, ""},
		{"Local: without conditions", needExclude + "208", newCluster(local, virtual(2), conditions(2)), pod, ""},
		{"Local: without a providerID", localNodes + "842", newCluster(local, virtual(2), providerID(2, "")), pod, ""},
		{"Local: with the autoscaler's taint", needExclude + "192", newCluster(local, virtual(2), tainted(2, taintAutoscaler)), "80/tcp: i-1:30080", "*"},
		{"Local: with the master label", needExclude + "185", newCluster(local, virtual(2), labelled(2, labelMaster, "")), "80/tcp: i-1:30080", "*"},
		{"Local: unschedulable", needExclude + "200", newCluster(local, virtual(2), unschedulable(2), annotate(newPrefix+"remove-unscheduled-backend", "on")), "80/tcp: i-1:30080", "*"},
		{"Local: another type", localNodes + "832", newCluster(local, labelled(2, "type", "gpu")), "80/tcp: i-1:30080 i-2:30080", ""},
		{"Local: a named port", fromSlices + "715", newCluster(local, named, virtual(2)), pod, ""},
		{"Cluster: the node, too", everyNode + "899", newCluster(allNodes, virtual(2)), "80/tcp: i-1:30080 i-2:30080 i-3:30080 10.0.0.2:8080", ""},
		{"Cluster: its pod alone with the exclude label", everyNode + "934", newCluster(allNodes, virtual(2), hidden), "80/tcp: i-1:30080 i-3:30080 10.0.0.2:8080", label},
		{"Cluster: without a providerID", everyNode + "904", newCluster(allNodes, virtual(2), providerID(2, "")), "80/tcp: ? InvalidProviderID(n2)", ""},
		{"Cluster: a terminating pod", fromSlices + "730", newCluster(allNodes, virtual(2), hidden, endpointAt(2, func(e *discoveryv1.Endpoint) { e.Conditions.Terminating = new(true) })),
			"80/tcp: i-1:30080 i-3:30080", label + ", 10.0.0.2 Terminating()"},
		{"ENI: a pod like others", vgroups + "buildENIBackends 802", newCluster(eni, virtual(2), down), "80/tcp: 10.0.0.1:8080 10.0.0.2:8080", ""},
	})
}

func TestExpectedServices(t *testing.T) {
	const pods = "80/tcp: 10.0.0.1:8080 10.0.0.2:8080"
	runSourceCases(t, []sourceCase{
		{"another type", "helper/service_utils.go NeedDeleteLoadBalancer 95", newCluster(eni, func(c *cluster) { c.service.Spec.Type = corev1.ServiceTypeNodePort }), "", ""},
		{"being deleted", "helper/service_utils.go NeedDeleteLoadBalancer 95", newCluster(eni, func(c *cluster) { c.service.DeletionTimestamp = &metav1.Time{Time: start} }), "", ""},
		{"a class", "helper/service_utils.go NeedCLB 102", newCluster(eni, func(c *cluster) { c.service.Spec.LoadBalancerClass = new("alibabacloud.com/nlb") }), "? OtherController()", ""},
		{"the annotation class", "helper/service_utils.go NeedCLB 111", newCluster(eni, annotate(annotationClass, "x")), "? OtherController()", ""},
		{"the annotation type, if the feature gate is on", "helper/service_utils.go NeedCLB 105", newCluster(eni, annotate(newPrefix+"type", "nlb")), "? OtherController()", ""},
		{"the annotation tunnel-type", "helper/service_utils.go IsTunnelTypeService 207", newCluster(eni, annotate(newPrefix+"tunnel-type", "")), "? OtherController()", ""},
		{"a load balancer of the user", "service/clbv1/model_applier.go Apply 100", newCluster(eni, annotate(newPrefix+"id", "lb-1")), "? ReusedLoadBalancer()", ""},
		{"the same with its listeners replaced", "service/reconcile/annotation/annotations.go IsForceOverride 271", newCluster(eni,
			annotate(newPrefix+"id", "lb-1", newPrefix+"force-override-listeners", "true")), pods, ""},
		{"a server group of the user", vgroups + "buildVGroupForServicePort 499", newCluster(eni,
			annotate(newPrefix+"id", "lb-1", newPrefix+"force-override-listeners", "true", newPrefix+"vgroup-port", "rsp-1:80")), "? ReusedLoadBalancer()", ""},
		{"a weight", vgroups + "podPercentAlgorithm 1017", newCluster(eni, annotate(newPrefix+"weight", "60")), "? Weights(weight)", ""},
		{"a default weight", vgroups + "buildVGroupForServicePort 536", newCluster(eni, annotate(newPrefix+"default-weight", "50")), pods, ""},
		{"a default weight of 0", vgroups + "podNumberAlgorithm 983", newCluster(eni, annotate(newPrefix+"default-weight", "0")), "? Weights(default-weight)", ""},
		{"a default weight that is no number", vgroups + "buildVGroupForServicePort 538", newCluster(eni, annotate(newPrefix+"default-weight", "x")), "? InvalidAnnotation(default-weight)", ""},
		{"a default weight above 100", vgroups + "buildVGroupForServicePort 538", newCluster(eni, annotate(newPrefix+"default-weight", "101")), "? InvalidAnnotation(default-weight)", ""},
	})
}
