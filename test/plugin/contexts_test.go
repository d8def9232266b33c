// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

var contextSpecs = []spec{
	{"--contexts shows several clusters in one table, and fails when one is unreachable", severalContexts},
	{"--contexts reports a context in which the user has no permission", contextWithoutPermission},
	{"subcommands refuse --contexts, and -o json does", contextsRefused},
	{"kubectl completes --contexts", contextsCompletion},
}

// secondCluster is another control plane with an object web, which is unhealthy.
func (s *fixture) secondCluster(t *testing.T) *harness.ControlPlane {
	t.Helper()
	plane := harness.NewControlPlane(t, harness.ControlPlaneOptions{})
	second, err := harness.NewClient(plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	other := &fixture{suite: &suite{Env: &harness.Env{Ctx: s.Ctx, Client: second}}, namespace: s.namespace}
	if err := second.Create(s.Ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}); err != nil {
		t.Fatal(err)
	}
	other.observe(t, "web", labelled("team", "shop"))
	other.store(t, "web", [][3]string{
		{v1alpha1.ConditionReady, "False", v1alpha1.ReasonBelowMinHealthy},
		{v1alpha1.ConditionHealthy, "False", v1alpha1.ReasonBelowMinHealthy},
		{v1alpha1.ConditionObserved, "True", v1alpha1.ReasonObservationSucceeded},
	}, 0, func(o *v1alpha1.LoadBalancerHealth) {
		o.Status.Summary.Counts = v1alpha1.Counts{Backends: 2, Abnormal: 2}
	})
	return plane
}

// contexts writes a kubeconfig with a context in the fixture's namespace for each
// cluster, and "down" with an address without a listener.
func (s *fixture) contexts(t *testing.T, clusters map[string]*harness.ControlPlane) string {
	t.Helper()
	all := clientcmdapi.NewConfig()
	for name, plane := range clusters {
		one, err := clientcmd.LoadFromFile(plane.Kubeconfig())
		if err != nil {
			t.Fatal(err)
		}
		current := one.Contexts[one.CurrentContext]
		all.Clusters[name], all.AuthInfos[name] = one.Clusters[current.Cluster], one.AuthInfos[current.AuthInfo]
		all.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name, Namespace: s.namespace}
	}
	all.Clusters["down"] = &clientcmdapi.Cluster{Server: nowhere}
	all.Contexts["down"] = &clientcmdapi.Context{Cluster: "down", Namespace: s.namespace}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*all, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func severalContexts(t *testing.T, s *fixture) {
	s.put(t, "web", "normal", "normal")
	s.observe(t, "web", labelled("team", "shop"))
	s.observe(t, "api", labelled(unserved, "true"))
	s.until(t, "web", v1alpha1.ReasonAllBackendsNormal)
	kubeconfig := s.contexts(t, map[string]*harness.ControlPlane{"hangzhou": s.Plane, "shanghai": s.secondCluster(t)})
	run := s.with(kubeconfig)

	want := strings.ReplaceAll(`
CONTEXT    NAME   HEALTH      REASON              SINCE   NORMAL   ABNORMAL   UNAVAILABLE   MISSING   LOADBALANCER   REGION        DISRUPTIONS ALLOWED
shanghai   web    Unhealthy   BelowMinHealthy     T       0/2      2          0             -         lb-ns-00-web   cn-hangzhou   -
hangzhou   api    Pending     -                   -       -        0          0             -         lb-ns-00-api   cn-hangzhou   -
hangzhou   web    Healthy     AllBackendsNormal   T       2/2      0          0             -         lb-ns-00-web   cn-hangzhou   1
`, "ns-00", s.namespace)
	if got := "\n" + withoutSince(run(t, "--contexts", "hangzhou,shanghai").table(t)); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
	r := run(t, "--contexts", "all")
	errorLine := "error: context down: the API server " + nowhere + " is unreachable: "
	if r.code != 1 || "\n"+withoutSince(r.stdout) != want || !strings.Contains(r.stderr, "\n"+errorLine) || strings.Count(r.stderr, "\n") != 2 {
		t.Errorf("%+v", r)
	}
	r = run(t, "--contexts", "down,typo,shanghai")
	if rows := strings.Split(r.stderr, "\n"); r.code != 1 || firstColumn(r.stdout) != "shanghai" || len(rows) != 4 ||
		!strings.HasPrefix(rows[1], errorLine) || rows[2] != `error: context typo: context "typo" does not exist` {
		t.Errorf("%+v", r)
	}
	s.selectInContexts(t, kubeconfig)
}

// with runs `kubectl lbh` with this kubeconfig.
func (s *fixture) with(kubeconfig string) func(t *testing.T, args ...string) result {
	return func(t *testing.T, args ...string) result {
		t.Helper()
		return finish(t, s.command(append(args, "--kubeconfig", kubeconfig)...))
	}
}

// selectInContexts checks the flags that select objects, and the formats.
func (s *fixture) selectInContexts(t *testing.T, kubeconfig string) {
	t.Helper()
	run := s.with(kubeconfig)
	const both = "shanghai hangzhou"
	for args, want := range map[string]string{
		"-l team=shop": both, "web": both, "-A -l team=shop": both, "--field-selector metadata.name=api": "hangzhou", "-o wide -l team=shop": both,
	} {
		if got := run(t, append(strings.Fields(args), "--contexts=hangzhou,shanghai")...).table(t); firstColumn(got) != want {
			t.Errorf("%s: %s", args, got)
		}
	}
	got := run(t, "-A", "-o", "wide", "--contexts=shanghai").table(t)
	if !strings.HasPrefix(got, "CONTEXT    NAMESPACE   NAME") || !strings.HasSuffix(got, "about BelowMinHealthy\n") {
		t.Errorf("%s", got)
	}
	r := run(t, "api", "--contexts=hangzhou,shanghai")
	want := "error: context shanghai: there is no LoadBalancerHealth api in namespace " + s.namespace
	if r.code != 1 || firstColumn(r.stdout) != "hangzhou" || !strings.Contains(r.stderr, want) {
		t.Errorf("%+v", r)
	}
	var reasons []string
	for line := range strings.Lines(run(t, "-o", "name", "-l", "team=shop", "--contexts=hangzhou,shanghai").succeeds(t)) {
		command := s.command() // each line is arguments of kubectl
		command.Args = append([]string{command.Args[0], "get", "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].reason}"}, strings.Fields(line)...)
		command.Env = s.environment("KUBECONFIG=" + kubeconfig)
		reasons = append(reasons, finish(t, command).succeeds(t))
	}
	if !slices.Equal(reasons, []string{v1alpha1.ReasonBelowMinHealthy, v1alpha1.ReasonAllBackendsNormal}) {
		t.Errorf("%q", reasons)
	}
}

func contextWithoutPermission(t *testing.T, s *fixture) {
	s.pair(t)
	kubeconfig := s.contexts(t, map[string]*harness.ControlPlane{"admin": s.Plane})
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	eve := *config.AuthInfos["admin"]
	eve.Impersonate = "eve"
	config.AuthInfos["eve"] = &eve
	config.Contexts["eve"] = &clientcmdapi.Context{Cluster: "admin", AuthInfo: "eve", Namespace: s.namespace}
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	r := s.with(kubeconfig)(t, "--contexts=admin,eve")
	if r.code != 1 || firstColumn(r.stdout) != "admin admin" || !strings.Contains(r.stderr, "error: context eve: ") ||
		!strings.Contains(r.stderr, "request a RoleBinding in namespace "+s.namespace+" to the ClusterRole view") {
		t.Errorf("%+v", r)
	}
}

func contextsRefused(t *testing.T, s *fixture) {
	run := s.with(s.contexts(t, map[string]*harness.ControlPlane{"here": s.Plane}))
	for _, args := range [][]string{{"tree", "web"}, {"listeners"}, {"watch"}, {"wait", "web"}, {"refresh", "web"}} {
		run(t, append(args, "--contexts=here")...).fails(t, "kubectl lbh "+args[0]+" has no --contexts: write --context and the name of one")
		if got := finish(t, s.command(args[0], "--help")).succeeds(t); strings.Contains(got, "--contexts") {
			t.Errorf("the help has --contexts:\n%s", got)
		}
	}
	for _, format := range []string{"json", "yaml", "jsonpath={.items}"} {
		run(t, "--contexts=here", "-o", format).fails(t, "-o "+format+" with --contexts: ", "write --context instead, once for each")
	}
	run(t, "--contexts=here", "--watch").fails(t, "write either --watch or --contexts")
	run(t, "--contexts=here", "--context=here").fails(t, "write either --contexts or --context")
}

func contextsCompletion(t *testing.T, s *fixture) {
	config := "--kubeconfig=" + s.contexts(t, map[string]*harness.ControlPlane{"here": s.Plane})
	const noSpaceNoFiles = ":6"
	for text, want := range map[string][]string{"": {"down", "here", "all", noSpaceNoFiles}, "down,": {"down,here", noSpaceNoFiles}} {
		if got := s.complete(t, config, "--contexts", text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}
