// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// InstanceOf returns the id of the instance that a node is.
func InstanceOf(node string) string { return "i-" + node }

// AddNode creates a node that is Ready. Only pods that name or select it run there.
func (c *Cluster) AddNode(ctx context.Context, name string, labels map[string]string) error {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec:       corev1.NodeSpec{ProviderID: harness.Region + "." + InstanceOf(name)},
	}
	if err := c.Create(ctx, node); err != nil {
		return err
	}
	return c.SetNodeReady(ctx, name, true)
}

// SetNodeReady changes whether a node is Ready.
func (c *Cluster) SetNodeReady(ctx context.Context, name string, ready bool) error {
	patch := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":%q,"lastTransitionTime":%q}]}}`,
		condition("", ready, "").Status, time.Now().UTC().Format(time.RFC3339))
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	return c.Status().Patch(ctx, node, client.RawPatch(types.StrategicMergePatchType, []byte(patch)))
}

// RestartNode restarts a node, which needs some time, and the containers of the pods on
// it that are in a namespace.
func (c *Cluster) RestartNode(ctx context.Context, name, namespace string, delay time.Duration) error {
	if err := c.SetNodeReady(ctx, name, false); err != nil {
		return err
	}
	if err := harness.Wait(ctx, delay); err != nil {
		return err
	}
	pods := &corev1.PodList{}
	if err := c.List(ctx, pods, client.InNamespace(namespace)); err != nil {
		return err
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Spec.NodeName != name || pod.DeletionTimestamp != nil {
			continue
		}
		c.kubelet.restart(pod)
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"standin/restarted":%q}}}`, time.Now().Format(time.RFC3339Nano))
		if err := ignoreDeleted(c.Patch(ctx, pod, client.RawPatch(types.MergePatchType, []byte(patch)))); err != nil {
			return err
		}
	}
	return c.SetNodeReady(ctx, name, true)
}

// restart starts the containers of a pod again, which keeps its address. The kubelet
// notices it at the next change of the pod.
func (k *kubelet) restart(pod *corev1.Pod) {
	running := k.runningPod(pod)
	k.mu.Lock()
	defer k.mu.Unlock()
	running.started = time.Now()
}
