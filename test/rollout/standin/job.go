// SPDX-License-Identifier: Apache-2.0

package standin

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// runJob runs the containers of a pod that is not restarted, one after another, and
// reports whether all of them succeeded.
func (k *kubelet) runJob(pod *corev1.Pod) {
	updated := pod.DeepCopy()
	updated.Status.Phase = corev1.PodSucceeded
	all := append(append([]corev1.Container{}, pod.Spec.InitContainers...), pod.Spec.Containers...)
	for i := range all {
		if err := k.runContainer(k.ctx, pod, &all[i]); err != nil {
			updated.Status.Phase, updated.Status.Message = corev1.PodFailed, all[i].Name+": "+err.Error()
			break
		}
	}
	updated.Status.Conditions = []corev1.PodCondition{condition(corev1.PodReady, false, "PodCompleted")}
	updated.Status.StartTime = new(metav1.Now())
	// The pod may be deleted meanwhile, because its Job ended or was deleted.
	if err := ignoreDeleted(k.Status().Patch(k.ctx, updated, client.StrategicMergeFrom(pod))); err != nil && k.ctx.Err() == nil {
		k.failed(err)
	}
}
