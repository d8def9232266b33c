// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"os"
	"path/filepath"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

var accessSpecs = []spec{
	{"flags set the kubeconfig and the context", contextByFlag},
	{"a user without permission gets the verb and the missing role", withoutPermission},
	{"an unreachable API server is one error", noAPIServer},
	{"without the CRD, the error has what to install", noCRD},
	{"without a kubeconfig, the error has the default server", noKubeconfig},
}

// kubeconfig writes a kubeconfig with a context "here" for the fixture's namespace,
// and a current context "elsewhere" with another server.
func (s *fixture) kubeconfig(t *testing.T, server string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(s.Plane.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	here := *config.Contexts[config.CurrentContext]
	here.Namespace = s.namespace
	cluster := *config.Clusters[here.Cluster]
	cluster.Server = server
	elsewhere := here
	elsewhere.Cluster = "elsewhere"
	config.Clusters["elsewhere"] = &cluster
	config.Contexts["here"], config.Contexts["elsewhere"] = &here, &elsewhere
	config.CurrentContext = "elsewhere"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// nowhere is an address without a listener.
const nowhere = "https://127.0.0.1:1"

func contextByFlag(t *testing.T, s *fixture) {
	s.pair(t)
	command := s.command("--kubeconfig", s.kubeconfig(t, nowhere), "--context", "here")
	command.Env = s.environment("KUBECONFIG=" + filepath.Join(t.TempDir(), "none"))
	if got := firstColumn(finish(t, command).table(t)); got != "api web" {
		t.Errorf("%q", got)
	}
	finish(t, s.command("--context", "typo")).fails(t, `context "typo" does not exist`)
}

func withoutPermission(t *testing.T, s *fixture) {
	s.pair(t)
	const binding = "RoleBinding in namespace "
	s.lbh(t, "--as", "eve").fails(t, `User "eve" cannot list resource`, "request a "+binding+s.namespace+" to the ClusterRole view")
	s.lbh(t, "watch", "--as", "eve").fails(t, "cannot list", "the ClusterRole view")
	s.lbh(t, "tree", "web", "--as", "eve").fails(t, "cannot get", "the ClusterRole view")
	finish(t, s.command("-A", "--as", "eve")).fails(t, "request a ClusterRoleBinding to the ClusterRole view")

	s.grant(t, "viewer", "loadbalancerhealth_viewer_role.yaml")
	if got := firstColumn(s.lbh(t, "--as", "viewer").table(t)); got != "api web" {
		t.Errorf("%q", got)
	}
	s.lbh(t, "refresh", "web", "--as", "viewer").fails(t, "cannot patch", "the ClusterRole edit")
	s.grant(t, "editor", "loadbalancerhealth_editor_role.yaml")
	s.lbh(t, "refresh", "web", "--as", "editor", "--timeout=1s").fails(t, "web was not observed within 1s")
}

// grant binds a role of config/rbac to a user in the fixture's namespace.
func (s *fixture) grant(t *testing.T, user, file string) {
	t.Helper()
	content := harness.ReadFile(t, filepath.Join("..", "..", "config", "rbac", file))
	role := &rbacv1.Role{}
	if err := yaml.Unmarshal(content, role); err != nil {
		t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Namespace: s.namespace, Name: user}
	role.ObjectMeta = meta
	binding := &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if err := s.Client.Create(s.Ctx, role); err != nil {
		t.Fatal(err)
	}
	if err := s.Client.Create(s.Ctx, binding); err != nil {
		t.Fatal(err)
	}
}

func noAPIServer(t *testing.T, s *fixture) {
	for _, args := range [][]string{nil, {"tree", "web"}, {"watch"}, {"wait", "web"}, {"refresh", "web"}} {
		s.lbh(t, append(args, "--server", nowhere)...).fails(t, "the API server "+nowhere+" is unreachable", "connection refused", "--kubeconfig")
	}
}

func noCRD(t *testing.T, s *fixture) {
	bare := harness.NewControlPlane(t, harness.ControlPlaneOptions{CRDs: []string{}})
	for _, args := range [][]string{nil, {"tree", "web"}, {"watch"}} {
		s.lbh(t, append(args, "--kubeconfig", bare.Kubeconfig())...).fails(t, "this cluster does not know LoadBalancerHealth: install slb-health-operator first")
	}
}

func noKubeconfig(t *testing.T, s *fixture) {
	command := s.command()
	command.Env = []string{"HOME=" + t.TempDir(), "PATH=" + s.path + string(os.PathListSeparator) + "/bin"}
	finish(t, command).fails(t, "without a kubeconfig", "KUBECONFIG", "--kubeconfig FILE")
}
