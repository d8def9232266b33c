// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

// storedAt is when the statuses of testdata/upgrade were read from the API server.
var storedAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestUpgrade proves that an upgrade keeps the statuses that the previous version stored, without a transition.
// testdata/upgrade/before.jsonl has nodes, Services, and the objects that version f441a1b (--max-status-backends=10)
// stored about the load balancers of cloud.jsonl, with all times shifted to storedAt. To print one:
//
//	jq 'select(.metadata.name == "whole")' testdata/upgrade/before.jsonl
func TestUpgrade(t *testing.T) {
	w := newEnv(t, envOptions{quick: true})
	w.addSimulator(t)
	w.bind(t, w.operator, "", "../service-discovery/role.yaml")
	w.bind(t, w.operator, "", "../backend-names/role.yaml")
	w.prepareUpgrade(t)
	for _, f := range upgradeFaults {
		w.simulator.addFault(t, f)
	}
	before := w.restore(t)
	recorder := w.record(t)
	operators := w.startUpgraded(t, "after")
	w.awaitUpgraded(t, before)

	for _, op := range operators {
		op.stop(t)
	}
	for _, was := range before {
		t.Run(was.Namespace+"/"+was.Name, func(t *testing.T) {
			g := NewWithT(t)
			sameHealth(g, was, w.get(g, was))
			most := 4 // the creation, the stored status, new fields of an observation, and those of the listeners
			if was.Spec.ServiceRef != nil {
				most++ // Registered, once a backend that is absent is missing, or there
			}
			g.Expect(len(w.history(t, recorder, was))).To(BeNumerically("<=", most), "revisions")
		})
	}
	for _, namespace := range []string{mainNamespace, hostileNamespace} {
		var events eventsv1.EventList
		NewWithT(t).Expect(w.admin.List(w.ctx, &events, client.InNamespace(namespace))).To(Succeed())
		for i := range events.Items {
			e := &events.Items[i]
			if e.ReportingController != "slb-health-operator" {
				continue // the API server records its own events of Services
			}
			t.Errorf("%s %s: %s %s", namespace, e.Regarding.Name, e.Reason, e.Note)
		}
	}
	noRaceOrPanic(t, w)
}

// awaitUpgraded waits until the operators have called the API about every object and the statuses have the listeners
// where the calls succeed; and then for another call about each.
func (w *env) awaitUpgraded(t *testing.T, before []*v1alpha1.LoadBalancerHealth) {
	t.Helper()
	// The operator lists the listeners of a new load balancer at once, together with those of nine others.
	for i := range 3 {
		object := named(mainNamespace, fmt.Sprint("lb-new-", i))
		w.simulator.put(t, object.Name, web("i-1", "10.0.0.1", "normal"))
		w.create(t, object)
		w.await(t, object, good("AllBackendsNormal"))
	}
	w.eventually(t, func(g Gomega) {
		for _, was := range before {
			g.Expect(w.callsAbout(t, was)).To(BeNumerically(">=", leastCalls(was)), was.Name)
			is := w.get(g, was)
			if was.Namespace == hostileNamespace || conditionOf(was, "Observed").Status != metav1.ConditionTrue {
				continue
			}
			for _, l := range is.Status.Listeners {
				g.Expect(l.State).NotTo(BeEmpty(), was.Name)
			}
		}
	})
	calls := map[string]int{}
	for _, was := range before {
		calls[was.Name] = w.callsAbout(t, was)
	}
	w.eventually(t, func(g Gomega) {
		for _, was := range before {
			if leastCalls(was) > 1 {
				g.Expect(w.callsAbout(t, was)).To(BeNumerically(">", calls[was.Name]), was.Name)
			}
		}
	})
}

// callsAbout counts the calls about the load balancer of an object.
func (w *env) callsAbout(t *testing.T, object *v1alpha1.LoadBalancerHealth) int {
	t.Helper()
	id, _, _ := object.LoadBalancer()
	if object.Namespace == hostileNamespace {
		return len(w.slb.received(id))
	}
	return len(w.simulator.calls(t, id))
}

// leastCalls returns the least number of calls about the load balancer of an object within a few intervals.
func leastCalls(object *v1alpha1.LoadBalancerHealth) int {
	_, _, known := object.LoadBalancer()
	switch {
	case !known || object.Spec.Suspend || conditionOf(object, "Observed").Reason == "CredentialsNotFound":
		return 0
	case conditionOf(object, "Stalled").Status == metav1.ConditionTrue || object.Spec.Interval.Duration > interval:
		return 1
	default:
		return 2
	}
}

// sameHealth requires that two statuses differ at most in messages, in new fields and in the case of protocols.
func sameHealth(g Gomega, was, is *v1alpha1.LoadBalancerHealth) {
	was, is = withoutMessages(was), withoutMessages(is)
	meta.RemoveStatusCondition(&is.Status.Conditions, v1alpha1.ConditionRegistered) // new
	g.Expect(is.Status.Conditions).To(Equal(was.Status.Conditions))
	g.Expect(is.Status.Backends).To(Equal(was.Status.Backends))
	g.Expect(is.Status.OmittedBackends).To(Equal(was.Status.OmittedBackends))
	g.Expect(is.Status.LastHandledObserveRequest).To(Equal(was.Status.LastHandledObserveRequest))
	g.Expect(is.Status.LastAttemptedObserveRequest).To(BeEmpty())
	listeners := map[string]v1alpha1.ListenerStatus{}
	for _, l := range is.Status.Listeners {
		g.Expect(l.LastTransitionTime).To(BeNil())
		g.Expect(l.MissingSince).To(BeNil())
		l.State, l.HealthCheck, l.Expected, l.Missing = "", "", nil, 0
		listeners[fmt.Sprint(l.Port, "/", l.Protocol)] = l
	}
	for _, l := range was.Status.Listeners {
		g.Expect(listeners).To(HaveKeyWithValue(fmt.Sprint(l.Port, "/", l.Protocol), l))
	}
}

// withoutMessages returns an object without messages, and with protocols in lower case.
func withoutMessages(object *v1alpha1.LoadBalancerHealth) *v1alpha1.LoadBalancerHealth {
	plain := object.DeepCopy()
	status := &plain.Status
	for i := range status.Conditions {
		status.Conditions[i].Message = ""
	}
	for i := range status.Backends {
		status.Backends[i].ListenerProtocol = strings.ToLower(status.Backends[i].ListenerProtocol)
	}
	for i := range status.Listeners {
		status.Listeners[i].Protocol = strings.ToLower(status.Listeners[i].Protocol)
	}
	return plain
}

// upgradeFaults are the faults of load balancers whose stored statuses have failed.
var upgradeFaults = []fault{
	{Kind: "status", LoadBalancerID: "lb-forbidden", HTTPStatus: 403, Code: "Forbidden.RAM"},
	{Kind: "status", LoadBalancerID: "lb-refused", HTTPStatus: 400, Code: "InvalidParameter"},
	{Kind: "status", LoadBalancerID: "lb-never", HTTPStatus: 500, Code: "InternalError"},
	{Kind: "status", LoadBalancerID: "lb-request-failed", HTTPStatus: 500, Code: "InternalError"},
	{Kind: "throttle", LoadBalancerID: "lb-throttled"},
	{Kind: "throttle", LoadBalancerID: "lb-stale"},
	{Kind: "status", LoadBalancerID: "lb-denied", HTTPStatus: 403, Code: "Forbidden.RAM"},
	{Kind: "status", LoadBalancerID: "lb-failing", HTTPStatus: 500, Code: "InternalError"},
}

// prepareUpgrade creates the load balancers, the namespaces and the Secrets.
func (w *env) prepareUpgrade(t *testing.T) {
	t.Helper()
	for text := range strings.Lines(readFile(t, filepath.Join("testdata", "upgrade", "cloud.jsonl"))) {
		var lb map[string]any
		if err := json.Unmarshal([]byte(text), &lb); err != nil {
			t.Fatal(err)
		}
		id := lb["loadBalancerId"].(string)
		delete(lb, "loadBalancerId")
		w.simulator.do(t, http.MethodPut, "loadbalancers/"+id, lb, nil)
	}
	for _, namespace := range []string{mainNamespace, hostileNamespace} {
		w.createNamespace(t, namespace)
	}
	for _, name := range []string{"throttled", "elsewhere"} {
		w.create(t, w.addAccount(t, name).secret(mainNamespace, name))
	}
	w.create(t, w.newAccount("wrong").secret(mainNamespace, "wrong"))
	of := func(server, health string, more row) row {
		more["ServerId"], more["ServerHealthStatus"], more["ServerIp"], more["Port"], more["Type"] = server, health, "10.3.0.1", 80, "ecs"
		return more
	}
	for id, rows := range map[string][]row{
		"lb-upper-case":  {of("i-1", "normal", row{"ListenerPort": 443, "Protocol": "HTTPS"}), of("i-2", "abnormal", row{"ListenerPort": 443, "Protocol": "HTTPS"}), of("i-1", "normal", row{"ListenerPort": 53, "Protocol": "UDP"})},
		"lb-no-port":     {of("i-1", "normal", row{}), of("i-2", "abnormal", row{})},
		"lb-mixed":       {of("i-1", "normal", row{"ListenerPort": 443, "Protocol": "https"}), of("i-2", "normal", row{})},
		"lb-no-protocol": {of("i-1", "normal", row{"ListenerPort": 443}), of("i-2", "abnormal", row{"ListenerPort": 443})},
		"lb-new-word":    {of("i-1", "recovering", row{"ListenerPort": 443, "Protocol": "https"}), of("i-2", "normal", row{"ListenerPort": 443, "Protocol": "https"})},
	} {
		w.slb.on(id, always(success(rows...)))
	}
}

// startUpgraded starts one operator for the simulator, and one for the slbServer with unusual responses.
func (w *env) startUpgraded(t *testing.T, name string) []*operator {
	t.Helper()
	common := []string{"--max-status-backends=10", "--status-heartbeat=1h", "--slb-qps=100", "--slb-burst=100"}
	return []*operator{
		w.startOperator(t, operatorOptions{
			name: name, namespaces: []string{mainNamespace}, account: w.mainAccount,
			args: append(common, "--service-discovery", "--backend-names", "--region-id="+region),
		}),
		w.startOperator(t, operatorOptions{
			name: name + "-odd", namespaces: []string{hostileNamespace}, endpoint: w.slb.url(), account: w.slb.account, args: common,
		}),
	}
}

var timestamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// restore creates the objects with their statuses, whose times it shifts to now.
func (w *env) restore(t *testing.T) []*v1alpha1.LoadBalancerHealth {
	t.Helper()
	shift := time.Now().Truncate(time.Second).Sub(storedAt)
	content := readFile(t, filepath.Join("testdata", "upgrade", "before.jsonl"))
	var restored []*v1alpha1.LoadBalancerHealth
	for _, object := range harness.ParseManifests(t, []byte(content)) {
		status, found := object.Object["status"]
		w.create(t, &object)
		if !found {
			continue
		}
		object.Object["status"] = shifted(t, status, shift)
		if err := w.admin.Status().Update(t.Context(), &object); err != nil {
			t.Fatalf("%s: %v", object.GetName(), err)
		}
		if object.GetKind() == v1alpha1.Kind {
			restored = append(restored, w.get(NewWithT(t), &v1alpha1.LoadBalancerHealth{
				ObjectMeta: metav1.ObjectMeta{Namespace: object.GetNamespace(), Name: object.GetName()},
			}))
		}
	}
	return restored
}

// shifted shifts every time of a status.
func shifted(t *testing.T, status any, by time.Duration) any {
	t.Helper()
	content, err := yaml.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	var moved any
	err = yaml.Unmarshal(timestamp.ReplaceAllFunc(content, func(text []byte) []byte {
		at, err := time.Parse(time.RFC3339, string(text))
		if err != nil {
			t.Fatal(err)
		}
		return []byte(at.Add(by).Format(time.RFC3339))
	}), &moved)
	if err != nil {
		t.Fatal(err)
	}
	return moved
}
