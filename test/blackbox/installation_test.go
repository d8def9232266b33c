// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	// serviceAccountName is the name of the operator's ServiceAccount and Deployment in every installation.
	serviceAccountName = "slb-health-operator-controller-manager"

	strangerName = "stranger"
	strangerUser = "system:serviceaccount:default:" + strangerName
)

// installation is a folder of config/ that can be applied.
type installation struct {
	folder     string
	namespace  string   // of the operator
	served     string   // a namespace whose objects it serves
	secure     bool     // metrics require a permission
	components []string // of config/ that are added
	without    string   // a resource that the roles of the components do not name
	args       []string // further flags, which no component adds
	run        string   // distinguishes its processes
}

// path returns the folder, or a copy of it with the components.
func (i installation) path(t *testing.T) string {
	config := filepath.Join("..", "..", "config")
	if len(i.components) == 0 {
		return filepath.Join(config, i.folder)
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(config)); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(copied, i.folder)
	content := readFile(t, filepath.Join(folder, "kustomization.yaml")) + "\ncomponents: [../" + strings.Join(i.components, ", ../") + "]\n"
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, component := range i.components {
		removeRule(t, filepath.Join(copied, component, "role.yaml"), i.without)
	}
	return folder
}

// removeRule removes the rules about a resource from a role: it is then as a role that was copied before the operator
// needed the resource.
func removeRule(t *testing.T, file, resource string) {
	t.Helper()
	role := roleWithout(t, file, resource)
	content, err := yaml.Marshal(role)
	if err := errors.Join(err, os.WriteFile(file, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func roleWithout(t *testing.T, file, resource string) *rbacv1.ClusterRole {
	t.Helper()
	role := &rbacv1.ClusterRole{}
	if err := yaml.UnmarshalStrict([]byte(readFile(t, file)), role); err != nil {
		t.Fatal(err)
	}
	role.Rules = slices.DeleteFunc(role.Rules, func(rule rbacv1.PolicyRule) bool { return slices.Contains(rule.Resources, resource) })
	return role
}

// user returns the operator's user name.
func (i installation) user() string {
	return "system:serviceaccount:" + i.namespace + ":" + serviceAccountName
}

func (w *env) install(t *testing.T, i installation) {
	t.Helper()
	w.kubectl(t, "apply", "--server-side", "--validate=strict", "-k", i.path(t))
	w.kubectl(t, "wait", "--for=condition=Established", "--timeout=30s", "crd/"+crdName)
	if t.Failed() {
		t.FailNow()
	}
}

// startInstalled starts the operator with the arguments of its Deployment and a token of its ServiceAccount. Further
// flags and variables replace what a pod finds in a cluster.
func (w *env) startInstalled(t *testing.T, i installation) *operator {
	t.Helper()
	op := &operator{metricsAddress: harness.FreeAddressFor(t), probeAddress: harness.FreeAddressFor(t), outputs: w.outputs}
	args := append(w.shippedArgs(t, i),
		"--kubeconfig="+w.kubeconfigWith(t, w.token(t, i.namespace, serviceAccountName)),
		"--leader-election-namespace="+i.namespace,
		"--slb-endpoint="+w.slb.url(),
		"--metrics-bind-address="+op.metricsAddress,
		"--health-probe-bind-address="+op.probeAddress,
	)
	args = append(args, i.args...)
	environment := append(w.operatorEnvironment(), w.slb.account.environment()...)
	op.process = start(t, w.outputs, i.folder+strings.Join(i.components, "-")+i.run, w.programs.operator, environment, args...)
	w.showOnFailure(t, op)
	op.awaitReady(t)
	return op
}

// shippedArgs returns the arguments of the Deployment, with its variables resolved as the kubelet does.
func (w *env) shippedArgs(t *testing.T, i installation) []string {
	t.Helper()
	var deployment appsv1.Deployment
	w.getNamed(t, i.namespace, serviceAccountName, &deployment)
	pod := deployment.Spec.Template.Spec
	if pod.ServiceAccountName != serviceAccountName {
		t.Errorf("the pod runs as %s", pod.ServiceAccountName)
	}
	args := slices.Clone(pod.Containers[0].Args)
	for _, variable := range pod.Containers[0].Env {
		if from := variable.ValueFrom; from == nil || from.FieldRef == nil || from.FieldRef.FieldPath != "metadata.namespace" {
			continue
		}
		for n := range args {
			args[n] = strings.ReplaceAll(args[n], "$("+variable.Name+")", i.namespace)
		}
	}
	return args
}

// kubeconfigWith returns a kubeconfig with the token in a file, as in a pod.
func (w *env) kubeconfigWith(t *testing.T, token string) string {
	t.Helper()
	tokenFile := filepath.Join(t.TempDir(), "token")
	writeToken(t, tokenFile, token)
	cluster := &clientcmdapi.Cluster{Server: w.plane.Config.Host, CertificateAuthorityData: w.plane.Config.CAData}
	return writeKubeconfig(t, cluster, &clientcmdapi.AuthInfo{TokenFile: tokenFile})
}

// getNamed gets an object by its name; the namespace is "" for cluster-scoped ones.
func (w *env) getNamed(t *testing.T, namespace, name string, into client.Object) {
	t.Helper()
	if err := w.admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, into); err != nil {
		t.Fatal(err)
	}
}

// documented runs the commands of docs/permissions.md about an installation, and compares their output to the page. It
// ignores the permissions that every account has.
func (w *env) documented(t *testing.T, i installation) {
	g := NewWithT(t)
	page := readFile(t, filepath.Join("..", "..", "docs", "permissions.md"))
	for _, namespace := range []string{i.namespace, "default"} {
		command := []string{"auth", "can-i", "--list", "-n", namespace, "--as=" + i.user()}
		_, after, found := strings.Cut(page, "$ kubectl "+strings.Join(command, " ")+"\n")
		g.Expect(found).To(BeTrue(), "docs/permissions.md does not show kubectl %s", strings.Join(command, " "))
		shown, _, _ := strings.Cut(after, "```")
		shown, _, _ = strings.Cut(shown, "\n$ ")
		common := rowsOfTable(w.kubectl(t, append(slices.Clone(command[:len(command)-1]), "--as="+strangerUser)...))
		own := func(table string) []string {
			rows := rowsOfTable(table)
			maps.DeleteFunc(rows, func(row string, _ bool) bool { return common[row] })
			return slices.Sorted(maps.Keys(rows))
		}
		printed := w.kubectl(t, command...)
		g.Expect(own(shown)).To(Equal(own(printed)), printed)
	}
}

// rowsOfTable returns the rows of a table with their columns one space apart.
func rowsOfTable(table string) map[string]bool {
	rows := map[string]bool{}
	for row := range strings.Lines(table) {
		rows[strings.Join(strings.Fields(row), " ")] = true
	}
	return rows
}
