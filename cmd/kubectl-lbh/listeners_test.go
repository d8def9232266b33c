// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// shop is an object with a listener in each state, and backends that are missing.
func shop() *v1alpha1.LoadBalancerHealth {
	o := object("shop", conditions("False", v1alpha1.ReasonBelowMinHealthy, "True", ""), "normal", "abnormal")
	o.Spec.HealthPolicy = &v1alpha1.HealthPolicy{MinHealthy: new(intstr.FromString("50%"))}
	at := func(ago time.Duration) *metav1.Time { return new(metav1.NewTime(noon.Add(-ago))) }
	o.Status.Listeners = []v1alpha1.ListenerStatus{
		{Port: 80, Protocol: "http", Health: v1alpha1.Healthy, State: v1alpha1.ListenerRunning, HealthCheck: v1alpha1.HealthCheckEnabled, Counts: v1alpha1.Counts{Backends: 2, Normal: 2}},
		{Port: 81, Health: v1alpha1.Unknown, State: v1alpha1.ListenerStopped, HealthCheck: v1alpha1.HealthCheckDisabled},
		{Port: 82, Protocol: "tcp", Health: v1alpha1.Unknown, MissingSince: at(time.Minute), LastTransitionTime: at(2 * time.Minute)},
		{Port: 443, Protocol: "https", Health: v1alpha1.Unhealthy, LastTransitionTime: at(4 * time.Minute), Counts: v1alpha1.Counts{Backends: 2, Normal: 1, Abnormal: 1}, Expected: new(int32(3)), Missing: 1},
	}
	o.Status.MissingBackends = []v1alpha1.MissingBackend{{
		ListenerPort: 443, ListenerProtocol: "https", ServerIP: "10.9.0.3", Port: 8080, Pod: "prod/shop-3", Node: "node-2", Since: *at(3 * time.Minute),
	}}
	return o
}

func TestListenerTable(t *testing.T) {
	t.Parallel()

	for _, c := range []struct {
		unhealthy, namespaces bool
		want                  string
	}{
		{false, true, `
NAMESPACE   NAME   PORT   PROTOCOL   STATE     HEALTH CHECK   HEALTH      SINCE   NORMAL   ABNORMAL   UNAVAILABLE   BACKENDS   EXPECTED   MISSING   MIN HEALTHY
prod        shop   443    https      -         -              Unhealthy   4m      1        1          0             2          3          1         2
prod        shop   81     -          Stopped   Disabled       Unknown     -       0        0          0             0          -          -         0
prod        shop   82     tcp        Missing   -              Unknown     60s     0        0          0             0          -          -         0
prod        shop   80     http       Running   Enabled        Healthy     -       2        0          0             2          -          -         1
prod        new    -      -          -         -              Pending     -       -        -          -             -          -          -         -
`},
		{true, false, `
NAME   PORT   PROTOCOL   STATE     HEALTH CHECK   HEALTH      SINCE   NORMAL   ABNORMAL   UNAVAILABLE   BACKENDS   EXPECTED   MISSING   MIN HEALTHY
shop   443    https      -         -              Unhealthy   4m      1        1          0             2          3          1         2
shop   81     -          Stopped   Disabled       Unknown     -       0        0          0             0          -          -         0
shop   82     tcp        Missing   -              Unknown     60s     0        0          0             0          -          -         0
new    -      -          -         -              Pending     -       -        -          -             -          -          -         -
`},
	} {
		o, out := newOptions()
		o.unhealthy = c.unhealthy
		if err := o.listenerTable(o.items([]v1alpha1.LoadBalancerHealth{*shop(), *object("new", nil)}), c.namespaces).write(out, false); err != nil {
			t.Fatal(err)
		}
		if got := "\n" + out.String(); got != c.want {
			t.Errorf("got%s\nwant%s", got, c.want)
		}
	}
}
