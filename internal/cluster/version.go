// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strconv"

	"github.com/cespare/xxhash/v2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// version identifies the input of Expect: states of one Service with the same
// version have the same result. The order of their lists does not matter.
func (s *ServiceState) version() uint64 {
	text := appendVersion(nil, s.Service)
	var rest uint64
	add := func(object client.Object) {
		var buffer [128]byte
		rest += xxhash.Sum64(appendVersion(buffer[:0], object))
	}
	for _, slice := range s.Slices {
		add(slice)
	}
	for _, policy := range s.Policies {
		add(policy)
	}
	for _, pod := range s.Pods {
		add(pod)
	}
	text = strconv.AppendUint(append(text, '/'), rest, 16)
	text = strconv.AppendBool(append(text, '/'), s.Pods == nil)
	text = append(text, '/')
	if s.Nodes != nil {
		text = strconv.AppendUint(text, s.Nodes.version, 16)
	}
	for _, v := range s.variants() {
		text = append(append(append(append(text, '/'), v.policy...), ' '), v.family...)
	}
	return xxhash.Sum64(text)
}

func appendVersion(text []byte, object client.Object) []byte {
	return append(append(append(text, object.GetUID()...), '/'), object.GetResourceVersion()...)
}

// versionOf identifies what Expect reads of a node. The resourceVersion also
// changes with each heartbeat.
func versionOf(node *corev1.Node) uint64 {
	text := make([]byte, 0, 256)
	add := func(word string) { text = append(append(text, word...), 0) }
	add(node.Name)
	add(node.Spec.ProviderID)
	text = strconv.AppendBool(text, node.Spec.Unschedulable)
	text = strconv.AppendBool(text, node.DeletionTimestamp != nil)
	for i := range node.Spec.Taints {
		add(node.Spec.Taints[i].Key)
	}
	for i := range node.Status.Conditions {
		add(string(node.Status.Conditions[i].Type))
		add(string(node.Status.Conditions[i].Status))
		text = strconv.AppendInt(text, node.Status.Conditions[i].LastTransitionTime.Unix(), 16)
	}
	var labels uint64
	for key, value := range node.Labels {
		var buffer [128]byte
		labels += xxhash.Sum64(append(append(append(buffer[:0], key...), 0), value...))
	}
	return xxhash.Sum64(strconv.AppendUint(text, labels, 16))
}
