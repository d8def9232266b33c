// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var isolationSpecs = []spec{
	{"an account whose calls hang does not delay another account", hangsAlone},
}

// hangsAlone makes more calls of one account hang than the operator has workers.
func hangsAlone(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, well, sick, workers, intervals = "apart", 4, 16, 8, 5
	w.createNamespace(t, namespace)
	w.startOperator(t, operatorOptions{
		name: namespace, account: w.mainAccount,
		args: []string{fmt.Sprintf("--concurrency=%d", workers), "--slb-timeout=5s"},
	})
	healthy := w.fleet(t, namespace, "well", well)
	patient := w.fleet(t, namespace, "sick", sick)
	for _, object := range append(patient, healthy...) {
		w.await(t, object, good("AllBackendsNormal"))
	}

	without := w.lateness(t, healthy, intervals)
	for _, object := range patient {
		w.simulator.addFault(t, fault{Kind: "hang", LoadBalancerID: object.Spec.LoadBalancerID})
	}
	// From the first failure on, all calls of the account hang.
	w.await(t, patient[0], with(good("AllBackendsNormal"), states{"Observed": "False EndpointUnreachable"}))
	beside := w.lateness(t, healthy, intervals)
	t.Logf("calls differ by %s from their interval on average; while the calls of another account hang, by %s", without, beside)
	g.Expect(beside-without).To(BeNumerically("<", interval/10), "delay of the healthy account")
}

// fleet creates objects with a new account.
func (w *env) fleet(t *testing.T, namespace, name string, size int) []*v1alpha1.LoadBalancerHealth {
	t.Helper()
	w.create(t, w.addAccount(t, name).secret(namespace, name))
	objects := make([]*v1alpha1.LoadBalancerHealth, size)
	for i := range objects {
		id := fmt.Sprintf("lb-%s-%d", name, i)
		w.simulator.put(t, id, web("i-1", "10.6.0.1", "normal"))
		objects[i] = named(namespace, id, withSecret(name))
		w.create(t, objects[i])
	}
	return objects
}

// lateness returns the average difference between the interval and the times between the next calls.
func (w *env) lateness(t *testing.T, objects []*v1alpha1.LoadBalancerHealth, intervals int) time.Duration {
	t.Helper()
	before := map[string]int{}
	for _, object := range objects {
		id := object.Spec.LoadBalancerID
		before[id] = len(w.simulator.calls(t, id))
	}
	var off time.Duration
	for id, n := range before {
		calls := w.awaitCalls(t, id, n, intervals+1)[n:]
		for i := range intervals {
			off += (calls[i+1].Time.Sub(calls[i].Time) - interval).Abs()
		}
	}
	return off / time.Duration(len(objects)*intervals)
}
