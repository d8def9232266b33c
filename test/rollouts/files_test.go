// SPDX-License-Identifier: Apache-2.0

package rollouts

import (
	"path/filepath"
	"testing"

	rolloutsv1 "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// testFiles applies each example as it stands, with strict validation, in a namespace
// that enforces the restricted Pod Security Standard, which the pods of the Job meet.
func testFiles(t *testing.T, s *suite) {
	const namespace = "prod"
	restricted := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	if err := s.Client.Create(s.Ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: restricted}}); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{canary, blueGreen, byQuery, byJob, flaggerFile} {
		s.Plane.RunKubectl(t, nil, "apply", "--namespace", namespace, "--server-side", "--dry-run=server", "--validate=strict", "-f", filepath.Join(docs, file))
	}
	template := harness.Only[rolloutsv1.AnalysisTemplate](t, read(t, byJob), "AnalysisTemplate")
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	deployment.Spec.Template = template.Spec.Metrics[0].Provider.Job.Spec.Template
	harness.VerifyPods(t, s.Client, deployment)
}
