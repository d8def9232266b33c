// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"maps"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

// With the externalTrafficPolicy Cluster every node is a backend. Two are not
// registered, and one of them is being drained. Two are registered although they are
// excluded meanwhile, because the cloud controller lags.
func testNodes(t *testing.T, s *suite) {
	d := s.newDrift(t, appOptions{
		policy: corev1.ServiceExternalTrafficPolicyCluster,
		nodes:  []string{"good", "lost", "lost-draining", "draining", "excluded", "leaving"},
	})
	d.awaitBackends(t, len(d.options.nodes))
	d.patchNode(t, "lost-draining", `{"spec":{"unschedulable":true}}`)
	d.lb.Skip(d.instance("lost"), d.instance("lost-draining"))
	since := time.Now()
	d.reconcileService(t)
	d.lb.Pause(true)
	d.patchNode(t, "draining", `{"spec":{"unschedulable":true}}`)
	d.patchNode(t, "excluded", `{"metadata":{"labels":{"node.kubernetes.io/exclude-from-external-load-balancers":""}}}`)
	d.patchNode(t, "leaving", `{"spec":{"taints":[{"key":"ToBeDeletedByClusterAutoscaler","effect":"NoSchedule"}]}}`)
	d.checkFails(t, "draining", "excluded", "leaving")

	d.isMissing(t, since, findings{
		missing:   []string{d.nodeRow(t, "lost", ""), d.nodeRow(t, "lost-draining", v1alpha1.DiagnosisNodeDraining)},
		listeners: []string{"80/tcp 2 of 4"},
	})
	d.haveDiagnoses(t, map[string]v1alpha1.Diagnosis{
		"good": "", "draining": v1alpha1.DiagnosisNodeDraining, "excluded": v1alpha1.DiagnosisNodeExcluded, "leaving": v1alpha1.DiagnosisNodeDraining,
	})
	// The stand-in does not know this taint.
	d.patchNode(t, "leaving", `{"spec":{"taints":null}}`)
	d.repair(t)
	d.isRegistered(t, "80/tcp 0 of 5")
}

// With the externalTrafficPolicy Local the nodes with pods are backends. One is not
// registered, and one is registered although its pod is deleted.
func testLocalNodes(t *testing.T, s *suite) {
	d := s.newDrift(t, appOptions{policy: corev1.ServiceExternalTrafficPolicyLocal, nodes: []string{"good", "lost", "stale", "unused"}})
	pods := map[string]*corev1.Pod{}
	for _, node := range []string{"good", "lost", "stale"} {
		pods[node] = d.newPod("on-" + node)
		pods[node].Spec.NodeName, pods[node].Spec.NodeSelector = d.node(node), nil
		d.create(t, pods[node])
	}
	d.awaitBackends(t, len(pods))
	d.lb.Skip(d.instance("lost"))
	since := time.Now()
	d.reconcileService(t)
	d.lb.Pause(true)
	if err := d.Client.Delete(d.Ctx, pods["stale"], client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	d.checkFails(t, "stale")

	d.isMissing(t, since, findings{missing: []string{d.nodeRow(t, "lost", "")}, listeners: []string{"80/tcp 1 of 2"}})
	d.haveDiagnoses(t, map[string]v1alpha1.Diagnosis{"good": "", "stale": v1alpha1.DiagnosisNoLocalEndpoint})
	d.repair(t)
	d.isRegistered(t, "80/tcp 0 of 2")
}

// instance is the id of a node of the app's own.
func (a *app) instance(node string) string { return standin.InstanceOf(a.node(node)) }

// checkFails makes the health checks of nodes fail.
func (a *app) checkFails(t *testing.T, nodes ...string) {
	t.Helper()
	health := map[string]string{}
	for _, node := range nodes {
		health[a.instance(node)] = standin.Abnormal
	}
	a.setCheck(t, func(key string) string {
		if h, found := health[key]; found {
			return h
		}
		return standin.Normal
	})
}

func (a *app) patchNode(t *testing.T, node, patch string) {
	t.Helper()
	object := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: a.node(node)}}
	if err := a.Client.Patch(a.Ctx, object, client.RawPatch(types.StrategicMergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// nodeRow is the row of a node that is missing behind the first listener.
func (a *app) nodeRow(t *testing.T, node string, diagnosis v1alpha1.Diagnosis) string {
	t.Helper()
	service := &corev1.Service{}
	if err := a.Client.Get(a.Ctx, client.ObjectKey{Namespace: a.namespace, Name: name}, service); err != nil {
		t.Fatal(err)
	}
	return rowOf(&v1alpha1.MissingBackend{
		ListenerPort: 80, ListenerProtocol: "tcp", ServerID: a.instance(node), Port: service.Spec.Ports[0].NodePort, Node: a.node(node), Diagnosis: diagnosis,
	})
}

// haveDiagnoses verifies the diagnosis of each registered node.
func (a *app) haveDiagnoses(t *testing.T, want map[string]v1alpha1.Diagnosis) {
	t.Helper()
	got, byName := map[string]v1alpha1.Diagnosis{}, map[string]v1alpha1.Diagnosis{}
	for _, b := range a.object(t, name).Status.Backends {
		got[fmt.Sprint(b.ServerID, " ", b.Node)] = b.Diagnosis
	}
	for node, diagnosis := range want {
		byName[fmt.Sprint(a.instance(node), " ", a.node(node))] = diagnosis
	}
	if !maps.Equal(got, byName) {
		t.Errorf("the registered nodes have the diagnoses %v, not %v", got, byName)
	}
}
