// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

// gatedApp has both gates in its template, and an operator.
func (s *suite) gatedApp(t *testing.T, options appOptions) (a *app, operator *harness.Process) {
	t.Helper()
	requireGates(t)
	options.gates = []string{cloudGate, healthGate}
	a = s.newApp(t, options, func(a *app) { operator = a.startOperator(t) })
	return a, operator
}

// While the operator is down, a rollout stops and every old pod serves. It continues
// when the operator is back.
func testOperatorDown(t *testing.T, s *suite) {
	a, operator := s.gatedApp(t, appOptions{progressDeadline: 10})
	operator.Stop()
	a.update(t, "v2")
	output, err := a.kubectl(t, "rollout", "status", "deployment/"+name)
	if err == nil || !strings.Contains(output, "exceeded its progress deadline") {
		t.Fatalf("kubectl rollout status: %v\n%s", err, output)
	}
	for _, pod := range a.pods(t, "v2") {
		if isTrue(&pod, string(corev1.PodReady)) {
			t.Errorf("%s is Ready", pod.Name)
		}
	}
	if ready := a.ready(t, "v1"); len(ready) != replicas {
		t.Errorf("%d pods of the old version are Ready", len(ready))
	}
	a.fewestServing(t, replicas)

	a.startOperator(t)
	a.rolloutCompletes(t)
	a.fewestServing(t, replicas)
}

// An operator that is killed during a rollout and starts again closes no gate and
// skips none.
func testOperatorKilled(t *testing.T, s *suite) {
	a, operator := s.gatedApp(t, appOptions{})
	a.update(t, "v2")
	first := a.awaitPod(t, "v2", "that is Ready", isReady)
	operator.Kill()
	a.startOperator(t)
	verifyRollout(t, a, "v2")
	for _, pod := range a.pods(t, "v2") {
		before, after := conditionOf(first, healthGate), conditionOf(&pod, healthGate)
		if pod.Name == first.Name && !after.LastTransitionTime.Equal(&before.LastTransitionTime) {
			t.Errorf("the gate of %s changed from %+v to %+v", pod.Name, before, after)
		}
	}
}

// A gate stays open when every backend becomes abnormal: pods stay Ready, so traffic
// inside the cluster continues, no pod is deregistered, and evictions stay possible.
func testOutage(t *testing.T, s *suite) {
	a, _ := s.gatedApp(t, appOptions{})
	a.createBudget(t)
	before := a.readySince(t)

	a.setCheck(t, standin.Always(standin.Abnormal))
	a.await(t, "a verdict of Unhealthy", func() (bool, error) {
		lbh := &v1alpha1.LoadBalancerHealth{}
		err := a.cluster.Get(a.Ctx, client.ObjectKey{Namespace: a.namespace, Name: name}, lbh)
		return lbh.Status.Summary != nil && lbh.Status.Summary.Abnormal == replicas, err
	})
	// The gate of a new pod shows that the operator decides gates during the outage.
	late := a.newPod("late")
	a.create(t, late)
	a.awaitChange(t, late, "a gate that an observation closes", func(pod *corev1.Pod) bool {
		c := conditionOf(pod, healthGate)
		return c.Status == corev1.ConditionFalse && c.Reason != "WaitingForObservation"
	})
	a.observeNow(t)

	if after := a.readySince(t); !maps.Equal(before, after) {
		t.Errorf("Ready and gates changed from\n%v to\n%v", before, after)
	}
	if n := a.readyEndpoints(t); n != replicas {
		t.Errorf("%d endpoints are ready", n)
	}
	for _, pod := range a.pods(t, "v1") {
		if !slices.Contains(a.lb.Addresses(), pod.Status.PodIP) {
			t.Errorf("%s is not registered", pod.Name)
		}
	}
	if n := a.budget(t, a.Client).Status.DisruptionsAllowed; n != 1 {
		t.Errorf("the budget allows %d disruptions", n)
	}
	a.setCheck(t, standin.Always(standin.Normal))
	a.awaitServing(t, replicas+1)
}

// A version that passes its readiness probe and fails the load balancer's check
// replaces no pod, so a rollback has nothing to start.
func testUnhealthyVersion(t *testing.T, s *suite) {
	a, _ := s.gatedApp(t, appOptions{check: s.checkOf("v2", standin.Abnormal)})
	before := a.ready(t, "v1")
	a.update(t, "v2")
	pod := a.awaitPod(t, "v2", "with an abnormal backend", isClosed(healthGate, "BackendAbnormal"))
	if !isTrue(pod, string(corev1.ContainersReady)) || !isTrue(pod, cloudGate) {
		t.Errorf("the pod has the conditions %+v", pod.Status.Conditions)
	}
	if output, err := a.kubectl(t, "rollout", "undo", "deployment/"+name); err != nil {
		t.Fatal(output, err)
	}
	a.rolloutSucceeds(t)
	if after := a.ready(t, "v1"); len(after) != replicas || !slices.Equal(before, after) {
		t.Errorf("the Ready pods of the old version were %v and are %v", before, after)
	}
	a.fewestServing(t, replicas)
}

// A drain evicts the next pod when the replacement of the last one serves.
func testDrain(t *testing.T, s *suite) {
	a, _ := s.gatedApp(t, appOptions{})
	a.createBudget(t)
	pods := a.pods(t, "v1")
	if err := a.evict(&pods[0]); err != nil {
		t.Fatal(err)
	}
	if err := a.evict(&pods[1]); !apierrors.IsTooManyRequests(err) {
		t.Fatalf("a second eviction: %v", err)
	}
	started := time.Now()
	a.await(t, "a budget that is used up", func() (bool, error) { return a.budget(t, a.cluster).Status.DisruptionsAllowed == 0, nil })
	a.await(t, "a budget that allows a disruption", func() (bool, error) { return a.budget(t, a.cluster).Status.DisruptionsAllowed == 1, nil })
	if serving := a.recorder.Serving(); serving != replicas {
		t.Errorf("%d backends serve when the next eviction is allowed", serving)
	}
	t.Logf("the next eviction is allowed after %.1f s", time.Since(started).Seconds())
	if err := a.evict(&pods[1]); err != nil {
		t.Fatal(err)
	}
	a.await(t, "3 serving backends", func() (bool, error) { return a.recorder.Serving() == replicas-1, nil })
	a.awaitServing(t, replicas)
	a.fewestServing(t, replicas-1)
}

// createBudget creates a PodDisruptionBudget of one pod, and waits until it allows that.
func (a *app) createBudget(t *testing.T) {
	t.Helper()
	one := intstr.FromInt32(1)
	a.create(t, &policyv1.PodDisruptionBudget{ObjectMeta: a.meta(), Spec: policyv1.PodDisruptionBudgetSpec{
		MaxUnavailable: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
	}})
	a.await(t, "a budget that allows a disruption", func() (bool, error) { return a.budget(t, a.cluster).Status.DisruptionsAllowed == 1, nil })
}

// budget returns the PodDisruptionBudget; an empty one if the reader has none yet.
func (a *app) budget(t *testing.T, reader client.Reader) *policyv1.PodDisruptionBudget {
	t.Helper()
	budget := &policyv1.PodDisruptionBudget{}
	err := reader.Get(a.Ctx, client.ObjectKey{Namespace: a.namespace, Name: name}, budget)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return budget
}

func (a *app) evict(pod *corev1.Pod) error {
	return a.Client.SubResource("eviction").Create(a.Ctx, pod.DeepCopy(), &policyv1.Eviction{})
}

// ready returns the names of the Ready pods of a version, sorted.
func (a *app) ready(t *testing.T, version string) (ready []string) {
	t.Helper()
	for _, pod := range a.pods(t, version) {
		if isTrue(&pod, string(corev1.PodReady)) && pod.DeletionTimestamp == nil {
			ready = append(ready, pod.Name)
		}
	}
	slices.Sort(ready)
	return ready
}

// readySince returns Ready and the gates of each pod, with the times of their last transitions.
func (a *app) readySince(t *testing.T) map[string]string {
	t.Helper()
	since := map[string]string{}
	for _, pod := range a.pods(t, "") {
		for _, kind := range []string{string(corev1.PodReady), cloudGate, healthGate} {
			c := conditionOf(&pod, kind)
			since[pod.Name+" "+kind] = fmt.Sprint(c.Status, " ", c.Reason, " ", c.LastTransitionTime)
		}
	}
	return since
}

// newPod returns a backend that is no pod of the Deployment.
func (a *app) newPod(podName string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: a.meta(), Spec: a.deployment("v1").Spec.Template.Spec}
	pod.Name, pod.Labels = podName, map[string]string{serviceLabel: name}
	return pod
}

// awaitChange waits until a pod matches, and updates it.
func (a *app) awaitChange(t *testing.T, pod *corev1.Pod, what string, matches func(*corev1.Pod) bool) {
	t.Helper()
	a.await(t, what, func() (bool, error) {
		err := a.cluster.Get(a.Ctx, client.ObjectKeyFromObject(pod), pod)
		return err == nil && matches(pod), client.IgnoreNotFound(err)
	})
}

func (a *app) readyEndpoints(t *testing.T) (ready int) {
	t.Helper()
	list := &discoveryv1.EndpointSliceList{}
	if err := a.Client.List(a.Ctx, list, client.InNamespace(a.namespace)); err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		for _, endpoint := range list.Items[i].Endpoints {
			if endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready {
				ready++
			}
		}
	}
	return ready
}

// observeNow requests an observation, and returns when it was written.
func (a *app) observeNow(t *testing.T) {
	t.Helper()
	request := time.Now().Format(time.RFC3339Nano)
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.ObserveRequestedAtAnnotation, request)
	lbh := &v1alpha1.LoadBalancerHealth{ObjectMeta: a.meta()}
	if err := a.Client.Patch(a.Ctx, lbh, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
	a.await(t, "an observation", func() (bool, error) {
		err := a.cluster.Get(a.Ctx, client.ObjectKeyFromObject(lbh), lbh)
		return lbh.Status.LastHandledObserveRequest == request, err
	})
}

// calls returns the calls of DescribeHealthStatus for the load balancer.
func (a *app) calls(t *testing.T) int {
	t.Helper()
	var report struct {
		ByLoadBalancer map[string]int `json:"byLoadBalancer"`
	}
	if err := a.Simulator.Admin(a.Ctx, "GET", "calls?limit=1", nil, &report); err != nil {
		t.Fatal(err)
	}
	return report.ByLoadBalancer[a.lb.ID]
}
