// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

var fleetSpecs = []spec{
	{"the table has the worst object first, and no colour in a pipe", worstFirst},
	{"names select objects, in the order of the table", selectByName},
	{"labels and fields select objects", selectByLabelOrField},
	{"-A shows every namespace, with a column for it", everyNamespace},
	{"an empty namespace is reported, and is no failure", emptyNamespace},
	{"an unknown name is reported, with a remedy", unknownName},
	{"a tree shows listeners, backends, and since when", showTree},
	{"a tree shows the nodes and pods of backends", showTreeWithLocations},
	{"control characters in an object do not reach the terminal", controlCharacters},
}

// percent wants all backends to be healthy.
func percent(p string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		minimum := intstr.FromString(p)
		o.Spec.HealthPolicy = &v1alpha1.HealthPolicy{MinHealthy: &minimum}
	}
}

func labelled(key, value string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) { o.Labels = map[string]string{key: value} }
}

func suspended(o *v1alpha1.LoadBalancerHealth) { o.Spec.Suspend = true }

// fleet creates one object of each rank, and waits for its status.
func (s *fixture) fleet(t *testing.T) {
	t.Helper()
	s.put(t, "good", "normal", "normal")
	s.put(t, "partly", "normal", "abnormal")
	s.put(t, "bad", "abnormal", "abnormal", "normal")
	s.put(t, "forbidden", "normal")
	s.Fail(t, s.lb("forbidden"), "Forbidden.RAM", 403, 0)
	s.observe(t, "asleep", suspended)
	s.observe(t, "good")
	s.observe(t, "partly")
	s.observe(t, "bad", percent("100%"))
	s.observe(t, "forbidden")
	s.observe(t, "new", labelled(unserved, "true"))
	for name, reason := range map[string]string{
		"good": v1alpha1.ReasonAllBackendsNormal, "partly": v1alpha1.ReasonMinHealthyMet, "bad": v1alpha1.ReasonBelowMinHealthy,
		"forbidden": v1alpha1.ReasonForbidden, "asleep": v1alpha1.ReasonSuspended,
	} {
		s.until(t, name, reason)
	}
}

func worstFirst(t *testing.T, s *fixture) {
	s.fleet(t)
	want := strings.ReplaceAll(`
NAME        HEALTH      REASON              SINCE   NORMAL   ABNORMAL   UNAVAILABLE   MISSING   LOADBALANCER         REGION        DISRUPTIONS ALLOWED
bad         Unhealthy   BelowMinHealthy     T       1/3      2          0             -         lb-ns-00-bad         cn-hangzhou   0
forbidden   Stalled     Forbidden           T       -        0          0             -         lb-ns-00-forbidden   cn-hangzhou   -
partly      Healthy     MinHealthyMet       T       1/2      1          0             -         lb-ns-00-partly      cn-hangzhou   0
new         Pending     -                   -       -        0          0             -         lb-ns-00-new         cn-hangzhou   -
good        Healthy     AllBackendsNormal   T       2/2      0          0             -         lb-ns-00-good        cn-hangzhou   1
asleep      Suspended   Suspended           T       -        0          0             -         lb-ns-00-asleep      cn-hangzhou   -
`, "ns-00", s.namespace)
	r := s.lbh(t)
	if got := "\n" + withoutSince(r.table(t)); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
	const counted = "6 objects: 1 Unhealthy, 1 Stalled, 2 Healthy, 1 Pending, 1 Suspended; 7 backends: 4 normal, 3 abnormal\n"
	if r.stderr != counted {
		t.Errorf("%q, not %q", r.stderr, counted)
	}
	if got := s.lbh(t, "--color=always").table(t); !strings.Contains(got, "\x1b[31mUnhealthy\x1b[0m") {
		t.Errorf("no colour with --color=always: %q", got)
	}
}

// ages matches the column SINCE after a reason, which differs between runs.
var ages = regexp.MustCompile(`(?m)( [A-Z][A-Za-z]+ +)\d+[smh]\d*[ms]?( *)`)

// withoutSince replaces the ages in a table, which have two or three characters.
func withoutSince(table string) string {
	return ages.ReplaceAllString(table, "${1}T       ")
}

// firstColumn is the first column of a table, without its header.
func firstColumn(table string) string {
	var names []string
	for row := range strings.Lines(table) {
		names = append(names, strings.Fields(row)[0])
	}
	return strings.Join(names[min(1, len(names)):], " ")
}

// pair creates two objects that are not observed.
func (s *fixture) pair(t *testing.T) {
	t.Helper()
	s.observe(t, "api", labelled(unserved, "a"))
	s.observe(t, "web", labelled(unserved, "b"))
}

func selectByName(t *testing.T, s *fixture) {
	s.pair(t)
	s.observe(t, "third", labelled(unserved, "c"))
	if got := firstColumn(s.lbh(t, "web", "api").table(t)); got != "api web" {
		t.Errorf("%q", got)
	}
	s.lbh(t, "web", "-l", "a=b").fails(t, "either names or -A, -l, --field-selector and --product")
}

func selectByLabelOrField(t *testing.T, s *fixture) {
	s.pair(t)
	for flag, want := range map[string]string{
		"-l=" + unserved + "=b": "web", "--selector=" + unserved + " in (a,b)": "api web",
		"--field-selector=metadata.name!=web": "api",
	} {
		if got := firstColumn(s.lbh(t, flag).table(t)); got != want {
			t.Errorf("%s: %q, not %q", flag, got, want)
		}
	}
	s.lbh(t, "-l=!!").fails(t, "unable to parse requirement")
	s.lbh(t, "--field-selector=spec.interval=x").fails(t, "field label not supported")
}

func everyNamespace(t *testing.T, s *fixture) {
	other := s.newFixture(t)
	for _, one := range []*fixture{s, other} {
		one.observe(t, "web", labelled(unserved, "everywhere"))
	}
	got := finish(t, s.command("-A", "-l", unserved+"=everywhere")).table(t)
	if fields := strings.Fields(got); fields[0] != "NAMESPACE" || fields[1] != "NAME" || firstColumn(got) != s.namespace+" "+other.namespace {
		t.Errorf("%s", got)
	}
}

func emptyNamespace(t *testing.T, s *fixture) {
	r := s.lbh(t)
	if want := "No LoadBalancerHealth found in namespace " + s.namespace + ".\n"; r.code != 0 || r.stdout != "" || r.stderr != want {
		t.Errorf("%+v, not %q", r, want)
	}
}

func unknownName(t *testing.T, s *fixture) {
	for _, args := range [][]string{{"wbe"}, {"tree", "wbe"}, {"wait", "wbe"}, {"refresh", "wbe"}} {
		s.lbh(t, args...).fails(t, "there is no LoadBalancerHealth wbe in namespace "+s.namespace, "kubectl lbh -A")
	}
	s.lbh(t, "tree").fails(t, "write the name of one LoadBalancerHealth")
}

// since matches an age, which differs between runs.
var since = regexp.MustCompile(`(since|observation) \S+`)

func showTree(t *testing.T, s *fixture) {
	s.put(t, "web", "normal", "abnormal", "unavailable")
	s.observe(t, "web", percent("34%"))
	s.until(t, "web", v1alpha1.ReasonHealthCheckUnavailable)
	want := strings.ReplaceAll(`
web  Unknown  HealthCheckUnavailable  lb-NS-web cn-hangzhou  since T
│  listener 443/https has 1 normal and 1 without a health-check result of 3 backends, needs 2 healthy
│  policy: minHealthy 34%, unavailable Unknown
│  status of an observation T ago, interval 5s
└─ 443/https  Unknown  1/3 normal, needs 2
   ├─ i-2 10.0.0.2:8443  abnormal     since T
   ├─ i-3 10.0.0.3:8443  unavailable  since T
   └─ i-1 10.0.0.1:8443  normal       since T
`, "NS", s.namespace)
	if got := "\n" + since.ReplaceAllString(s.lbh(t, "tree", "web").succeeds(t), "$1 T"); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

func showTreeWithLocations(t *testing.T, s *fixture) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-of-names"}, Spec: corev1.NodeSpec{ProviderID: harness.Region + ".i-named"}}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "web-1"},
		Spec:       corev1.PodSpec{NodeName: node.Name, Containers: []corev1.Container{{Name: "web", Image: "web"}}},
	}
	for _, object := range []client.Object{node, pod} {
		if err := s.Client.Create(s.Ctx, object); err != nil {
			t.Fatal(err)
		}
	}
	pod.Status.PodIPs = []corev1.PodIP{{IP: "10.9.0.1"}}
	if err := s.Client.Status().Update(s.Ctx, pod); err != nil {
		t.Fatal(err)
	}
	s.Put(t, s.lb("web"),
		map[string]any{"serverId": "i-named", "serverIp": "10.9.0.2", "type": "ecs", "serverHealthStatus": "normal"},
		map[string]any{"serverId": "eni-named", "serverIp": "10.9.0.1", "type": "eni", "serverHealthStatus": "abnormal"})
	s.observe(t, "web")
	s.until(t, "web", v1alpha1.ReasonMinHealthyMet)
	eventually(t, func(g Gomega) { // the operator's cache may lag behind
		g.Expect(s.lbh(t, "tree", "web").succeeds(t)).To(And(
			MatchRegexp(`i-named 10\.9\.0\.2 .*  node node-of-names\n`),
			MatchRegexp(`eni-named 10\.9\.0\.1 .*  pod `+s.namespace+`/web-1; node node-of-names\n`),
			MatchRegexp(`PodNotReady: the pod is not Ready: check kubectl describe pod -n `+s.namespace+` web-1\n`)))
	})
}
