// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// injectGates applies the policy that injects gates, once, and returns when it works.
func (s *suite) injectGates(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "readiness-gates", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	applied := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range harness.ParseManifests(t, content) {
			if !strings.HasPrefix(object.GetKind(), "MutatingAdmissionPolicy") {
				continue
			}
			if err := s.Client.Create(s.Ctx, &object); err != nil {
				t.Fatal(err)
			}
			applied++
		}
	}
	if applied == 0 {
		t.Skip("config/readiness-gates has no MutatingAdmissionPolicy")
	}
	s.awaitPolicy(t)
}

// awaitPolicy creates pods in a dry run until one gets both gates: an API server
// does not report when it has read its policies.
func (s *suite) awaitPolicy(t *testing.T) {
	t.Helper()
	a := s.prepareApp(t, appOptions{inject: true})
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: name, Labels: map[string]string{serviceLabel: name}},
		Spec:       a.deployment("v1").Spec.Template.Spec,
	}
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		tried := pod.DeepCopy()
		err := s.Client.Create(ctx, tried, client.DryRunAll)
		return len(tried.Spec.ReadinessGates) == 2, err
	})
	if err != nil {
		t.Fatalf("the policy injects no gates: %v", err)
	}
}
