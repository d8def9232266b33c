// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// groupsNamespace has the objects whose load balancers are NLB and ALB instances.
const groupsNamespace = "groups"

// groupSpecs are about one observation: the state of an instance, and the status.
var groupSpecs = []spec{
	{"the server groups of NLB and ALB listeners have their verdicts and rows", showsGroups},
	{"servers of NLB and ALB are normal, abnormal, unavailable or unused, as their API says in several ways", showsServers},
	{"a server that is added between two calls is not normal before its health is", addsBetweenCalls},
	{"lists that change between their pages, and pages without an end, give no wrong status", readsChangingPages},
	{"codes of NLB and ALB have their reasons, in upper and lower case", namesGroupReasons},
}

// groupCase is an instance as its API shows it, and the status of an object that observes it once.
type groupCase struct {
	rule    string
	product *groupProduct
	set     func(b *fakeInstance)
	edit    func(o *v1alpha1.LoadBalancerHealth)
	want    states
	// listeners and rows are compared unless they are nil; has are among the rows.
	listeners, rows, has []string
	// message is a part of the message of Healthy.
	message string
	// calls are all calls, in order; nil: they are not compared.
	calls []string
}

// observing returns the object of an instance, which is observed once.
func observing(b *fakeInstance, edits ...func(*v1alpha1.LoadBalancerHealth)) *v1alpha1.LoadBalancerHealth {
	return named(groupsNamespace, b.id, append([]func(*v1alpha1.LoadBalancerHealth){in(b.region()), once}, edits...)...)
}

// often sets the shortest interval.
func often(o *v1alpha1.LoadBalancerHealth) { o.Spec.Interval.Duration = interval }

// checkGroups runs cases, each with an instance of its own.
func (w *env) checkGroups(t *testing.T, name string, cases []groupCase) {
	for i, c := range cases {
		b := newInstance(c.product, fmt.Sprintf("%s-%d", name, i))
		c.set(b)
		w.groups.addInstance(b)
		object := observing(b)
		if c.edit != nil {
			c.edit(object)
		}
		w.create(t, object)
		t.Run(c.product.name+": "+c.rule, func(t *testing.T) {
			t.Parallel()
			found := w.await(t, object, c.want)
			g := NewWithT(t)
			if found.Status.LastObservedTime == nil {
				nothingInvented(g, found)
			}
			if c.listeners != nil {
				g.Expect(listenerTexts(found)).To(Equal(c.listeners))
			}
			if c.rows != nil {
				g.Expect(groupRows(found)).To(Equal(c.rows))
			}
			for _, row := range c.has {
				g.Expect(groupRows(found)).To(ContainElement(row))
			}
			if c.calls != nil {
				g.Expect(b.texts(0)).To(Equal(c.calls))
			}
			g.Expect(conditionOf(found, "Healthy").Message).To(ContainSubstring(c.message))
		})
	}
}

// listenerTexts are the listeners of a status, as PORT/PROTOCOL GROUP HEALTH NORMAL/BACKENDS STATE CHECK.
func listenerTexts(object *v1alpha1.LoadBalancerHealth) []string {
	var texts []string
	for _, l := range object.Status.Listeners {
		text := fmt.Sprintf("%d/%s %s %s %d/%d %s %s", l.Port, l.Protocol, l.ServerGroupID, l.Health, l.Normal, l.Backends, l.State, l.HealthCheck)
		texts = append(texts, strings.Join(strings.Fields(text), " "))
	}
	return texts
}

// groupRows are the backends of a status, as PORT GROUP SERVER STATUS REASON.
func groupRows(object *v1alpha1.LoadBalancerHealth) []string {
	var texts []string
	for _, b := range object.Status.Backends {
		text := fmt.Sprintf("%d %s %s %s %s", b.ListenerPort, b.ServerGroupID, b.ServerID, b.ServerHealthStatus, b.Reason)
		texts = append(texts, strings.TrimSpace(text))
	}
	return texts
}

// twoPorts is the NLB of a Service with two ports, or an ALB with two listeners.
func twoPorts(b *fakeInstance) {
	b.listen(80, map[*groupProduct]string{productNLB: "TCP", productALB: "http"}[b.product], "sgp-1")
	b.listen(443, map[*groupProduct]string{productNLB: "TCPSSL", productALB: "https"}[b.product], "sgp-2")
	b.group("sgp-1", pods(1, 2)...)
	b.group("sgp-2", pods(1, 2)...)
}

// exampleIngress is the ALB of the example: two listeners, and ten Services of which nine are behind rules.
func exampleIngress(b *fakeInstance) {
	b.group("sgp-0", pods(1, 2)...)
	var rules [][]string
	for n := 1; n < 10; n++ {
		id := fmt.Sprintf("sgp-%d", n)
		b.group(id, pods(10*n, 10*n+1, 10*n+2)...)
		rules = append(rules, []string{id})
	}
	b.listen(80, "HTTP", "sgp-0").rules = rules
	b.listen(443, "HTTPS", "sgp-0").rules = rules
}

// addsBetweenCalls adds a server that is not checked yet before each of the calls of an observation.
func addsBetweenCalls(t *testing.T, w *env) {
	behindRule := func(b *fakeInstance) {
		twoPorts(b)
		b.listeners[1].groups, b.listeners[1].rules = []string{"sgp-1"}, [][]string{{"sgp-2"}}
	}
	shared := func(b *fakeInstance) {
		twoPorts(b)
		b.listeners[0].groups = b.listeners[1].groups
	}
	var cases []groupCase
	for _, kind := range []struct {
		rule    string
		product *groupProduct
		set     func(*fakeInstance)
		calls   int
	}{
		{"a listener", productNLB, twoPorts, 5}, {"a listener", productALB, twoPorts, 5}, {"a rule", productALB, behindRule, 5},
		{"two listeners", productNLB, shared, 4}, {"two listeners", productALB, shared, 4},
	} {
		for before := range kind.calls {
			cases = append(cases, groupCase{
				rule: fmt.Sprintf("to a group of %s, before call %d", kind.rule, before+1), product: kind.product,
				set: setAll(kind.set, func(b *fakeInstance) {
					b.before = func(n int, _ instanceCall) *fakeResponse {
						if n == before+1 {
							b.groups["sgp-2"].servers = append(b.groups["sgp-2"].servers, withHealth(pod(3), "Initial"))
						}
						return nil
					}
				}),
				edit: needing("100%"), want: unknown("HealthCheckUnavailable"), message: "1 without a health-check result",
				has: []string{"443 sgp-2 eni-3 unavailable"},
			})
		}
	}
	w.checkGroups(t, "added", cases)
}

// refusing returns a response to every call of an action.
func refusing(action string, status int, code string) func(*fakeInstance) {
	return func(b *fakeInstance) {
		twoPorts(b)
		b.before = func(_ int, c instanceCall) *fakeResponse {
			if c.action != action {
				return nil
			}
			refused := refusal(status, code, "Message of "+code+".")
			return &refused
		}
	}
}

func namesGroupReasons(t *testing.T, w *env) {
	unknownInstance := func(b *fakeInstance) { b.unknown = true }
	cases := []groupCase{
		{rule: "an unknown instance, whose list of listeners is empty", product: productNLB, set: unknownInstance, want: failing("LoadBalancerNotFound")},
		{rule: "an unknown instance, whose list of listeners is empty", product: productALB, set: unknownInstance, want: failing("LoadBalancerNotFound")},
		{rule: "an instance without listeners", product: productNLB, set: func(*fakeInstance) {}, want: bad("NoBackends")},
	}
	for _, product := range []*groupProduct{productNLB, productALB} {
		for _, c := range []struct {
			action string
			status int
			code   string
			want   states
		}{
			{"ListListeners", 404, "ResourceNotFound.loadBalancer", failing("LoadBalancerNotFound")},
			{"ListListeners", 400, "resourcenotfound.LOADBALANCER", failing("LoadBalancerNotFound")},
			{"ListServerGroupServers", 403, "forbidden.ram", stalled("Forbidden")},
			{"ListServerGroupServers", 400, "THROTTLING.USER", failing("Throttled")},
			{"ListListeners", 400, "Rejected.throttling", failing("Throttled")},
			{"GetListenerHealthStatus", 400, "incorrectstatus.Listener", failing("ServiceError")},
			{"GetListenerHealthStatus", 409, "ResourceInConfiguring.listener", failing("ServiceError")},
			{"GetListenerHealthStatus", 400, "systembusy", failing("ServiceError")},
			{"GetListenerHealthStatus", 403, "SIGNATUREDOESNOTMATCH", stalled("InvalidCredentials")},
		} {
			cases = append(cases, groupCase{rule: c.action + " fails with " + c.code, product: product, set: refusing(c.action, c.status, c.code), want: c.want})
		}
	}
	cases = append(cases, groupCase{rule: "-735", product: productALB, set: refusing("ListListeners", http.StatusBadRequest, "-735"), want: failing("LoadBalancerNotFound")})
	w.checkGroups(t, "code", cases)
}
