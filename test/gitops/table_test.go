// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/argoproj/gitops-engine/pkg/health"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	argoNamespace = "argocd"
	tableHead     = "| object | `Ready` | kstatus | `wait.yaml` | `health-checks.yaml` | Argo CD | `kubectl wait` |"
)

// TestDocumentedTable creates an object in every state, and compares the table of
// docs/gitops/README.md to the results of the engines.
func TestDocumentedTable(t *testing.T) {
	t.Parallel()
	s := newEnv(t, "loadBalancers: []\n")
	objects := reachAll(t, s)
	e := newEngines(t, s.configureArgoCD(t))

	t.Run("the documented table", func(t *testing.T) {
		want := documentedRows(t)
		var got []string
		for _, o := range objects {
			got = append(got, row(o.title, condition(o.object, "Ready"), kstatus(t, o.object), expressions(t, e.wait, o.object), expressions(t, e.checks, o.object), string(e.argoCD(t, o.object).Status), o.wait))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("docs/gitops/README.md has\n%s\nthe engines say\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
		}
	})
	t.Run("Argo CD's messages name the reason", func(t *testing.T) {
		for _, o := range objects {
			message := e.argoCD(t, o.object).Message
			reason := reasonShown(o.object, e.argoCD(t, o.object).Status)
			if !strings.HasPrefix(message, reason) || len(message) <= len(reason) {
				t.Errorf("%s: %q does not start with %q and continue", o.title, message, reason)
			}
		}
	})
}

// reasonShown is the reason that Argo CD must show: that of Ready, unless the object
// is being deleted or an observation is pending.
func reasonShown(object *unstructured.Unstructured, status health.HealthStatusCode) string {
	ready := condition(object, "Ready")
	_, reason, _ := strings.Cut(ready, " ")
	switch {
	case object.GetDeletionTimestamp() != nil:
		return "Pending" // deletion: Argo CD's own words
	case status == health.HealthStatusProgressing && object.GetAnnotations()[request] != handledOf(object):
		return "ObservationRequested: "
	case status == health.HealthStatusProgressing && (ready == "" || condition(object, "Reconciling") != "" || strings.HasPrefix(ready, "True")):
		return "Progressing: "
	default:
		return reason + ": "
	}
}

func row(title, ready string, results ...string) string {
	if ready == "" {
		ready = "–"
	}
	return fmt.Sprintf("| %s | %s | %s |", title, ready, strings.Join(results, " | "))
}

// documentedRows are the rows of the table without its two header rows.
func documentedRows(t *testing.T) []string {
	t.Helper()
	table := regexp.MustCompile(regexp.QuoteMeta(tableHead) + `\n\|[-| ]+\n((?:\|.*\n)+)`).FindStringSubmatch(readme(t))
	if table == nil {
		t.Fatalf("docs/gitops/README.md has no table %s", tableHead)
	}
	return strings.Split(strings.TrimSpace(table[1]), "\n")
}

func readme(t *testing.T) string {
	t.Helper()
	return string(harness.ReadFile(t, filepath.Join(docs, "README.md")))
}

// documented verifies that the document contains a command, and returns its words.
func documented(t *testing.T, command string) []string {
	t.Helper()
	if !strings.Contains(readme(t), "kubectl "+command+"\n") {
		t.Fatalf("docs/gitops/README.md does not show: kubectl %s", command)
	}
	return strings.Fields(strings.ReplaceAll(command, "'", ""))
}

// configureArgoCD patches the settings of an Argo CD as docs/gitops/README.md says.
func (s *env) configureArgoCD(t *testing.T) kubernetes.Interface {
	t.Helper()
	cluster, err := kubernetes.NewForConfig(s.Plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	s.kubectl(t, "create", "namespace", argoNamespace)
	installed := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "argocd-cm", Labels: map[string]string{"app.kubernetes.io/part-of": "argocd"}},
		Data:       map[string]string{"url": "https://argocd.example.com"},
	}
	if _, err := cluster.CoreV1().ConfigMaps(argoNamespace).Create(s.Ctx, installed, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.kubectl(t, documented(t, "patch configmap argocd-cm -n argocd --patch-file docs/gitops/argocd/argocd-cm.yaml")...)
	return cluster
}
