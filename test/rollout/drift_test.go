// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

const (
	// observed is the interval of every object.
	observed = 5 * time.Second
	// missingAfter is how long observations lack a backend until it is missing.
	missingAfter = 30 * time.Second
)

// driftApp is an app whose load balancer will lack backends.
type driftApp struct {
	*app
	operator *harness.Process
	metrics  string // address
}

// newDrift creates an app without pods. The suite accepts reports of missing backends
// in its namespace alone.
func (s *suite) newDrift(t *testing.T, options appOptions) *driftApp {
	t.Helper()
	requireGates(t)
	d := &driftApp{app: s.prepareApp(t, options), metrics: harness.FreeAddressFor(t)}
	s.drifting.Store(d.namespace, true)
	d.startOperator(t)
	return d
}

// newDeployedDrift creates an app with a Deployment whose pods all serve.
func (s *suite) newDeployedDrift(t *testing.T, options appOptions) *driftApp {
	t.Helper()
	d := s.newDrift(t, options)
	d.create(t, d.deployment("v1"))
	d.rolloutCompletes(t)
	d.awaitServing(t, replicasOf(d.app))
	d.awaitBackends(t, replicasOf(d.app))
	return d
}

// awaitBackends waits until an observation has so many backends behind each listener, all
// of them normal. One that was not observed before it is removed is absent since before that.
func (d *driftApp) awaitBackends(t *testing.T, number int) {
	t.Helper()
	d.awaitStatus(t, "an observation of every backend", func(s *v1alpha1.LoadBalancerHealthStatus) bool {
		return s.Summary != nil && int(s.Summary.Normal) == number*len(d.options.delays) && registeredOf(s).Status == metav1.ConditionTrue
	})
}

func (d *driftApp) startOperator(t *testing.T, args ...string) {
	t.Helper()
	d.operator = d.app.startOperator(t, append([]string{"--metrics-bind-address=" + d.metrics, "--metrics-secure=false"}, args...)...)
}

// object returns the LoadBalancerHealth as the API server has it.
func (a *app) object(t *testing.T, objectName string) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	object := &v1alpha1.LoadBalancerHealth{}
	if err := a.Client.Get(a.Ctx, client.ObjectKey{Namespace: a.namespace, Name: objectName}, object); err != nil {
		t.Fatal(err)
	}
	return object
}

// awaitStatus waits until the status of the app's object matches, and returns the object.
func (a *app) awaitStatus(t *testing.T, what string, matches func(*v1alpha1.LoadBalancerHealthStatus) bool) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	object := &v1alpha1.LoadBalancerHealth{}
	a.await(t, what, func() (bool, error) {
		err := a.cluster.Get(a.Ctx, client.ObjectKey{Namespace: a.namespace, Name: name}, object)
		return err == nil && matches(&object.Status), client.IgnoreNotFound(err)
	})
	return object
}

func (a *app) awaitRegistered(t *testing.T, status metav1.ConditionStatus) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	return a.awaitStatus(t, "Registered is "+string(status), func(s *v1alpha1.LoadBalancerHealthStatus) bool {
		return registeredOf(s).Status == status
	})
}

// registeredOf returns the condition Registered; the zero value if there is none.
func registeredOf(status *v1alpha1.LoadBalancerHealthStatus) metav1.Condition {
	if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionRegistered); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// findings are what the operator must report, in the form of rowOf and countOf.
type findings struct {
	missing, listeners []string
}

// rowOf is one backend that is missing.
func rowOf(b *v1alpha1.MissingBackend) string {
	return fmt.Sprintf("%d/%s %s %d pod=%s node=%s diagnosis=%s",
		b.ListenerPort, b.ListenerProtocol, cmp.Or(b.ServerID, b.ServerIP), b.Port, b.Pod, b.Node, b.Diagnosis)
}

// countOf is how many backends of a listener are missing; -1 expected: not determined.
func countOf(l *v1alpha1.ListenerStatus) string {
	expected := int32(-1)
	if l.Expected != nil {
		expected = *l.Expected
	}
	return fmt.Sprintf("%d/%s %d of %d", l.Port, l.Protocol, l.Missing, expected)
}

func findingsOf(status *v1alpha1.LoadBalancerHealthStatus) (f findings) {
	for i := range status.MissingBackends {
		f.missing = append(f.missing, rowOf(&status.MissingBackends[i]))
	}
	for i := range status.Listeners {
		f.listeners = append(f.listeners, countOf(&status.Listeners[i]))
	}
	return f
}

// isMissing waits until the operator reports backends that are missing since a time, and
// verifies everything that it reports.
func (d *driftApp) isMissing(t *testing.T, since time.Time, want findings) {
	t.Helper()
	slices.Sort(want.missing)
	object := d.awaitRegistered(t, metav1.ConditionFalse)
	status, c := &object.Status, registeredOf(&object.Status)
	if c.Reason != v1alpha1.ReasonBackendsMissing || c.ObservedGeneration != object.Generation {
		t.Errorf("Registered is %+v", c)
	}
	t.Logf("%s after %.0f s: %s", c.Reason, c.LastTransitionTime.Sub(since).Seconds(), c.Message)
	if got := findingsOf(status); !slices.Equal(got.missing, want.missing) || !slices.Equal(got.listeners, want.listeners) {
		t.Errorf("the status says\n%s\nnot\n%s", got, want)
	}
	if s := status.Summary; s.Missing == nil || int(*s.Missing) != len(want.missing) {
		t.Errorf("the summary is %+v", s)
	}
	d.isInTime(t, since, status)
	d.awaitEvents(t, v1alpha1.EventBackendsMissing, 1)
	d.awaitMetric(t, len(want.missing))
}

// isInTime verifies that the operator reported the backends within an interval after the
// grace period, and not before. Times in a status are in whole seconds.
func (d *driftApp) isInTime(t *testing.T, since time.Time, status *v1alpha1.LoadBalancerHealthStatus) {
	t.Helper()
	at, first := registeredOf(status).LastTransitionTime.Time, time.Now()
	for i := range status.MissingBackends {
		b := &status.MissingBackends[i]
		if b.Since.Add(time.Second).Before(since) || b.Since.After(at) {
			t.Errorf("%s is absent since %s, not after %s", rowOf(b), b.Since, since)
		}
		if b.Since.Time.Before(first) {
			first = b.Since.Time
		}
	}
	if found := first.Sub(since); found > observed+3*slack {
		t.Errorf("the first observation without them was after %s", found)
	}
	if grace := at.Sub(first); grace < missingAfter-time.Second || grace > missingAfter+observed+2*slack {
		t.Errorf("they were reported %s after the first observation without them", grace)
	}
}

// isRegistered waits until the operator reports that nothing is missing any more.
func (d *driftApp) isRegistered(t *testing.T, listeners ...string) {
	t.Helper()
	d.awaitStatus(t, "every backend is registered", func(s *v1alpha1.LoadBalancerHealthStatus) bool {
		got := findingsOf(s)
		return registeredOf(s).Reason == v1alpha1.ReasonAllRegistered && len(got.missing) == 0 && slices.Equal(got.listeners, listeners) &&
			s.Summary.Missing != nil && *s.Summary.Missing == 0
	})
	d.awaitEvents(t, v1alpha1.EventBackendsRegistered, 1)
	d.awaitEvents(t, v1alpha1.EventBackendsMissing, 1)
	d.awaitMetric(t, 0)
}

// awaitEvents waits until the app's object has so many events with a reason, and fails if it has more.
func (d *driftApp) awaitEvents(t *testing.T, reason string, number int) {
	t.Helper()
	d.await(t, fmt.Sprintf("%d events %s", number, reason), func() (bool, error) {
		found, err := d.events(d.cluster, reason)
		if err == nil && len(found) > number {
			t.Fatalf("there are the events %s", found)
		}
		return len(found) == number, err
	})
}

// events returns the notes of the events with a reason about the app's object.
func (a *app) events(reader client.Reader, reason string) (notes []string, err error) {
	list := &eventsv1.EventList{}
	err = reader.List(a.Ctx, list, client.InNamespace(a.namespace))
	for i := range list.Items {
		if e := &list.Items[i]; e.Reason == reason && e.Regarding.Name == name {
			notes = append(notes, e.Note)
		}
	}
	return notes, err
}

// awaitMetric waits until the operator exports how many backends are missing.
func (d *driftApp) awaitMetric(t *testing.T, missing int) {
	t.Helper()
	got := "no such metric"
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		series, err := harness.Scrape(ctx, d.metrics)
		value, found := series[fmt.Sprintf(`slb_health_missing_backends{name=%q,namespace=%q}`, name, d.namespace)]
		if found {
			got = fmt.Sprint(value)
		}
		return found && value == float64(missing), err
	})
	if err != nil {
		t.Fatalf("the metric of missing backends is %s, not %d: %v", got, missing, err)
	}
}

// reconcileService makes the cloud controller reconcile the Service, and returns when it has.
func (a *app) reconcileService(t *testing.T) {
	t.Helper()
	syncs := a.lb.Syncs()
	a.patchService(t, types.MergePatchType, fmt.Sprintf(`{"metadata":{"annotations":{"touched":%q}}}`, time.Now().Format(time.RFC3339Nano)))
	a.await(t, "another reconcile of the Service", func() (bool, error) { return a.lb.Syncs() > syncs, nil })
}

func (a *app) patchService(t *testing.T, kind types.PatchType, patch string) {
	t.Helper()
	if err := a.Client.Patch(a.Ctx, &corev1.Service{ObjectMeta: a.meta()}, client.RawPatch(kind, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// repair lets the cloud controller register everything.
func (a *app) repair(t *testing.T) {
	t.Helper()
	a.lb.Skip()
	a.lb.Pause(false)
	a.setCheck(t, standin.Always(standin.Normal))
	a.reconcileService(t)
}

// podRow is the row of a pod that is missing behind a listener.
func podRow(listener, port int32, pod *corev1.Pod, diagnosis v1alpha1.Diagnosis) string {
	return rowOf(&v1alpha1.MissingBackend{
		ListenerPort: listener, ListenerProtocol: "tcp", ServerIP: pod.Status.PodIP, Port: port,
		Pod: pod.Namespace + "/" + pod.Name, Node: pod.Spec.NodeName, Diagnosis: diagnosis,
	})
}

func (f findings) String() string {
	return strings.Join(append(slices.Clone(f.listeners), f.missing...), "\n")
}
