// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// CloudGatePrefix begins the readiness gate of the cloud controller; the Service's name follows.
const CloudGatePrefix = "service.readiness.alibabacloud.com/"

// cloudController plays Alibaba Cloud's cloud controller manager. As the original, it
// watches Services, EndpointSlices and nodes, and no pods: it finds a pod that became
// ContainersReady behind a closed gate when it reconciles the Service again.
type cloudController struct {
	client.Client
	requeue      time.Duration
	loadBalancer func(service types.NamespacedName) *LoadBalancer
}

// Reconcile makes the pods of a Service backends of its load balancer, or the nodes, and
// opens the gates of the cloud controller on pods.
func (c *cloudController) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	service := &corev1.Service{}
	if err := c.Get(ctx, request.NamespacedName, service); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	lb := c.loadBalancer(request.NamespacedName)
	if lb == nil || service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return reconcile.Result{}, nil
	}
	lb.work.Lock()
	defer lb.work.Unlock()
	if lb.isPaused() {
		return reconcile.Result{RequeueAfter: c.requeue}, nil
	}
	if err := c.label(ctx, service, lb); err != nil {
		return reconcile.Result{}, err
	}
	backends, pending, err := c.backendsOf(ctx, service, lb)
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := lb.sync(ctx, backends); err != nil {
		return reconcile.Result{}, err
	}
	for i := range backends {
		if backends[i].pod == nil || !lb.has(backends[i].key) {
			continue
		}
		if err := c.openGate(ctx, backends[i].pod, corev1.PodConditionType(CloudGatePrefix+service.Name)); err != nil {
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

// backendsOf are the backends that a Service should have. pending says that a pod with
// the gate may become one.
func (c *cloudController) backendsOf(ctx context.Context, service *corev1.Service, lb *LoadBalancer) (found []backend, pending bool, err error) {
	endpoints, pending, err := c.endpoints(ctx, service, lb)
	if err != nil || !lb.usesNodes() {
		return endpoints, pending, err
	}
	found, err = c.nodes(ctx, service, lb, endpoints)
	return found, pending, err
}

// endpoints are the pods that are Ready, and those with the gate whose containers are
// ready. Those with the port 0 have no such target port.
func (c *cloudController) endpoints(ctx context.Context, service *corev1.Service, lb *LoadBalancer) (found []backend, pending bool, err error) {
	gate := corev1.PodConditionType(CloudGatePrefix + service.Name)
	all := &discoveryv1.EndpointSliceList{}
	if err := c.List(ctx, all, client.InNamespace(service.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service.Name}); err != nil {
		return nil, false, err
	}
	for i := range all.Items {
		ports := lb.ports(func(listener int32) int32 { return targetPort(service, &all.Items[i], listener) })
		for _, endpoint := range all.Items[i].Endpoints {
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
				found = append(found, backend{key: endpoint.Addresses[0], ports: ports, pod: endpoint.TargetRef})
			}
		}
	}
	return found, pending, nil
}

// targetPort is the port of the pods of an EndpointSlice behind a listener.
func targetPort(service *corev1.Service, slice *discoveryv1.EndpointSlice, listener int32) int32 {
	at := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == listener })
	if at < 0 {
		return 0
	}
	port := &service.Spec.Ports[at]
	if port.TargetPort.Type == intstr.Int {
		return port.TargetPort.IntVal
	}
	for _, p := range slice.Ports {
		if p.Name != nil && *p.Name == port.Name && p.Port != nil {
			return *p.Port
		}
	}
	return 0
}

// BackendLabel is the annotation of a Service with the label of the nodes that may be its backends.
const BackendLabel = "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-backend-label"

// nodes are the nodes that the Service selects, are Ready, and are not excluded: with the
// externalTrafficPolicy Local those of the endpoints.
func (c *cloudController) nodes(ctx context.Context, service *corev1.Service, lb *LoadBalancer, endpoints []backend) ([]backend, error) {
	selected, err := labels.Parse(service.Annotations[BackendLabel])
	if err != nil {
		return nil, err
	}
	list := &corev1.NodeList{}
	if err := c.List(ctx, list, client.MatchingLabelsSelector{Selector: selected}); err != nil {
		return nil, err
	}
	local, err := c.nodesOf(ctx, endpoints)
	if err != nil {
		return nil, err
	}
	ports := lb.ports(func(listener int32) int32 { return nodePort(service, listener) })
	var found []backend
	for i := range list.Items {
		node := &list.Items[i]
		_, excluded := node.Labels[corev1.LabelNodeExcludeBalancers]
		isLocal := service.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal || local[node.Name]
		if _, id, ok := strings.Cut(node.Spec.ProviderID, "."); ok && isLocal && !excluded && isReady(node) {
			found = append(found, backend{key: id, isNode: true, ports: ports})
		}
	}
	return found, nil
}

// nodesOf are the names of the nodes of pods.
func (c *cloudController) nodesOf(ctx context.Context, endpoints []backend) (map[string]bool, error) {
	found := map[string]bool{}
	for i := range endpoints {
		pod, ref := &corev1.Pod{}, endpoints[i].pod
		err := c.Get(ctx, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}, pod)
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
		found[pod.Spec.NodeName] = true
	}
	return found, nil
}

func nodePort(service *corev1.Service, listener int32) int32 {
	for i := range service.Spec.Ports {
		if p := &service.Spec.Ports[i]; p.Port == listener {
			return p.NodePort
		}
	}
	return 0
}

// isReady is the rule of the cloud controller for nodes.
func isReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
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
func (c *cloudController) openGate(ctx context.Context, ref *corev1.ObjectReference, gate corev1.PodConditionType) error {
	pod := &corev1.Pod{}
	if err := c.Get(ctx, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}, pod); err != nil {
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
