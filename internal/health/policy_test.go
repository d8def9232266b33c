// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func TestDefaultPolicy(t *testing.T) {
	want := policy{minHealthy: intstr.FromInt32(1), unavailable: v1alpha1.Unknown}
	for name, given := range map[string]*v1alpha1.HealthPolicy{
		"no healthPolicy":    nil,
		"empty healthPolicy": {},
	} {
		t.Run(name, func(t *testing.T) {
			if got := policyOf(&v1alpha1.LoadBalancerHealthSpec{HealthPolicy: given}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestMinHealthyIsACountOrAPercentageRoundedUp(t *testing.T) {
	for _, test := range []struct {
		minHealthy string
		backends   int32
		want       int
	}{
		{"0", 3, 0},
		{"1", 3, 1},
		{"5", 3, 5},
		{"2147483647", 3, 2147483647},
		{"0%", 3, 0},
		{"1%", 3, 1},
		{"1%", 100, 1},
		{"1%", 101, 2},
		{"7%", 100, 7},
		{"29%", 100, 29},
		{"33%", 3, 1},
		{"34%", 3, 2},
		{"50%", 1, 1},
		{"50%", 2, 1},
		{"50%", 3, 2},
		{"50%", 200, 100},
		{"99%", 3, 3},
		{"100%", 3, 3},
		{"100%", 200, 200},
		{"100%", 0, 0},
		{"half", 3, 1},
	} {
		t.Run(fmt.Sprintf("%s of %d", test.minHealthy, test.backends), func(t *testing.T) {
			p := policy{minHealthy: intstr.Parse(test.minHealthy)}
			if got := p.required(test.backends); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestVerdictOnCounts(t *testing.T) {
	const healthy, unhealthy, unknown = v1alpha1.Healthy, v1alpha1.Unhealthy, v1alpha1.Unknown
	for _, test := range []struct {
		minHealthy string
		n, a, u    int32
		undecided  v1alpha1.Health
		asNormal   v1alpha1.Health
		asAbnormal v1alpha1.Health
		what       string
	}{
		{"1", 3, 0, 0, healthy, healthy, healthy, "all are normal"},
		{"1", 1, 2, 0, healthy, healthy, healthy, "the minimum is normal"},
		{"1", 0, 3, 0, unhealthy, unhealthy, unhealthy, "all are abnormal"},
		{"1", 0, 0, 3, unknown, healthy, unhealthy, "none has a result"},
		{"1", 0, 2, 1, unknown, healthy, unhealthy, "one without a result could meet the minimum"},
		{"2", 1, 2, 1, unknown, healthy, unhealthy, "one without a result could just meet the minimum"},
		{"2", 1, 1, 0, unhealthy, unhealthy, unhealthy, "one is missing"},
		{"2", 0, 1, 1, unhealthy, unhealthy, unhealthy, "those without a result could not meet the minimum"},
		{"5", 0, 0, 2, unhealthy, unhealthy, unhealthy, "there are fewer than the minimum"},
		{"50%", 2, 1, 0, healthy, healthy, healthy, "two of three are half"},
		{"50%", 1, 2, 0, unhealthy, unhealthy, unhealthy, "one of three is less than half"},
		{"50%", 1, 1, 1, unknown, healthy, unhealthy, "one of three and one without a result"},
		{"100%", 3, 0, 0, healthy, healthy, healthy, "all of three"},
		{"100%", 2, 0, 1, unknown, healthy, unhealthy, "all but one without a result"},
		{"100%", 2, 1, 0, unhealthy, unhealthy, unhealthy, "all but one abnormal"},
		{"0", 0, 3, 0, healthy, healthy, healthy, "no backend is required"},
		{"0%", 0, 0, 3, healthy, healthy, healthy, "0% requires no backend"},
	} {
		t.Run(test.minHealthy+": "+test.what, func(t *testing.T) {
			counts := v1alpha1.Counts{Backends: test.n + test.a + test.u, Normal: test.n, Abnormal: test.a, Unavailable: test.u}
			for as, want := range map[v1alpha1.Health]v1alpha1.Health{
				v1alpha1.Unknown: test.undecided, v1alpha1.Healthy: test.asNormal, v1alpha1.Unhealthy: test.asAbnormal,
			} {
				p := policy{minHealthy: intstr.Parse(test.minHealthy), unavailable: as}
				if got := p.verdict(counts, 0); got != want {
					t.Errorf("unavailable: %s: got %s, want %s", as, got, want)
				}
			}
		})
	}
}

func TestBackendsWithoutAResultCountBothWays(t *testing.T) {
	for _, minHealthy := range []string{"0", "1", "2", "3", "7", "0%", "1%", "50%", "67%", "100%"} {
		p := policy{minHealthy: intstr.Parse(minHealthy), unavailable: v1alpha1.Unknown}
		for n := range int32(5) {
			for a := range int32(5) {
				for u := range int32(5) {
					counts := v1alpha1.Counts{Backends: n + a + u, Normal: n, Abnormal: a, Unavailable: u}
					want := verdictOfAllResults(minHealthy, counts)
					if got := p.verdict(counts, 0); got != want {
						t.Errorf("minHealthy %s, %+v: got %s, want %s", minHealthy, counts, got, want)
					}
				}
			}
		}
	}
}

// verdictOfAllResults tries every possible result of the backends
// without one.
func verdictOfAllResults(minHealthy string, c v1alpha1.Counts) v1alpha1.Health {
	var percent, required int32
	if n, _ := fmt.Sscanf(minHealthy, "%d%%", &percent); n == 1 && minHealthy[len(minHealthy)-1] == '%' {
		required = (percent*c.Backends + 99) / 100
	} else {
		required = percent
	}
	met, missed := false, false
	for becomeNormal := range c.Unavailable + 1 {
		if c.Normal+becomeNormal >= required {
			met = true
		} else {
			missed = true
		}
	}
	switch {
	case !missed:
		return v1alpha1.Healthy
	case !met:
		return v1alpha1.Unhealthy
	default:
		return v1alpha1.Unknown
	}
}

func TestLoadBalancerIsAsBadAsItsWorstListener(t *testing.T) {
	const healthy, unhealthy, unknown = v1alpha1.Healthy, v1alpha1.Unhealthy, v1alpha1.Unknown
	status := map[v1alpha1.Health]metav1.ConditionStatus{healthy: metav1.ConditionTrue, unhealthy: metav1.ConditionFalse, unknown: metav1.ConditionUnknown}
	for _, test := range []struct {
		listeners []v1alpha1.Health
		want      v1alpha1.Health
	}{
		{[]v1alpha1.Health{healthy, healthy}, healthy},
		{[]v1alpha1.Health{healthy, unknown}, unknown},
		{[]v1alpha1.Health{unknown, healthy}, unknown},
		{[]v1alpha1.Health{unknown, unhealthy, healthy}, unhealthy},
		{[]v1alpha1.Health{unhealthy, unknown, healthy}, unhealthy},
		{[]v1alpha1.Health{healthy, healthy, unhealthy}, unhealthy},
	} {
		t.Run(fmt.Sprint(test.listeners), func(t *testing.T) {
			var listeners []v1alpha1.ListenerStatus
			for _, health := range test.listeners {
				listeners = append(listeners, v1alpha1.ListenerStatus{Health: health, Counts: v1alpha1.Counts{Backends: 1}})
			}
			evaluated := newEvaluatedListeners(listeners, &listenerFacts{}, policy{minHealthy: intstr.FromInt32(1)})
			if got := evaluated.condition(&v1alpha1.ObservedTarget{}, summaryOf(listeners), ""); got.status != status[test.want] {
				t.Errorf("got %+v, want %s", got, test.want)
			}
		})
	}
}

func TestOnlyMinHealthyZeroIsMetWithoutBackends(t *testing.T) {
	for minHealthy, want := range map[string]bool{
		"0": true, "0%": true, "1": false, "1%": false, "50%": false, "100%": false,
	} {
		t.Run(minHealthy, func(t *testing.T) {
			if got := (policy{minHealthy: intstr.Parse(minHealthy)}).wantsNone(); got != want {
				t.Errorf("got %t, want %t", got, want)
			}
		})
	}
}
