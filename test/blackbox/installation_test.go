// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	// serviceAccountName is that of the operator, and of its Deployment, in every installation.
	serviceAccountName = "slb-health-operator-controller-manager"

	strangerName = "stranger"
	strangerUser = "system:serviceaccount:default:" + strangerName
)

// installation is a folder of config/ that can be applied.
type installation struct {
	folder    string
	namespace string // of the operator
	served    string // one that it serves objects in
	secure    bool   // metrics are for those who may read them
	component string // what is added to it; "": nothing
	run       string // distinguishes its processes; "": there is one
}

// path is the folder, or a copy in which what is opt-in is opted for.
func (i installation) path(t *testing.T) string {
	config := filepath.Join("..", "..", "config")
	if i.component == "" {
		return filepath.Join(config, i.folder)
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(config)); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(copied, i.folder)
	content := readFile(t, filepath.Join(folder, "kustomization.yaml")) + "\ncomponents: [../" + i.component + "]\n"
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// user is how the API server calls the operator.
func (i installation) user() string {
	return "system:serviceaccount:" + i.namespace + ":" + serviceAccountName
}

func (w *env) install(t *testing.T, i installation) {
	t.Helper()
	w.kubectl(t, "apply", "--server-side", "--validate=strict", "-k", i.path(t))
	w.kubectl(t, "wait", "--for=condition=Established", "--timeout=30s", "crd/loadbalancerhealths.slb.lbhealth.dev")
	if t.Failed() {
		t.FailNow()
	}
}

// startInstalled starts the operator as its Deployment says: with these
// arguments, and with a token of this ServiceAccount in a file. What it gets
// besides is what a pod finds in its environment, and where things are here.
func (w *env) startInstalled(t *testing.T, i installation) *operator {
	t.Helper()
	op := &operator{metricsAddress: harness.FreeAddressFor(t), probeAddress: harness.FreeAddressFor(t), outputs: w.outputs}
	args := append(w.shippedArgs(t, i),
		"--kubeconfig="+w.kubeconfigOf(t, w.token(t, i.namespace, serviceAccountName)),
		"--leader-election-namespace="+i.namespace,
		"--slb-endpoint="+w.slb.url(),
		"--metrics-bind-address="+op.metricsAddress,
		"--health-probe-bind-address="+op.probeAddress,
	)
	environment := append(w.operatorEnvironment(), w.slb.account.environment()...)
	op.process = start(t, w.outputs, i.folder+i.component+i.run, w.programs.operator, environment, args...)
	w.showOnFailure(t, op)
	op.awaitReady(t)
	return op
}

// shippedArgs are the arguments of the Deployment, with the variables that the kubelet fills in.
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

// kubeconfigOf is for the owner of the token, which is in a file as in a pod.
func (w *env) kubeconfigOf(t *testing.T, token string) string {
	t.Helper()
	folder := t.TempDir()
	tokenFile, path := filepath.Join(folder, "token"), filepath.Join(folder, "kubeconfig")
	if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	const name = "here"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: w.plane.Config.Host, CertificateAuthorityData: w.plane.Config.CAData}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{TokenFile: tokenFile}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// getNamed gets an object by its name, of the cluster when the namespace is "".
func (w *env) getNamed(t *testing.T, namespace, name string, into client.Object) {
	t.Helper()
	if err := w.admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, into); err != nil {
		t.Fatal(err)
	}
}

// documented runs the commands of docs/permissions.md about an installation,
// and demands that they print what stands there. What every account of a cluster
// may is left out on both sides.
func (w *env) documented(t *testing.T, i installation) {
	g := NewWithT(t)
	page := readFile(t, filepath.Join("..", "..", "docs", "permissions.md"))
	for _, namespace := range []string{i.namespace, "default"} {
		command := []string{"auth", "can-i", "--list", "-n", namespace, "--as=" + i.user()}
		_, after, found := strings.Cut(page, "$ kubectl "+strings.Join(command, " ")+"\n")
		g.Expect(found).To(BeTrue(), "docs/permissions.md does not show kubectl %s", strings.Join(command, " "))
		says, _, _ := strings.Cut(after, "```")
		says, _, _ = strings.Cut(says, "\n$ ")
		common := linesOf(w.kubectl(t, append(slices.Clone(command[:len(command)-1]), "--as="+strangerUser)...))
		without := func(lines map[string]bool) []string {
			maps.DeleteFunc(lines, func(line string, _ bool) bool { return common[line] })
			return slices.Sorted(maps.Keys(lines))
		}
		prints := w.kubectl(t, command...)
		g.Expect(without(linesOf(says))).To(Equal(without(linesOf(prints))), prints)
	}
}

// linesOf is a table with its columns one space apart.
func linesOf(table string) map[string]bool {
	lines := map[string]bool{}
	for line := range strings.Lines(table) {
		lines[strings.Join(strings.Fields(line), " ")] = true
	}
	return lines
}
