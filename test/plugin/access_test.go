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
	{"a kubeconfig and a context are taken from flags", contextByFlag},
	{"a user without permission gets the verb, and the role to ask for", withoutRights},
	{"an unreachable API server is reported in one line", noAPIServer},
	{"without the CRD, the message has what to install", noCRD},
	{"without a kubeconfig, the message has what was tried instead", noKubeconfig},
}

// kubeconfig writes one with a context for the stage, whose namespace it has,
// and a context for an address without a listener.
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
	if got := firstColumn(finish(t, command).succeeds(t)); got != "api web" {
		t.Errorf("%q", got)
	}
	finish(t, s.command("--context", "typo")).fails(t, `context "typo" does not exist`)
}

func withoutRights(t *testing.T, s *fixture) {
	s.pair(t)
	const look = "RoleBinding in namespace "
	s.lbh(t, "--as", "eve").fails(t, `User "eve" cannot list resource`, "ask for a "+look+s.namespace+" to the ClusterRole view")
	s.lbh(t, "watch", "--as", "eve").fails(t, "cannot list", "the ClusterRole view")
	s.lbh(t, "tree", "web", "--as", "eve").fails(t, "cannot get", "the ClusterRole view")
	finish(t, s.command("-A", "--as", "eve")).fails(t, "ask for a ClusterRoleBinding to the ClusterRole view")

	s.grant(t, "viewer", "loadbalancerhealth_viewer_role.yaml")
	if got := firstColumn(s.lbh(t, "--as", "viewer").succeeds(t)); got != "api web" {
		t.Errorf("%q", got)
	}
	s.lbh(t, "refresh", "web", "--as", "viewer").fails(t, "cannot patch", "the ClusterRole edit")
	s.grant(t, "editor", "loadbalancerhealth_editor_role.yaml")
	s.lbh(t, "refresh", "web", "--as", "editor", "--timeout=1s").fails(t, "web was not observed within 1s")
}

// grant gives a user in this namespace what config/rbac adds to the cluster's own role.
func (s *fixture) grant(t *testing.T, user, file string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "config", "rbac", file))
	if err != nil {
		t.Fatal(err)
	}
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
		s.lbh(t, append(args, "--server", nowhere)...).fails(t, "no answer from the API server "+nowhere, "connection refused", "--kubeconfig")
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
