// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// CloudGatePrefix begins the readiness gate of the cloud controller; the Service's name follows.
const CloudGatePrefix = "service.readiness.alibabacloud.com/"

// cloudController plays Alibaba Cloud's cloud controller manager for Services whose
// backends are pods. As the original, it watches Services and EndpointSlices, and no
// pods: it finds a pod that became ContainersReady behind a closed gate when it
// reconciles the Service again.
type cloudController struct {
	client.Client
	requeue      time.Duration
	loadBalancer func(service types.NamespacedName) *LoadBalancer
}

// candidate is a pod that is, or should be, a backend.
type candidate struct {
	ip  string
	pod *corev1.ObjectReference
}

// Reconcile makes the pods of a Service backends of its load balancer, and opens the
// gates of the cloud controller on them.
func (c *cloudController) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	service := &corev1.Service{}
	if err := c.Get(ctx, request.NamespacedName, service); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	lb := c.loadBalancer(request.NamespacedName)
	if lb == nil || service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return reconcile.Result{}, nil
	}
	if lb.isPaused() {
		return reconcile.Result{RequeueAfter: c.requeue}, nil
	}
	if err := c.label(ctx, service, lb); err != nil {
		return reconcile.Result{}, err
	}
	gate := corev1.PodConditionType(CloudGatePrefix + service.Name)
	candidates, pending, err := c.candidates(ctx, request.NamespacedName, gate)
	if err != nil {
		return reconcile.Result{}, err
	}
	addresses := make([]string, 0, len(candidates))
	for _, candidate := range candidates {
		addresses = append(addresses, candidate.ip)
	}
	if err := lb.sync(ctx, addresses); err != nil {
		return reconcile.Result{}, err
	}
	for _, candidate := range candidates {
		if err := c.openGate(ctx, candidate, gate); err != nil {
			return reconcile.Result{}, err
		}
	}
	if pending {
		return reconcile.Result{RequeueAfter: c.requeue}, nil
	}
	return reconcile.Result{}, nil
}

// label says in the Service which load balancer it has.
func (c *cloudController) label(ctx context.Context, service *corev1.Service, lb *LoadBalancer) error {
	if service.Labels[v1alpha1.ServiceLoadBalancerLabel] == lb.ID {
		return nil
	}
	before := service.DeepCopy()
	metav1.SetMetaDataLabel(&service.ObjectMeta, v1alpha1.ServiceLoadBalancerLabel, lb.ID)
	return c.Patch(ctx, service, client.MergeFrom(before))
}

// candidates are the pods that are Ready, and those with the gate whose containers
// are ready. pending says that a pod with the gate may become one.
func (c *cloudController) candidates(ctx context.Context, service types.NamespacedName, gate corev1.PodConditionType) (found []candidate, pending bool, err error) {
	slices := &discoveryv1.EndpointSliceList{}
	if err := c.List(ctx, slices, client.InNamespace(service.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service.Name}); err != nil {
		return nil, false, err
	}
	for i := range slices.Items {
		for _, endpoint := range slices.Items[i].Endpoints {
			if isTrue(endpoint.Conditions.Terminating) || endpoint.TargetRef == nil {
				continue
			}
			registered := isTrue(endpoint.Conditions.Ready)
			if !registered {
				var waits bool
				if registered, waits, err = c.gated(ctx, endpoint.TargetRef, gate); err != nil {
					return nil, false, err
				}
				pending = pending || waits
			}
			if registered {
				found = append(found, candidate{endpoint.Addresses[0], endpoint.TargetRef})
			}
		}
	}
	return found, pending, nil
}

// gated reports whether a pod that is not Ready carries the gate, and whether its containers are ready.
func (c *cloudController) gated(ctx context.Context, ref *corev1.ObjectReference, gate corev1.PodConditionType) (ready, waits bool, err error) {
	pod := &corev1.Pod{}
	if err := c.Get(ctx, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}, pod); err != nil {
		return false, true, client.IgnoreNotFound(err)
	}
	if !hasGate(pod, gate) {
		return false, false, nil
	}
	containers := findCondition(pod, corev1.ContainersReady)
	ready = containers != nil && containers.Status == corev1.ConditionTrue
	return ready, !ready, nil
}

// openGate sets the gate of a registered pod to True. It does not consider the backend's health.
func (c *cloudController) openGate(ctx context.Context, candidate candidate, gate corev1.PodConditionType) error {
	pod := &corev1.Pod{}
	if err := c.Get(ctx, types.NamespacedName{Namespace: candidate.pod.Namespace, Name: candidate.pod.Name}, pod); err != nil {
		return client.IgnoreNotFound(err)
	}
	if before := findCondition(pod, gate); !hasGate(pod, gate) || before != nil && before.Status == corev1.ConditionTrue {
		return nil
	}
	opened := condition(gate, true, "")
	opened.Reason = "ServerRegistered"
	return ignoreDeleted(PatchCondition(ctx, c.Client, pod, opened))
}

// PatchCondition writes one condition of a pod, unless another pod has its name now.
func PatchCondition(ctx context.Context, c client.Client, pod *corev1.Pod, condition corev1.PodCondition) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status":   map[string]any{"conditions": []corev1.PodCondition{condition}},
	})
	if err != nil {
		return err
	}
	return c.Status().Patch(ctx, pod.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, patch))
}

func hasGate(pod *corev1.Pod, gate corev1.PodConditionType) bool {
	for _, g := range pod.Spec.ReadinessGates {
		if g.ConditionType == gate {
			return true
		}
	}
	return false
}

func isTrue(b *bool) bool { return b != nil && *b }
