// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

const (
	// name is that of each Deployment, and of its Service and LoadBalancerHealth.
	name         = "web"
	versionLabel = "version"
	// serviceLabel is what the Service selects. The Deployment selects app, so that a
	// pod of its own can be a backend, too.
	serviceLabel = "service"
	cloudGate    = standin.CloudGatePrefix + name
	healthPrefix = "health.slb.lbhealth.dev/"
	healthGate   = healthPrefix + name
	// injectLabel makes the policy inject both gates into the pods of a Service.
	injectLabel = "slb.lbhealth.dev/readiness-gate"
	replicas    = 4
	// gracePeriod is in seconds.
	gracePeriod = 2
)

// app is a Deployment behind a load balancer, in a namespace of its own.
type app struct {
	*suite
	options   appOptions
	namespace string
	lb        *standin.LoadBalancer
	recorder  *standin.Recorder
	policies  []unstructured.Unstructured // that inject gates
}

// appOptions are all optional.
type appOptions struct {
	replicas int32           // default: replicas
	surge    string          // default: 1
	gates    []string        // of the pod template
	inject   bool            // the policy injects both gates
	check    standin.Check   // default: always normal
	delays   []time.Duration // one listener for each; default: one with checkDelay
	// progressDeadline is in seconds; 0 is the default of Kubernetes.
	progressDeadline int32
	// targetPorts are those of the listeners; default: 8080 and the next ones.
	targetPorts []intstr.IntOrString
	// nodes are the app's own ones: the pods run there. They are its backends with the
	// policy, which is "" where pods are the backends.
	nodes  []string
	policy corev1.ServiceExternalTrafficPolicy
}

// newApp creates the first version, and returns when its rollout is complete and all of
// its backends serve. Gated apps need the operator for that, which prepare starts; it may be nil.
func (s *suite) newApp(t *testing.T, options appOptions, prepare func(*app)) *app {
	t.Helper()
	a := s.prepareApp(t, options)
	if prepare != nil {
		prepare(a)
	}
	a.create(t, a.deployment("v1"))
	a.rolloutCompletes(t)
	if options.policy == "" {
		a.awaitServing(t, replicasOf(a))
	}
	a.recorder.Restart()
	return a
}

// prepareApp creates everything but the Deployment.
func (s *suite) prepareApp(t *testing.T, options appOptions) *app {
	t.Helper()
	if options.replicas == 0 {
		options.replicas = replicas
	}
	if options.surge == "" {
		options.surge = "1"
	}
	if options.check == nil {
		options.check = standin.Always(standin.Normal)
	}
	if options.delays == nil {
		options.delays = []time.Duration{checkDelay}
	}
	a := &app{suite: s, options: options, namespace: fmt.Sprintf("app-%02d", s.apps.Add(1))}
	a.CreateNamespace(t, a.namespace)
	for _, node := range options.nodes {
		if err := a.cluster.AddNode(a.Ctx, a.node(node), a.nodeLabels()); err != nil {
			t.Fatal(err)
		}
	}
	a.lb, a.recorder = a.addService(t, name, options.check)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(a.describe())
		}
	})
	return a
}

// node is the name of a node of the app's own.
func (a *app) node(name string) string { return a.namespace + "-" + name }

// nodeLabels are those of the app's own nodes.
func (a *app) nodeLabels() map[string]string { return map[string]string{"nodes-of": a.namespace} }

// addService creates a Service, its load balancer and its LoadBalancerHealth.
func (a *app) addService(t *testing.T, service string, check standin.Check) (*standin.LoadBalancer, *standin.Recorder) {
	t.Helper()
	var listeners []standin.Listener
	for i, delay := range a.options.delays {
		listeners = append(listeners, standin.Listener{Port: int32(80 + i), Protocol: "tcp", BackendPort: int32(8080 + i), CheckDelay: delay})
	}
	meta := metav1.ObjectMeta{Namespace: a.namespace, Name: service}
	lb, recorder, err := a.cluster.AddLoadBalancer(types.NamespacedName{Namespace: a.namespace, Name: service}, "lb-"+a.namespace+"-"+service, check, listeners...)
	if err != nil {
		t.Fatal(err)
	}
	if a.options.policy != "" {
		lb.UseNodes()
	}
	a.create(t, a.service(meta, listeners))
	a.create(t, &v1alpha1.LoadBalancerHealth{ObjectMeta: meta, Spec: v1alpha1.LoadBalancerHealthSpec{
		ServiceRef: &v1alpha1.ServiceReference{Name: service}, Interval: metav1.Duration{Duration: 5 * time.Second},
	}})
	return lb, recorder
}

func (a *app) meta() metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: a.namespace, Name: name} }

func (a *app) service(meta metav1.ObjectMeta, listeners []standin.Listener) *corev1.Service {
	service := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{serviceLabel: name}, ExternalTrafficPolicy: a.options.policy,
	}}
	if a.options.policy != "" {
		service.Annotations = map[string]string{standin.BackendLabel: labels.FormatLabels(a.nodeLabels())}
	}
	if a.options.inject {
		service.Labels = map[string]string{injectLabel: "enabled"}
	}
	for i, l := range listeners {
		port := corev1.ServicePort{Name: fmt.Sprintf("port-%d", l.Port), Port: l.Port, TargetPort: intstr.FromInt32(l.BackendPort)}
		if i < len(a.options.targetPorts) {
			port.TargetPort = a.options.targetPorts[i]
		}
		service.Spec.Ports = append(service.Spec.Ports, port)
	}
	return service
}

func (a *app) deployment(version string) *appsv1.Deployment {
	surge, unavailable := intstr.Parse(a.options.surge), intstr.FromInt32(0)
	d := &appsv1.Deployment{ObjectMeta: a.meta(), Spec: appsv1.DeploymentSpec{
		Replicas: &a.options.replicas,
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
		Strategy: appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge, MaxUnavailable: &unavailable}},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name, serviceLabel: name, versionLabel: version}},
			Spec: corev1.PodSpec{
				TerminationGracePeriodSeconds: new(int64(gracePeriod)),
				Containers: []corev1.Container{{
					Name: "app", Image: "registry.example/app:" + version,
					Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8081}, {Name: "alt", ContainerPort: 9091}},
				}},
			},
		},
	}}
	if len(a.options.nodes) > 0 {
		d.Spec.Template.Spec.NodeSelector = a.nodeLabels()
	}
	if a.options.progressDeadline > 0 {
		d.Spec.ProgressDeadlineSeconds = &a.options.progressDeadline
	}
	for _, gate := range a.options.gates {
		d.Spec.Template.Spec.ReadinessGates = append(d.Spec.Template.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: corev1.PodConditionType(gate)})
	}
	return d
}

func (a *app) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := a.Client.Create(a.Ctx, object); err != nil {
		t.Fatal(err)
	}
}

// update begins the rollout of a version.
func (a *app) update(t *testing.T, version string) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"labels":{%q:%q}}}}}`, versionLabel, version)
	if err := a.Client.Patch(a.Ctx, &appsv1.Deployment{ObjectMeta: a.meta()}, client.RawPatch(types.StrategicMergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// kubectl runs a command in the app's namespace.
func (a *app) kubectl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, a.Plane.Kubectl(), append([]string{"--kubeconfig", a.Plane.Kubeconfig(), "--namespace", a.namespace}, args...)...)
	command.Env = []string{"HOME=" + a.Folder}
	output, err := command.CombinedOutput()
	return string(output), err
}

// rolloutSucceeds waits until kubectl reports success, and returns the time that it took.
func (a *app) rolloutSucceeds(t *testing.T) time.Duration {
	t.Helper()
	started := time.Now()
	if output, err := a.kubectl(t, "rollout", "status", "deployment/"+name); err != nil {
		t.Fatalf("kubectl rollout status: %v\n%s", err, output)
	}
	return time.Since(started)
}

// rolloutCompletes waits until every pod is of the last version and available, also after
// the progress deadline, when kubectl rollout status fails at once.
func (a *app) rolloutCompletes(t *testing.T) {
	t.Helper()
	a.await(t, "a complete rollout", func() (bool, error) {
		d, want := &appsv1.Deployment{}, a.options.replicas
		err := client.IgnoreNotFound(a.cluster.Get(a.Ctx, client.ObjectKey{Namespace: a.namespace, Name: name}, d))
		status := d.Status
		return d.Generation == status.ObservedGeneration && status.UpdatedReplicas == want && status.AvailableReplicas == want && status.Replicas == want, err
	})
}

// await waits for something that the stand-ins watch.
func (a *app) await(t *testing.T, what string, done func() (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.cluster.Await(ctx, done); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func (a *app) awaitServing(t *testing.T, number int) {
	t.Helper()
	a.await(t, fmt.Sprintf("%d serving backends", number), func() (bool, error) { return a.recorder.Serving() == number, nil })
}

func replicasOf(a *app) int { return int(a.options.replicas) }

// fewestServing fails unless at least as many backends served all the time.
func (a *app) fewestServing(t *testing.T, least int) {
	t.Helper()
	t.Logf("serving: %s", a.recorder)
	if fewest := a.recorder.Fewest(); fewest < least {
		t.Errorf("the fewest serving backends were %d, not %d", fewest, least)
	}
}

// pods returns the pods of a version, "" for all, as the API server has them.
func (a *app) pods(t *testing.T, version string) []corev1.Pod {
	t.Helper()
	return a.list(t, a.Client, version)
}

// cachedPods is for conditions of await, which are evaluated often. Its pods may be
// older than what another object says of them.
func (a *app) cachedPods(t *testing.T, version string) []corev1.Pod {
	t.Helper()
	return a.list(t, a.cluster, version)
}

func (a *app) list(t *testing.T, reader client.Reader, version string) []corev1.Pod {
	t.Helper()
	selected := client.MatchingLabels{"app": name}
	if version != "" {
		selected[versionLabel] = version
	}
	list := &corev1.PodList{}
	if err := reader.List(a.Ctx, list, client.InNamespace(a.namespace), selected); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// awaitPod waits for a pod of a version, and returns it.
func (a *app) awaitPod(t *testing.T, version, what string, matches func(*corev1.Pod) bool) (found *corev1.Pod) {
	t.Helper()
	a.await(t, "a pod "+what, func() (bool, error) {
		pods := a.cachedPods(t, version)
		for i := range pods {
			if matches(&pods[i]) {
				found = &pods[i]
				return true, nil
			}
		}
		return false, nil
	})
	return found
}

// isClosed returns a condition for awaitPod: the gate is closed for a reason.
func isClosed(gate, reason string) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool {
		c := conditionOf(pod, gate)
		return c.Status == corev1.ConditionFalse && c.Reason == reason
	}
}

func isReady(pod *corev1.Pod) bool { return isTrue(pod, string(corev1.PodReady)) }

// isOpen returns a condition for awaitPod: the gate is open.
func isOpen(gate string) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool { return isTrue(pod, gate) }
}

// conditionOf returns a condition of a pod; the zero value if there is none.
func conditionOf(pod *corev1.Pod, kind string) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if string(c.Type) == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}

func isTrue(pod *corev1.Pod, kind string) bool {
	return conditionOf(pod, kind).Status == corev1.ConditionTrue
}

// checkOf finds a health for the pods of a version, and normal for others.
func (s *suite) checkOf(version, health string) standin.Check {
	return func(ip string) string {
		if pod := s.cluster.PodAt(ip); pod != nil && pod.Labels[versionLabel] == version {
			return health
		}
		return standin.Normal
	}
}

func (a *app) setCheck(t *testing.T, check standin.Check) {
	t.Helper()
	if err := a.lb.SetCheck(check); err != nil {
		t.Fatal(err)
	}
}

// describe is for a test that failed.
func (a *app) describe() string {
	var text strings.Builder
	fmt.Fprintf(&text, "serving: %s\nregistered: %s\nstand-ins: %v\ncontroller manager: %v\n", a.recorder, a.lb.Addresses(), a.cluster.Failures(), a.controllerManager.Alive())
	list := &corev1.PodList{}
	if err := a.cluster.List(context.Background(), list, client.InNamespace(a.namespace)); err != nil {
		fmt.Fprintln(&text, err)
	}
	for i := range list.Items {
		pod := &list.Items[i]
		fmt.Fprintf(&text, "%s %s %s", pod.Name, pod.Labels[versionLabel], pod.Status.PodIP)
		for _, c := range pod.Status.Conditions {
			fmt.Fprintf(&text, " %s=%s(%s)", c.Type, c.Status, c.Reason)
		}
		fmt.Fprintln(&text)
	}
	return text.String()
}
