// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// podsPerPage bounds one response with pods.
const podsPerPage = 500

// runningPods selects the pods that may become Ready, as the operator does.
const runningPods = "status.phase!=Succeeded,status.phase!=Failed"

// closedGate is a readiness gate of a pod that is not open.
type closedGate struct {
	pod     *corev1.Pod
	service string
	// condition is that of the gate; without a reason: there is none.
	condition corev1.PodCondition
	// readyAt is when the containers of the pod became ready; nil: they are not.
	readyAt *metav1.Time
}

func (g *closedGate) conditionType() corev1.PodConditionType {
	return corev1.PodConditionType(v1alpha1.ReadinessGatePrefix + g.service)
}

// reason and message say why the gate is closed.
func (g *closedGate) reason() (reason, message string) {
	switch {
	case g.readyAt == nil:
		return "ContainersNotReady", "the gate is decided on once the containers are ready"
	case g.condition.Reason == "":
		return "-", "the operator has not written a reason: it does so after 10 s, if it runs with --readiness-gates"
	default:
		return g.condition.Reason, g.condition.Message
	}
}

// closedGates returns the closed gates of pods for the Services, or for all, in the
// order of compareGates.
func closedGates(pods []corev1.Pod, services []string) []closedGate {
	var gates []closedGate
	for i := range pods {
		pod := &pods[i]
		if pod.DeletionTimestamp != nil {
			continue
		}
		seen := map[string]bool{}
		for _, gate := range pod.Spec.ReadinessGates {
			service, ours := strings.CutPrefix(string(gate.ConditionType), v1alpha1.ReadinessGatePrefix)
			if !ours || seen[service] || len(services) > 0 && !slices.Contains(services, service) {
				continue
			}
			seen[service] = true
			g := closedGate{pod: pod, service: service, condition: podCondition(pod, gate.ConditionType)}
			if ready := podCondition(pod, corev1.ContainersReady); ready.Status == corev1.ConditionTrue {
				g.readyAt = &ready.LastTransitionTime
			}
			if g.condition.Status != corev1.ConditionTrue {
				gates = append(gates, g)
			}
		}
	}
	slices.SortStableFunc(gates, compareGates)
	return gates
}

// compareGates orders the pod that waits longest first, those whose containers are
// not ready last.
func compareGates(a, b closedGate) int {
	switch {
	case a.readyAt == nil && b.readyAt != nil:
		return 1
	case a.readyAt != nil && b.readyAt == nil:
		return -1
	case a.readyAt != nil && !a.readyAt.Equal(b.readyAt):
		return a.readyAt.Compare(b.readyAt.Time)
	}
	return cmp.Or(cmp.Compare(a.pod.Namespace, b.pod.Namespace), cmp.Compare(a.pod.Name, b.pod.Name), cmp.Compare(a.service, b.service))
}

func podCondition(pod *corev1.Pod, conditionType corev1.PodConditionType) corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == conditionType {
			return pod.Status.Conditions[i]
		}
	}
	return corev1.PodCondition{}
}

// findGates returns the closed gates of a namespace, or of all.
func (o *options) findGates(ctx context.Context, services []string) (*client, []closedGate, error) {
	c, err := o.clientOf("/api", corev1.SchemeGroupVersion)
	if err != nil {
		return nil, nil, err
	}
	var pods []corev1.Pod
	filter := metav1.ListOptions{FieldSelector: runningPods, Limit: podsPerPage}
	for {
		var page corev1.PodList
		err := c.rest.Get().NamespaceIfScoped(c.namespace, c.namespace != "").Resource("pods").
			VersionedParams(&filter, metav1.ParameterCodec).Do(ctx).Into(&page)
		if err != nil {
			return nil, nil, c.explain(err, "view")
		}
		pods = append(pods, page.Items...)
		if filter.Continue = page.Continue; filter.Continue == "" {
			return c, closedGates(pods, services), nil
		}
	}
}

func runGates(ctx context.Context, o *options, services []string) error {
	c, gates, err := o.findGates(ctx, services)
	if err != nil {
		return err
	}
	if len(gates) == 0 {
		_, err := fmt.Fprintln(o.ErrOut, "No closed readiness gate found"+inNamespace(c.namespace)+".")
		return err
	}
	return o.gateTable(gates, c.namespace == "").write(o.Out, o.colored(o.Out))
}

func inNamespace(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " in namespace " + namespace
}

// gateTable is the table with a row for each gate.
func (o *options) gateTable(gates []closedGate, namespaces bool) *table {
	t := &table{header: []string{"POD", "SERVICE", "REASON", "WAITING", "MESSAGE"}}
	if namespaces {
		t.header = append([]string{"NAMESPACE"}, t.header...)
	}
	for i := range gates {
		g := &gates[i]
		reason, message := g.reason()
		color := plain
		if reason == v1alpha1.GateBackendAbnormal {
			color = red
		}
		row := []cell{{text: g.pod.Name}, {text: g.service}, {reason, color}, {text: o.age(g.readyAt)}, {text: message}}
		if namespaces {
			row = append([]cell{{text: g.pod.Namespace}}, row...)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// runOpenGates opens the closed gates for a Service. It goes on after an error:
// the others of a rollout wait as well.
func runOpenGates(ctx context.Context, o *options, service string) error {
	c, gates, err := o.findGates(ctx, []string{service})
	if err != nil {
		return err
	}
	if len(gates) == 0 {
		return fmt.Errorf("no pod%s has a closed readiness gate for Service %s", inNamespace(c.namespace), service)
	}
	var failed error
	for i := range gates {
		g := &gates[i]
		switch err := c.openGate(ctx, g, metav1.NewTime(o.serverNow())); {
		case apierrors.IsNotFound(err): // it was deleted
		case apierrors.IsForbidden(err):
			return fmt.Errorf("%w: it requires the permission to patch pods/status, which cluster-admin has, and view, edit and admin lack", err)
		case err != nil:
			failed = errors.Join(failed, fmt.Errorf("pod %s: %w", g.pod.Name, err))
		default:
			fmt.Fprintf(o.Out, "pod/%s: %s opened\n", sanitize(g.pod.Name), sanitize(string(g.conditionType())))
		}
	}
	return failed
}

// openGate sets the condition of a gate to True, if the pod is still the same.
func (c *client) openGate(ctx context.Context, g *closedGate, now metav1.Time) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": g.pod.UID},
		"status": map[string]any{"conditions": []any{map[string]any{
			"type": g.conditionType(), "status": corev1.ConditionTrue, "lastTransitionTime": now,
			"reason": v1alpha1.GateDisabled, "message": "opened with kubectl lbh gates open",
		}}},
	})
	if err != nil {
		return err
	}
	return c.rest.Patch(types.StrategicMergePatchType).Namespace(g.pod.Namespace).Resource("pods").Name(g.pod.Name).
		SubResource("status").Body(patch).Do(ctx).Error()
}
