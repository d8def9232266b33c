// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// AddressAnnotation gives a pod an address that was another pod's. All others get a new one.
const AddressAnnotation = "standin/address"

// kubelet plays the scheduler and the kubelets of all nodes.
type kubelet struct {
	client.Client
	ctx          context.Context // of the containers of Jobs
	nodes        []string
	startDelay   time.Duration
	runContainer func(ctx context.Context, pod *corev1.Pod, container *corev1.Container) error
	failed       func(error)

	mu   sync.Mutex
	last netip.Addr
	pods map[types.UID]*runningPod
}

// runningPod is what the kubelet knows of a pod that it runs.
type runningPod struct {
	ip      string
	started time.Time
	job     sync.Once
}

// Reconcile binds a pod, starts it, updates its status, or removes it.
func (k *kubelet) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	pod := &corev1.Pod{}
	if err := k.Get(ctx, request.NamespacedName, pod); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	switch {
	case pod.DeletionTimestamp != nil:
		return k.stop(ctx, pod)
	case pod.Spec.NodeName == "":
		return k.bind(ctx, pod)
	default:
		return k.run(ctx, pod)
	}
}

// bindRetry is when to try again to find a node.
const bindRetry = time.Second

// bind distributes pods by their addresses, which are consecutive: over the nodes of
// Start, or over those of their nodeSelector that are schedulable.
func (k *kubelet) bind(ctx context.Context, pod *corev1.Pod) (reconcile.Result, error) {
	nodes := k.nodes
	if len(pod.Spec.NodeSelector) > 0 {
		var err error
		if nodes, err = k.schedulable(ctx, pod.Spec.NodeSelector); err != nil || len(nodes) == 0 {
			return reconcile.Result{RequeueAfter: bindRetry}, err
		}
	}
	address := netip.MustParseAddr(k.runningPod(pod).ip).As4()
	node := nodes[int(address[3])%len(nodes)]
	err := k.SubResource("binding").Create(ctx, pod, &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: node}})
	return reconcile.Result{}, ignoreDeleted(err)
}

func (k *kubelet) schedulable(ctx context.Context, labels map[string]string) (names []string, err error) {
	list := &corev1.NodeList{}
	if err := k.List(ctx, list, client.MatchingLabels(labels)); err != nil {
		return nil, err
	}
	for i := range list.Items {
		if node := &list.Items[i]; !node.Spec.Unschedulable && isReady(node) {
			names = append(names, node.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// stop lets the containers run for the whole grace period, as those do that wait for
// their load balancer, and then removes the pod.
func (k *kubelet) stop(ctx context.Context, pod *corev1.Pod) (reconcile.Result, error) {
	if wait := time.Until(pod.DeletionTimestamp.Time); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	err := k.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID})
	return reconcile.Result{}, ignoreDeleted(err)
}

// run starts the containers of a pod, which become ready after the delay.
func (k *kubelet) run(ctx context.Context, pod *corev1.Pod) (reconcile.Result, error) {
	running := k.runningPod(pod)
	if k.runContainer != nil && pod.Spec.RestartPolicy == corev1.RestartPolicyNever {
		running.job.Do(func() { go k.runJob(pod.DeepCopy()) })
		return reconcile.Result{}, nil
	}
	started := k.startedAt(running)
	wait := max(0, time.Until(started.Add(k.startDelay)))
	return reconcile.Result{RequeueAfter: wait}, ignoreDeleted(k.updateStatus(ctx, pod, running.ip, started, wait == 0))
}

func (k *kubelet) startedAt(running *runningPod) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return running.started
}

// runningPod returns the state of a pod, which gets an address the first time.
func (k *kubelet) runningPod(pod *corev1.Pod) *runningPod {
	k.mu.Lock()
	defer k.mu.Unlock()
	running, ok := k.pods[pod.UID]
	if !ok {
		ip, again := pod.Annotations[AddressAnnotation]
		if !again {
			k.last = k.last.Next()
			ip = k.last.String()
		}
		running = &runningPod{ip: ip, started: time.Now()}
		k.pods[pod.UID] = running
	}
	return running
}

// updateStatus patches what changed of the kubelet's part of the status, so that the
// conditions of others stay.
func (k *kubelet) updateStatus(ctx context.Context, pod *corev1.Pod, ip string, started time.Time, containersReady bool) error {
	updated := pod.DeepCopy()
	status := &updated.Status
	status.Phase, status.PodIP, status.PodIPs = corev1.PodRunning, ip, []corev1.PodIP{{IP: ip}}
	status.StartTime = &metav1.Time{Time: started.Truncate(time.Second)}
	status.ContainerStatuses = containerStatuses(pod, *status.StartTime, containersReady)
	containers := condition(corev1.ContainersReady, containersReady, "ContainersNotReady")
	for _, c := range []corev1.PodCondition{condition(corev1.PodInitialized, true, ""), containers, podReady(pod, containers)} {
		setCondition(updated, c)
	}
	if equality.Semantic.DeepEqual(pod.Status, updated.Status) {
		return nil
	}
	return k.Status().Patch(ctx, updated, client.StrategicMergeFrom(pod))
}

// setCondition keeps the time of the last transition of a condition whose status is the same.
func setCondition(pod *corev1.Pod, c corev1.PodCondition) {
	before := findCondition(pod, c.Type)
	if before == nil {
		pod.Status.Conditions = append(pod.Status.Conditions, c)
		return
	}
	if before.Status == c.Status {
		c.LastTransitionTime = before.LastTransitionTime
	}
	*before = c
}

// podReady is the rule of the kubelet: a pod is Ready when its containers are, and
// every condition that its readiness gates name is True.
func podReady(pod *corev1.Pod, containers corev1.PodCondition) corev1.PodCondition {
	if containers.Status != corev1.ConditionTrue {
		return condition(corev1.PodReady, false, containers.Reason)
	}
	ready := condition(corev1.PodReady, true, "")
	for _, gate := range pod.Spec.ReadinessGates {
		if c := findCondition(pod, gate.ConditionType); c == nil || c.Status != corev1.ConditionTrue {
			closed := ready.Message
			ready = condition(corev1.PodReady, false, "ReadinessGatesNotReady")
			ready.Message = closed + fmt.Sprintf("gate %s is not True; ", gate.ConditionType)
		}
	}
	return ready
}

func condition(name corev1.PodConditionType, isTrue bool, reason string) corev1.PodCondition {
	c := corev1.PodCondition{Type: name, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}
	if !isTrue {
		c.Status, c.Reason = corev1.ConditionFalse, reason
	}
	return c
}

func findCondition(pod *corev1.Pod, name corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == name {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

func containerStatuses(pod *corev1.Pod, started metav1.Time, ready bool) []corev1.ContainerStatus {
	statuses := make([]corev1.ContainerStatus, 0, len(pod.Spec.Containers))
	for i := range pod.Spec.Containers {
		statuses = append(statuses, corev1.ContainerStatus{
			Name: pod.Spec.Containers[i].Name, Image: pod.Spec.Containers[i].Image, Ready: ready, Started: new(true),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}},
		})
	}
	return statuses
}
