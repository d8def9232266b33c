// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	healthKey  = "resource.customizations.health.slb.lbhealth.dev_LoadBalancerHealth"
	actionsKey = "resource.customizations.actions.slb.lbhealth.dev_LoadBalancerHealth"
)

func settingsPatch(t *testing.T) *corev1.ConfigMap {
	t.Helper()
	patch := decode[corev1.ConfigMap](t, filepath.Join("argocd", "argocd-cm.yaml"))[0]
	return &patch
}

func TestConfigMapContainsTheScript(t *testing.T) {
	script := harness.ReadFile(t, filepath.Join(docs, "argocd", "health.lua"))
	data := settingsPatch(t).Data
	if data[healthKey] != string(script) {
		t.Errorf("argocd-cm.yaml has\n%s\nhealth.lua has\n%s", data[healthKey], script)
	}
	if len(data) != 2 || data[actionsKey] == "" {
		t.Errorf("argocd-cm.yaml has %d entries, not health and actions", len(data))
	}
}

// TestOddObjects covers objects that the operator does not write, or only for a
// moment: no engine may fail or pass a gate because of them.
func TestOddObjects(t *testing.T) {
	patch := settingsPatch(t)
	patch.Labels = map[string]string{"app.kubernetes.io/part-of": "argocd"}
	e := newEngines(t, fake.NewClientset(patch))
	const (
		ready       = "{type: Ready, status: 'True', reason: AllBackendsNormal, message: all}"
		notReady    = "{type: Ready, status: 'False', reason: BelowMinHealthy, message: few}"
		unknown     = "{type: Ready, status: Unknown, reason: ObservationStale, message: old}"
		stalled     = "{type: Stalled, status: 'True', reason: Forbidden, message: allow}"
		notStalled  = "{type: Stalled, status: 'False', reason: Fine, message: fine}"
		reconciling = "{type: Reconciling, status: 'True', reason: Progressing, message: soon}"
	)
	const (
		throttled = "{type: Observed, status: 'False', reason: Throttled, message: slower}"
		retried   = "{type: Reconciling, status: 'True', reason: ObservationRequested, message: retried}"
	)
	for _, c := range []struct{ name, object, status, kstatus, wait, checks, argo, message string }{
		{"without conditions", "", "observedGeneration: 2", "Current", "InProgress", "InProgress", "Progressing", "Pending: there is no observation yet"},
		{"with empty conditions", "", "observedGeneration: 2, conditions: []", "Current", "InProgress", "InProgress", "Progressing", "Pending: there is no observation yet"},
		{"defaulted by the schema", "", "observedGeneration: -1", "InProgress", "InProgress", "InProgress", "Progressing", "Progressing: this generation was not observed yet"},
		{"suspended at birth", "suspend: true", "observedGeneration: -1", "InProgress", "InProgress", "InProgress", "Suspended", "Suspended: spec.suspend is true"},
		{"suspended, and stalled before", "suspend: true", "observedGeneration: 1, conditions: [" + notReady + "," + stalled + "]", "InProgress", "InProgress", "InProgress", "Suspended", "Suspended: spec.suspend is true"},
		{"ready by an older spec", "", "observedGeneration: 1, conditions: [" + ready + "]", "InProgress", "InProgress", "InProgress", "Progressing", "Progressing: this generation was not observed yet"},
		{"stalled by an older spec", "", "observedGeneration: 1, conditions: [" + notReady + "," + stalled + "]", "InProgress", "InProgress", "InProgress", "Progressing", "Progressing: this generation was not observed yet"},
		{"ready, and reconciling an older spec", "", "observedGeneration: 1, conditions: [" + ready + "," + reconciling + "]", "InProgress", "InProgress", "InProgress", "Progressing", "Progressing: soon"},
		{"the Service has another load balancer", "", "observedGeneration: 2, conditions: [" + notReady + "," + reconciling + "]", "InProgress", "InProgress", "InProgress", "Progressing", "Progressing: soon"},
		{"ready, and reconciling", "", "observedGeneration: 2, conditions: [" + ready + "," + reconciling + "]", "InProgress", "InProgress", "InProgress", "Progressing", "Progressing: soon"},
		{"ready, and retried for a request that was withdrawn", "", "observedGeneration: 2, conditions: [" + ready + "," + retried + "]", "InProgress", "InProgress", "InProgress", "Progressing", "ObservationRequested: retried"},
		{"suspend withdrawn", "suspend: false", "observedGeneration: 2, conditions: [" + ready + "]", "Current", "Current", "Current", "Healthy", "AllBackendsNormal: all"},
		{"stalled, whatever Ready says", "", "observedGeneration: 2, conditions: [" + ready + "," + stalled + "]", "Failed", "Failed", "Failed", "Degraded", "Forbidden: allow"},
		{"Stalled is False", "", "observedGeneration: 2, conditions: [" + notStalled + "," + ready + "]", "Current", "Current", "Current", "Healthy", "AllBackendsNormal: all"},
		{"unknown", "", "observedGeneration: 2, conditions: [" + unknown + "]", "InProgress", "InProgress", "InProgress", "Progressing", "ObservationStale: old"},
		{"an empty request", requestEmpty, "observedGeneration: 2, conditions: [" + ready + "]", "Current", "Current", "Current", "Healthy", "AllBackendsNormal: all"},
		{"another annotation", otherAnnotation, "observedGeneration: 2, conditions: [" + ready + "]", "Current", "Current", "Current", "Healthy", "AllBackendsNormal: all"},
		{"requested first", requestNow, "observedGeneration: 2, conditions: [" + ready + "]", "Current", "InProgress", "InProgress", "Progressing", stillPending},
		{"requested again", requestNow, "observedGeneration: 2, lastHandledObserveRequest: old, lastAttemptedObserveRequest: old, conditions: [" + ready + "]", "Current", "InProgress", "InProgress", "Progressing", stillPending},
		{"requested, and attempted", requestNow, "observedGeneration: 2, lastHandledObserveRequest: old, lastAttemptedObserveRequest: now, conditions: [" + ready + "," + throttled + "," + retried + "]", "InProgress", "InProgress", "InProgress", "Progressing", "ObservationRequested: retried"},
		{"requested, and attempted, without Reconciling", requestNow, "observedGeneration: 2, lastAttemptedObserveRequest: now, conditions: [" + ready + "]", "Current", "InProgress", "InProgress", "Progressing", stillPending},
		{"requested, too few before", requestNow, "observedGeneration: 2, lastHandledObserveRequest: old, conditions: [" + notReady + "]", "InProgress", "InProgress", "InProgress", "Progressing", stillPending},
		{"requested, attempted, too few", requestNow, "observedGeneration: 2, lastAttemptedObserveRequest: now, conditions: [" + notReady + "," + throttled + "," + retried + "]", "InProgress", "InProgress", "Failed", "Degraded", "BelowMinHealthy: few"},
		{"requested, stalled before", requestNow, "observedGeneration: 2, lastAttemptedObserveRequest: old, conditions: [" + notReady + "," + stalled + "]", "Failed", "InProgress", "InProgress", "Progressing", stillPending},
		{"requested, attempted, stalled", requestNow, "observedGeneration: 2, lastAttemptedObserveRequest: now, conditions: [" + notReady + "," + stalled + "]", "Failed", "Failed", "Failed", "Degraded", "Forbidden: allow"},
		{"requested, attempted, stalled by an older spec", requestNow, "observedGeneration: 1, lastAttemptedObserveRequest: now, conditions: [" + notReady + "," + stalled + "]", "InProgress", "InProgress", "InProgress", "Progressing", "Progressing: this generation was not observed yet"},
		{"requested, observed, stalled since", requestNow, "observedGeneration: 2, lastHandledObserveRequest: now, conditions: [" + notReady + "," + stalled + "]", "Failed", "Failed", "Failed", "Degraded", "Forbidden: allow"},
		{"requested and handled", requestNow, "observedGeneration: 2, lastHandledObserveRequest: now, conditions: [" + ready + "]", "Current", "Current", "Current", "Healthy", "AllBackendsNormal: all"},
		{"requested, attempted, then observed", requestNow, "observedGeneration: 2, lastHandledObserveRequest: now, lastAttemptedObserveRequest: now, conditions: [" + ready + "]", "Current", "Current", "Current", "Healthy", "AllBackendsNormal: all"},
	} {
		t.Run(c.name, func(t *testing.T) {
			object := crafted(t, c.object, c.status)
			result := e.argoCD(t, object)
			got := []string{kstatus(t, object), expressions(t, e.wait, object), expressions(t, e.checks, object), string(result.Status), result.Message}
			if want := []string{c.kstatus, c.wait, c.checks, c.argo, c.message}; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// The annotations that crafted accepts instead of a spec.
const (
	requestNow      = "annotations: {slb.lbhealth.dev/observe-requested-at: now}"
	requestEmpty    = "annotations: {slb.lbhealth.dev/observe-requested-at: ''}"
	otherAnnotation = "annotations: {example.com/other: now}"
	stillPending    = "ObservationRequested: the requested observation is still pending"
)

// crafted is an object of the second generation, with a spec or annotations.
func crafted(t *testing.T, specOrAnnotations, status string) *unstructured.Unstructured {
	t.Helper()
	spec, annotations := specOrAnnotations, ""
	if strings.HasPrefix(spec, "annotations:") {
		spec, annotations = "", ", "+spec
	}
	text := "{apiVersion: slb.lbhealth.dev/v1alpha1, kind: LoadBalancerHealth, metadata: {name: odd, namespace: prod, generation: 2" + annotations + "}, spec: {" + spec + "}, status: {" + status + "}}"
	document, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(document); err != nil {
		t.Fatal(err)
	}
	return object
}
