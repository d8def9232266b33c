// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/metrics"
)

// cache is a client.Reader of a list.
type cache struct {
	objects []v1alpha1.LoadBalancerHealth
	err     error
}

func (c *cache) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*v1alpha1.LoadBalancerHealthList).Items = c.objects
	return c.err
}

func (c *cache) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("a scrape lists")
}

var elected = func() <-chan struct{} {
	closed := make(chan struct{})
	close(closed)
	return closed
}()

var observedAt = time.Unix(1_800_000_000, 0)

// web is an object that was observed.
func web() v1alpha1.LoadBalancerHealth {
	return v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web", UID: "web-1"},
		Spec:       v1alpha1.LoadBalancerHealthSpec{LoadBalancerID: "lb-1", RegionID: "cn-hangzhou"},
		Status: v1alpha1.LoadBalancerHealthStatus{
			ObservedTarget: &v1alpha1.ObservedTarget{LoadBalancerID: "lb-1", RegionID: "cn-hangzhou"},
			Conditions: []metav1.Condition{
				{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse},
				{Type: v1alpha1.ConditionHealthy, Status: metav1.ConditionTrue},
				{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue},
				{Type: "OfAnotherController", Status: metav1.ConditionTrue},
			},
			Listeners: []v1alpha1.ListenerStatus{
				{Port: 80, Counts: v1alpha1.Counts{Backends: 1, Unavailable: 1}},
				{Port: 443, Protocol: "https", Counts: v1alpha1.Counts{Backends: 5, Normal: 3, Abnormal: 2}},
			},
			LastObservedTime: &metav1.Time{Time: observedAt},
		},
	}
}

func newFleet(c *cache, observed time.Time) *metrics.Fleet {
	return metrics.New(metrics.Options{
		Reader: c, Elected: elected,
		LastObservedAt: func(*v1alpha1.LoadBalancerHealth) time.Time { return observed },
	})
}

func expect(t *testing.T, collector prometheus.Collector, name, help, kind, series string) {
	t.Helper()
	text := "# HELP " + name + " " + help + "\n# TYPE " + name + " " + kind + "\n" + strings.TrimSpace(series) + "\n"
	if series == "" {
		text = ""
	}
	if err := testutil.CollectAndCompare(collector, strings.NewReader(text), name); err != nil {
		t.Error(err)
	}
}

const (
	backendsHelp    = "Backends by listener, server group (empty for CLB) and health status, as last observed."
	conditionHelp   = "1 for the status that a condition has, 0 for the others. While absent, Stalled and Reconciling are False, the others Unknown; Registered has no series then."
	observedHelp    = "Time of the last successful observation, in Unix seconds."
	transitionsHelp = "Transitions of backends to a health status since the operator started."
)

func expectBackends(t *testing.T, f *metrics.Fleet, series string) {
	t.Helper()
	expect(t, f, "slb_health_backends", backendsHelp, "gauge", series)
}

func expectTransitions(t *testing.T, f *metrics.Fleet, series string) {
	t.Helper()
	expect(t, f, "slb_health_backend_transitions_total", transitionsHelp, "counter", series)
}

func TestMissingBackendsAndDisruptionsAreExportedWhereTheyAreKnown(t *testing.T) {
	const (
		missingHelp = "Backends that the cluster expects and the load balancer lacks. Absent where that is not known, and for objects without serviceRef or ingressRef."
		allowedHelp = "How many healthy backends may fail until the load balancer is not healthy. Absent while its health is unknown."
	)
	unknown, known := web(), web()
	unknown.Name, unknown.Status.Summary = "unknown", &v1alpha1.Summary{}
	known.Status.Summary = &v1alpha1.Summary{Missing: new(int32(3)), DisruptionsAllowed: new(int32(0))}
	f := newFleet(&cache{objects: []v1alpha1.LoadBalancerHealth{unknown, known}}, time.Time{})
	expect(t, f, "slb_health_missing_backends", missingHelp, "gauge", `slb_health_missing_backends{name="web",namespace="prod"} 3`)
	expect(t, f, "slb_health_disruptions_allowed", allowedHelp, "gauge", `slb_health_disruptions_allowed{name="web",namespace="prod"} 0`)
	f = newFleet(&cache{objects: []v1alpha1.LoadBalancerHealth{web()}}, time.Time{}) // without a summary
	expect(t, f, "slb_health_missing_backends", missingHelp, "gauge", "")
	expect(t, f, "slb_health_disruptions_allowed", allowedHelp, "gauge", "")
}

func TestRegisteredIsExportedWhereItIsPresent(t *testing.T) {
	ofService := web()
	ofService.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionRegistered, Status: metav1.ConditionFalse}}
	without := web()
	without.Name = "without"
	f := newFleet(&cache{objects: []v1alpha1.LoadBalancerHealth{ofService, without}}, time.Time{})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(f)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if labels["condition"] == v1alpha1.ConditionRegistered {
				got = append(got, fmt.Sprint(labels["name"], " ", labels["status"], " ", metric.GetGauge().GetValue()))
			}
		}
	}
	slices.Sort(got)
	if want := []string{"web False 1", "web True 0", "web Unknown 0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

const webBackends = `
slb_health_backends{listener_port="80",listener_protocol="",load_balancer_id="lb-1",name="web",namespace="prod",region="cn-hangzhou",server_group_id="",status="abnormal"} 0
slb_health_backends{listener_port="80",listener_protocol="",load_balancer_id="lb-1",name="web",namespace="prod",region="cn-hangzhou",server_group_id="",status="normal"} 0
slb_health_backends{listener_port="80",listener_protocol="",load_balancer_id="lb-1",name="web",namespace="prod",region="cn-hangzhou",server_group_id="",status="unavailable"} 1
slb_health_backends{listener_port="443",listener_protocol="https",load_balancer_id="lb-1",name="web",namespace="prod",region="cn-hangzhou",server_group_id="",status="abnormal"} 2
slb_health_backends{listener_port="443",listener_protocol="https",load_balancer_id="lb-1",name="web",namespace="prod",region="cn-hangzhou",server_group_id="",status="normal"} 3
slb_health_backends{listener_port="443",listener_protocol="https",load_balancer_id="lb-1",name="web",namespace="prod",region="cn-hangzhou",server_group_id="",status="unavailable"} 0
`

func TestBackendsAreCountedByListenerAndStatus(t *testing.T) {
	expectBackends(t, newFleet(&cache{objects: []v1alpha1.LoadBalancerHealth{web()}}, time.Time{}), webBackends)
}

func TestBackendsAreThoseOfTheObservedLoadBalancer(t *testing.T) {
	edited := web()
	edited.Spec.LoadBalancerID, edited.Spec.RegionID = "lb-2", "cn-shanghai"
	expectBackends(t, newFleet(&cache{objects: []v1alpha1.LoadBalancerHealth{edited}}, time.Time{}), webBackends)

	edited.Status.ObservedTarget, edited.Status.Listeners = nil, nil
	expectBackends(t, newFleet(&cache{objects: []v1alpha1.LoadBalancerHealth{edited}}, time.Time{}), "")
}

func TestEveryConditionHasOneStatus(t *testing.T) {
	expect(t, newFleet(&cache{objects: []v1alpha1.LoadBalancerHealth{web()}}, time.Time{}), "slb_health_condition", conditionHelp, "gauge", `
slb_health_condition{condition="Healthy",name="web",namespace="prod",status="False"} 0
slb_health_condition{condition="Healthy",name="web",namespace="prod",status="True"} 1
slb_health_condition{condition="Healthy",name="web",namespace="prod",status="Unknown"} 0
slb_health_condition{condition="Observed",name="web",namespace="prod",status="False"} 0
slb_health_condition{condition="Observed",name="web",namespace="prod",status="True"} 0
slb_health_condition{condition="Observed",name="web",namespace="prod",status="Unknown"} 1
slb_health_condition{condition="Ready",name="web",namespace="prod",status="False"} 1
slb_health_condition{condition="Ready",name="web",namespace="prod",status="True"} 0
slb_health_condition{condition="Ready",name="web",namespace="prod",status="Unknown"} 0
slb_health_condition{condition="Reconciling",name="web",namespace="prod",status="False"} 1
slb_health_condition{condition="Reconciling",name="web",namespace="prod",status="True"} 0
slb_health_condition{condition="Reconciling",name="web",namespace="prod",status="Unknown"} 0
slb_health_condition{condition="Stalled",name="web",namespace="prod",status="False"} 0
slb_health_condition{condition="Stalled",name="web",namespace="prod",status="True"} 1
slb_health_condition{condition="Stalled",name="web",namespace="prod",status="Unknown"} 0
`)
}

func TestLastObservationIsTheLaterOfStatusAndProcess(t *testing.T) {
	never := web()
	never.Status.LastObservedTime = nil
	for name, test := range map[string]struct {
		object   v1alpha1.LoadBalancerHealth
		observed time.Time
		series   string
	}{
		"never":              {never, time.Time{}, ""},
		"in the status only": {web(), time.Time{}, "1.8e+09"},
		"in the process":     {web(), observedAt.Add(90*time.Second + 250*time.Millisecond), "1.80000009025e+09"},
		"by another process": {web(), observedAt.Add(-time.Minute), "1.8e+09"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.series != "" {
				test.series = `slb_health_last_observation_timestamp_seconds{name="web",namespace="prod"} ` + test.series
			}
			expect(t, newFleet(&cache{objects: []v1alpha1.LoadBalancerHealth{test.object}}, test.observed),
				"slb_health_last_observation_timestamp_seconds", observedHelp, "gauge", test.series)
		})
	}
}

func TestTransitionsOfADeletedObjectAreRemoved(t *testing.T) {
	objects := &cache{objects: []v1alpha1.LoadBalancerHealth{web()}}
	fleet := newFleet(objects, time.Time{})
	object := web()
	fleet.BackendTransitioned(&object, v1alpha1.StatusAbnormal)
	fleet.BackendTransitioned(&object, v1alpha1.StatusAbnormal)
	fleet.BackendTransitioned(&object, v1alpha1.StatusNormal)
	counted := `
slb_health_backend_transitions_total{name="web",namespace="prod",to="abnormal"} 2
slb_health_backend_transitions_total{name="web",namespace="prod",to="normal"} 1
slb_health_backend_transitions_total{name="web",namespace="prod",to="unavailable"} 0
`
	expectTransitions(t, fleet, counted)
	expectTransitions(t, fleet, counted)

	objects.objects = nil
	expectTransitions(t, fleet, "")
	objects.objects = []v1alpha1.LoadBalancerHealth{web()}
	expectTransitions(t, fleet, noTransitions)
}

const noTransitions = `
slb_health_backend_transitions_total{name="web",namespace="prod",to="abnormal"} 0
slb_health_backend_transitions_total{name="web",namespace="prod",to="normal"} 0
slb_health_backend_transitions_total{name="web",namespace="prod",to="unavailable"} 0
`

func TestTransitionsOfARecreatedObjectStartAtZero(t *testing.T) {
	before, after := web(), web()
	after.UID = "web-2"
	objects := &cache{objects: []v1alpha1.LoadBalancerHealth{before}}
	fleet := newFleet(objects, time.Time{})
	fleet.BackendTransitioned(&before, v1alpha1.StatusAbnormal)
	objects.objects = []v1alpha1.LoadBalancerHealth{after} // between two scrapes
	expectTransitions(t, fleet, noTransitions)
}

func TestOnlyTheLeaderExportsObjects(t *testing.T) {
	elected := make(chan struct{})
	fleet := metrics.New(metrics.Options{
		Reader: &cache{objects: []v1alpha1.LoadBalancerHealth{web()}}, Elected: elected,
		LastObservedAt: func(*v1alpha1.LoadBalancerHealth) time.Time { return time.Time{} },
	})
	if n := testutil.CollectAndCount(fleet); n != ofTheProcess {
		t.Errorf("%d series before the election, not %d", n, ofTheProcess)
	}
	close(elected)
	if n := testutil.CollectAndCount(fleet); n <= ofTheProcess {
		t.Errorf("%d series after the election", n)
	}
}

func TestLagIsMeasuredInSeconds(t *testing.T) {
	fleet := newFleet(&cache{}, time.Time{})
	fleet.ObservationStarted(1500 * time.Millisecond)
	expect(t, fleet, "slb_health_observation_lag_seconds", "How late observations started against their due time.", "histogram", `
slb_health_observation_lag_seconds_bucket{le="0.01"} 0
slb_health_observation_lag_seconds_bucket{le="0.05"} 0
slb_health_observation_lag_seconds_bucket{le="0.1"} 0
slb_health_observation_lag_seconds_bucket{le="0.5"} 0
slb_health_observation_lag_seconds_bucket{le="1"} 0
slb_health_observation_lag_seconds_bucket{le="2.5"} 1
slb_health_observation_lag_seconds_bucket{le="5"} 1
slb_health_observation_lag_seconds_bucket{le="10"} 1
slb_health_observation_lag_seconds_bucket{le="30"} 1
slb_health_observation_lag_seconds_bucket{le="60"} 1
slb_health_observation_lag_seconds_bucket{le="300"} 1
slb_health_observation_lag_seconds_bucket{le="+Inf"} 1
slb_health_observation_lag_seconds_sum 1.5
slb_health_observation_lag_seconds_count 1
`)
}

func TestObservationsAreCountedByClass(t *testing.T) {
	fleet := newFleet(&cache{}, time.Time{})
	fleet.ObservationEnded("routine")
	fleet.ObservationEnded("fast")
	fleet.ObservationEnded("fast")
	expect(t, fleet, "slb_health_observations_total", "Observations since the operator started, by class: urgent, routine or fast.", "counter", `
slb_health_observations_total{class="fast"} 2
slb_health_observations_total{class="routine"} 1
slb_health_observations_total{class="urgent"} 0
`)
}

func TestFailedListIsAnErrorOfTheScrape(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newFleet(&cache{err: errors.New("not synced")}, time.Time{}))
	if _, err := registry.Gather(); err == nil || !strings.Contains(err.Error(), "not synced") {
		t.Errorf("gathered with %v", err)
	}
}

func TestNamesAndLabelsAreWellFormed(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	fleet := newFleet(&cache{objects: []v1alpha1.LoadBalancerHealth{web()}}, observedAt)
	registry.MustRegister(fleet)
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
	problems, err := testutil.CollectAndLint(fleet)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
