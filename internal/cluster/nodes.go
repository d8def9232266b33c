// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lbhealth/slb-health-operator/internal/health"
)

// Labels and the taint by which Alibaba Cloud's cloud controller manager
// excludes a node from load balancers. The value of a label does not matter.
const (
	labelMaster     = "node-role.kubernetes.io/master"
	taintAutoscaler = "ToBeDeletedByClusterAutoscaler"
	providerHybrid  = "ack-hybrid://"
)

var labelsExclude = [...]string{
	corev1.LabelNodeExcludeBalancers, "alpha.service-controller.kubernetes.io/exclude-balancer",
	"service.beta.kubernetes.io/exclude-node", "service.alibabacloud.com/exclude-node",
}

// Nodes are the nodes of the cluster, prepared for Expect. A nil *Nodes: the
// operator may not read nodes.
type Nodes struct {
	// sorted are the nodes by name.
	sorted []nodeFacts
	// byName has the positions in sorted.
	byName map[string]int
	// virtual is whether any of them is virtual.
	virtual bool
	// version identifies what Expect reads of them.
	version uint64
}

// nodeFacts is what the cloud controller manager reads of a node.
type nodeFacts struct {
	node            *corev1.Node
	virtual, hybrid bool
	// instance is the ECS instance; "": the providerID has none.
	instance string
	// readySince is since when the node is Ready; zero: it is not, or not known.
	readySince time.Time
	// early and late are why the node is no backend: of any kind, or no server
	// of a load balancer; nil: it is one. Pods on a virtual node are backends
	// although the node itself is excluded late.
	early, late *health.Excluded
}

// NewNodes prepares nodes for Expect, which then does not change them.
func NewNodes(nodes []*corev1.Node) *Nodes {
	n := &Nodes{sorted: make([]nodeFacts, 0, len(nodes)), byName: make(map[string]int, len(nodes))}
	for _, node := range nodes {
		n.sorted = append(n.sorted, nodeFactsOf(node))
		n.version += versionOf(node)
	}
	slices.SortFunc(n.sorted, func(a, b nodeFacts) int { return strings.Compare(a.node.Name, b.node.Name) })
	for i := range n.sorted {
		n.byName[n.sorted[i].node.Name] = i
		n.virtual = n.virtual || n.sorted[i].virtual
	}
	return n
}

func nodeFactsOf(node *corev1.Node) nodeFacts {
	facts := nodeFacts{
		node: node, virtual: node.Labels[labelType] == typeVirtual,
		hybrid: strings.HasPrefix(node.Spec.ProviderID, providerHybrid),
	}
	if _, instance, ok := splitProviderID(node.Spec.ProviderID); ok {
		facts.instance = instance
	}
	for i := range node.Status.Conditions {
		if c := &node.Status.Conditions[i]; c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			facts.readySince = c.LastTransitionTime.Time
		}
	}
	excluded := func(reason health.ExclusionReason, detail string) *health.Excluded {
		return &health.Excluded{Node: node.Name, Reason: reason, Detail: detail}
	}
	for _, label := range slices.Backward(labelsExclude[:]) {
		if _, ok := node.Labels[label]; ok {
			facts.late = excluded(health.ExcludedByLabel, label)
		}
	}
	if facts.late == nil && facts.hybrid {
		facts.late = excluded(health.ExcludedHybridNode, "")
	}
	_, master := node.Labels[labelMaster]
	switch {
	case master:
		facts.early = excluded(health.ExcludedByLabel, labelMaster)
	case hasTaint(node, taintAutoscaler):
		facts.early = excluded(health.ExcludedByTaint, taintAutoscaler)
	case facts.virtual: // its pods are the backends, so its conditions do not matter
	case len(node.Status.Conditions) == 0:
		facts.early = excluded(health.ExcludedNodeIsNew, "")
	case isNotReady(node):
		facts.early = excluded(health.ExcludedNodeNotReady, "")
	}
	return facts
}

func hasTaint(node *corev1.Node, key string) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == key })
}

// isNotReady reports whether a node has a Ready condition that is not True.
func isNotReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue
	})
}

// candidates are the nodes that may be backends of one Service.
type candidates struct {
	nodes *Nodes
	// labels are those of the annotation backend-label.
	labels []pair
	// schedulable is whether unschedulable nodes are excluded.
	schedulable bool
}

// candidatesFor reads the annotations of a Service about nodes. The cloud
// controller manager fails on a label without a value once a node has the labels before it.
func candidatesFor(service *corev1.Service, nodes *Nodes) (candidates, health.NotDetermined) {
	c := candidates{nodes: nodes, schedulable: annotationOf(service.Annotations, annotationRemoveUnscheduled) == "on"}
	list := annotationOf(service.Annotations, annotationBackendLabel)
	if list == "" {
		return c, health.NotDetermined{}
	}
	for entry := range strings.SplitSeq(list, ",") {
		parts := strings.Split(entry, "=")
		if len(parts) > 1 {
			c.labels = append(c.labels, pair{parts[0], parts[1]})
			continue
		}
		if nodes == nil || slices.ContainsFunc(nodes.sorted, func(n nodeFacts) bool { return c.lackedLabel(&n) == "" }) {
			return c, health.NotDetermined{Reason: health.InvalidAnnotation, Object: annotationBackendLabel}
		}
		break
	}
	return c, health.NotDetermined{}
}

// lackedLabel is the first label of the annotation backend-label that a node lacks; "": none.
func (c *candidates) lackedLabel(n *nodeFacts) string {
	for _, label := range c.labels {
		if value, ok := n.node.Labels[label.key]; !ok || value != label.value {
			return label.key + "=" + label.value
		}
	}
	return ""
}

// early returns why neither a node nor a pod on it is a backend; nil: it may be one.
func (c *candidates) early(n *nodeFacts) *health.Excluded {
	if label := c.lackedLabel(n); label != "" {
		return &health.Excluded{Node: n.node.Name, Reason: health.ExcludedByBackendLabel, Detail: label}
	}
	if n.early == nil && c.schedulable && n.node.Spec.Unschedulable {
		return &health.Excluded{Node: n.node.Name, Reason: health.ExcludedUnschedulable}
	}
	return n.early
}

// excluded returns the nodes that are no servers of the Service, sorted by name.
func (c *candidates) excluded() []health.Excluded {
	if c.nodes == nil {
		return nil
	}
	var all []health.Excluded
	for i := range c.nodes.sorted {
		n := &c.nodes.sorted[i]
		if why := c.early(n); why != nil {
			all = append(all, *why)
		} else if n.late != nil {
			all = append(all, *n.late)
		}
	}
	return all
}

// node returns a node by name; nil: it does not exist, or nodes may not be read.
func (n *Nodes) node(name string) *nodeFacts {
	if n == nil {
		return nil
	}
	at, ok := n.byName[name]
	if !ok {
		return nil
	}
	return &n.sorted[at]
}

// hasInstance reports whether an instance is a node, or may be one because nodes may
// not be read.
func (n *Nodes) hasInstance(instance string) bool {
	return n == nil || slices.ContainsFunc(n.sorted, func(f nodeFacts) bool { return f.instance == instance })
}
