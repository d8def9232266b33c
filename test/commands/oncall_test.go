// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	// noServer is an address without a listener.
	noServer = "https://127.0.0.1:1"
	// staleTimeout is more than the time until a verdict is stale.
	staleTimeout = 3 * time.Minute
)

// oncall is a cluster in which the objects of testdata/oncall.yaml have problems.
type oncall struct {
	*harness.Env
	shell    *shell
	operator *harness.Process
}

// TestOnCallPages runs the commands of docs/kubectl-lbh.md and of the runbooks with the
// built plugin, operator and simulator. A console block must show what its command prints,
// apart from times and the width of columns.
func TestOnCallPages(t *testing.T) {
	t.Parallel()
	o := newOnCall(t)
	o.breakObjects(t)
	o.runPage(t, "kubectl-lbh.md", "web")
	for _, runbook := range []struct{ alert, object string }{
		{"SLBBackendAbnormal", "web"}, {"SLBBackendsMissing", "shop"}, {"SLBBelowMinHealthy", "api"}, {"SLBErrorBudgetBurn", "web"},
		{"SLBHealthStalled", "auth"}, {"SLBHealthUnknown", "cart"}, {"SLBObservationFailing", "edge"},
		{"SLBObservationStale", "cdn"}, {"SLBObservationLate", "cdn"}, {"SLBAPIThrottled", "edge"}, {"SLBReadinessGateStuck", "shop"}, {"SLBReadinessGateOpened", "shop"},
		{"SLBListenerMissing", "mail"},
	} {
		o.runPage(t, filepath.Join("runbooks", runbook.alert+".md"), runbook.object)
	}
	o.until(t, "mail", v1alpha1.ReasonAllBackendsNormal) // the page accepted the removal
	o.stopOperator(t)
	for _, alert := range []string{"SLBHealthOperatorDown", "SLBHealthOperatorWithoutLeader"} {
		o.runPage(t, filepath.Join("runbooks", alert+".md"), "web")
	}
}

// TestEveryRunbookBeginsWithThePlugin fails unless the first command of each runbook is one
// of the plugin, with its output.
func TestEveryRunbookBeginsWithThePlugin(t *testing.T) {
	t.Parallel()
	runbooks, err := filepath.Glob(filepath.Join(root, "docs", "runbooks", "SLB*.md"))
	if err != nil || len(runbooks) < 15 {
		t.Fatalf("%v, %v", runbooks, err)
	}
	for _, path := range runbooks {
		blocks := blocksOf(string(harness.ReadFile(t, path)))
		if len(blocks) == 0 || blocks[0].language != "console" || !strings.HasPrefix(blocks[0].lines[0], "$ kubectl lbh ") || len(blocks[0].lines) < 2 {
			t.Errorf("%s does not begin with a command of kubectl lbh and its output", path)
		}
	}
}

func newOnCall(t *testing.T) *oncall {
	t.Helper()
	o := &oncall{Env: harness.NewEnv(t, string(harness.ReadFile(t, filepath.Join("testdata", "oncall-slb.yaml"))))}
	o.operator = o.StartOperator(t, "operator", "oncall-key", "oncall-secret", "--readiness-gates", "--metrics-bind-address=0", "--slb-qps=100", "--slb-burst=100")
	o.shell = newShell(t, o.Plane)
	o.shell.folder = root
	plugin, err := filepath.Abs(filepath.Join(root, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	o.shell.environment = append(o.shell.environment, "PATH="+strings.Join([]string{filepath.Dir(o.Plane.Kubectl()), plugin, os.Getenv("PATH")}, ":"))
	o.mustRun(t, "kubectl apply -f test/commands/testdata/oncall.yaml")
	o.setStatuses(t)
	o.mustRun(t, `user=$(kubectl config view -o jsonpath='{.contexts[0].context.user}') cluster=$(kubectl config view -o jsonpath='{.contexts[0].context.cluster}')
kubectl config set-cluster nowhere --server=`+noServer+`
kubectl config set-context prod-hangzhou --cluster=$cluster --user=$user --namespace=prod
kubectl config set-context prod-shanghai --cluster=$cluster --user=$user --namespace=shanghai
kubectl config set-context prod-beijing --cluster=nowhere --namespace=prod
kubectl config use-context prod-hangzhou
for other in $(kubectl config get-contexts -o name | grep -v ^prod-); do kubectl config delete-context $other; done`)
	return o
}

func (o *oncall) mustRun(t *testing.T, command string) {
	t.Helper()
	if output, err := o.shell.run(t, command); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, output)
	}
}

// setStatuses makes the node and the pods ready, except the containers of shop-3 and the
// gate of shop-5.
func (o *oncall) setStatuses(t *testing.T) {
	t.Helper()
	var nodes corev1.NodeList
	var pods corev1.PodList
	if err := o.Client.List(o.Ctx, &nodes); err != nil {
		t.Fatal(err)
	}
	if err := o.Client.List(o.Ctx, &pods, client.InNamespace("prod")); err != nil {
		t.Fatal(err)
	}
	nodes.Items[0].Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	changed := []client.Object{&nodes.Items[0]}
	for i := range pods.Items {
		pod, status := &pods.Items[i], corev1.ConditionTrue
		number := strings.TrimPrefix(pod.Name, "shop-")
		if number == "3" {
			status = corev1.ConditionFalse
		}
		pod.Status.Phase, pod.Status.PodIPs = corev1.PodRunning, []corev1.PodIP{{IP: "10.7.0." + number}}
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.ContainersReady, Status: status, LastTransitionTime: metav1.Now()}}
		if number != "5" {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.Now()})
		}
		changed = append(changed, pod)
	}
	for _, object := range changed {
		if err := o.Client.Status().Update(o.Ctx, object); err != nil {
			t.Fatal(err)
		}
	}
}

// breakObjects waits for the first observations, gives each object its problem, and waits
// until the status shows it.
func (o *oncall) breakObjects(t *testing.T) {
	t.Helper()
	for _, name := range []string{"web", "api", "mail", "edge", "cdn", "auth"} {
		o.until(t, name, v1alpha1.ReasonAllBackendsNormal)
	}
	o.Fail(t, "lb-bp1cdn", "Throttling.User", http.StatusBadRequest, 0)
	o.Fail(t, "lb-bp1edge", "Throttling.User", http.StatusBadRequest, 0)
	o.Fail(t, "lb-bp1auth", "Forbidden.RAM", http.StatusForbidden, 0)
	o.mustRun(t, "kubectl annotate lbh edge slb.lbhealth.dev/observe-requested-at=now")
	o.Admin(t, http.MethodDelete, "loadbalancers/lb-bp1api/backends?listenerPort=6443", nil)
	o.Admin(t, http.MethodDelete, "loadbalancers/lb-bp1mail/listeners?listenerPort=465", nil)
	set := func(server, state string) {
		o.Admin(t, http.MethodPatch, "loadbalancers/lb-bp1web/backends", map[string]any{"serverId": server, "serverHealthStatus": state})
	}
	for _, server := range []string{"i-web-1", "i-web-2", "i-web-3"} {
		set(server, "abnormal")
	}
	o.until(t, "web", v1alpha1.ReasonBelowMinHealthy)
	set("i-web-2", "normal")
	set("i-web-3", "normal")
	o.until(t, "web", v1alpha1.ReasonMinHealthyMet)
	for name, reason := range map[string]string{
		"auth": v1alpha1.ReasonForbidden, "api": v1alpha1.ReasonNoBackends, "mail": v1alpha1.ReasonListenerMissing, "cart": v1alpha1.ReasonHealthCheckUnavailable,
		"shop": v1alpha1.ReasonMinHealthyMet, "portal": v1alpha1.ReasonBelowMinHealthy,
	} {
		o.until(t, name, reason)
	}
	o.untilStatus(t, "shop", func(g Gomega, status *v1alpha1.LoadBalancerHealthStatus) {
		g.Expect(status.MissingBackends).To(HaveLen(1))
		for i := range status.Backends {
			if b := &status.Backends[i]; b.ServerHealthStatus == v1alpha1.StatusAbnormal {
				g.Expect(b.Diagnosis).NotTo(BeEmpty())
			}
		}
	})
	o.untilStatus(t, "edge", func(g Gomega, status *v1alpha1.LoadBalancerHealthStatus) {
		g.Expect(meta.IsStatusConditionFalse(status.Conditions, v1alpha1.ConditionObserved)).To(BeTrue())
	})
	o.untilStatus(t, "cart", func(g Gomega, status *v1alpha1.LoadBalancerHealthStatus) {
		g.Expect(status.Listeners[0].HealthCheck).To(Equal(v1alpha1.HealthCheckDisabled))
	})
	o.until(t, "cdn", v1alpha1.ReasonObservationStale)
	o.untilStatus(t, "auth", func(g Gomega, status *v1alpha1.LoadBalancerHealthStatus) {
		g.Expect(meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionHealthy).Reason).To(Equal(v1alpha1.ReasonObservationStale))
	})
}

func (o *oncall) until(t *testing.T, name, reason string) {
	t.Helper()
	o.untilStatus(t, name, func(g Gomega, status *v1alpha1.LoadBalancerHealthStatus) {
		ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
		g.Expect(ready).NotTo(BeNil())
		g.Expect(ready.Reason).To(Equal(reason))
	})
}

func (o *oncall) untilStatus(t *testing.T, name string, check func(g Gomega, status *v1alpha1.LoadBalancerHealthStatus)) {
	t.Helper()
	NewWithT(t).Eventually(func(g Gomega) {
		object := &v1alpha1.LoadBalancerHealth{}
		g.Expect(o.Client.Get(o.Ctx, client.ObjectKey{Namespace: "prod", Name: name}, object)).To(Succeed())
		check(g, &object.Status)
	}).WithTimeout(staleTimeout).WithPolling(200*time.Millisecond).Should(Succeed(), name)
}

// stopOperator stops the operator, and makes the last updates two hours older, which
// saves the wait.
func (o *oncall) stopOperator(t *testing.T) {
	t.Helper()
	o.operator.Stop()
	var list v1alpha1.LoadBalancerHealthList
	if err := o.Client.List(o.Ctx, &list); err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		if at := list.Items[i].Status.LastObservedTime; at != nil {
			list.Items[i].Status.LastObservedTime = new(metav1.NewTime(at.Add(-2 * time.Hour)))
		}
		if err := o.Client.Status().Update(o.Ctx, &list.Items[i]); err != nil {
			t.Fatal(err)
		}
	}
}

// notRunOnCall has a reason for each command of the pages that does not run here.
var notRunOnCall = map[string]string{
	"aliyun ": "needs the cloud", "slb-health-operator-controller-manager": "the operator is no Deployment here",
	"krew": "needs a release", "curl ": "needs a release", "sha256sum": "needs a release", "sudo ": "needs a release", "VERSION": "needs a release",
	"cp ": "needs Krew", "BIN=": "needs Krew", "make build-plugin": "the plugin is built",
	"readiness-gate=off": "opens the gate that the next page shows", `--context "$context"`: "is a part of a loop", "done": "is a part of a loop",
	"xargs": "a context cannot be reached", "kubectl config get-contexts": "a context cannot be reached",
}

// runPage runs the commands of a page. NAME, NAMESPACE and SERVICE stand for the object.
func (o *oncall) runPage(t *testing.T, file, object string) {
	t.Helper()
	page := outputsOf(t, filepath.Join("docs", file))
	defer page.save(t)
	o.shell.replaced = strings.NewReplacer("NAMESPACE", "prod", "NAME", object, "SERVICE", "shop")
	for _, b := range blocksOf(page.text) {
		shown := b.outputs()
		for i, command := range b.commands() {
			if len(matching(notRunOnCall, command)) > 0 {
				continue
			}
			printed, err := o.shell.run(t, command)
			switch {
			case b.language == "console":
				page.compare(t, command, printed, shown[i], withoutTimes)
			case err != nil:
				t.Errorf("%s: %s: %v\n%s", file, command, err, printed)
			}
		}
	}
}

var times = regexp.MustCompile(`\b(\d+[dhm])?\d+[dhms]\b|\d{4}-\d\d-\d\dT[\d:]+Z`)

// withoutTimes returns an output without ages and times, and without the width of columns.
func withoutTimes(output string) string { return withoutAges(times.ReplaceAllString(output, "AGE")) }
