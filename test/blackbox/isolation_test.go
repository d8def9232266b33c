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
	{"an account that hangs on every call delays no other", hangsAlone},
}

// hangsAlone gives one account more calls that hang than there are workers.
func hangsAlone(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, well, sick, workers, intervals = "apart", 4, 16, 8, 5
	w.createNamespace(t, namespace)
	w.startOperator(t, operatorOptions{
		name: "apart", namespaces: []string{namespace}, endpoint: w.simulator.URL, account: w.mainAccount,
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
	// The first of them hang: from now on the account is sick.
	w.await(t, patient[0], with(good("AllBackendsNormal"), states{"Observed": "False EndpointUnreachable"}))
	beside := w.lateness(t, healthy, intervals)
	t.Logf("calls come %s off their time on average, beside an account that hangs %s", without, beside)
	g.Expect(beside-without).To(BeNumerically("<", interval/10), "the other account is delayed")
}

// fleet creates objects of an account of their own.
func (w *env) fleet(t *testing.T, namespace, name string, size int) []*v1alpha1.LoadBalancerHealth {
	t.Helper()
	self := w.newAccount(name)
	w.simulator.setAccount(t, self)
	w.create(t, self.secret(namespace, name))
	objects := make([]*v1alpha1.LoadBalancerHealth, size)
	for i := range objects {
		id := fmt.Sprintf("lb-%s-%d", name, i)
		w.simulator.put(t, id, web("i-1", "10.6.0.1", "normal"))
		objects[i] = named(namespace, id, withSecret(name))
		w.create(t, objects[i])
	}
	return objects
}

// lateness is how far the gaps between the calls of the next intervals are off
// the interval, on average.
func (w *env) lateness(t *testing.T, objects []*v1alpha1.LoadBalancerHealth, intervals int) time.Duration {
	t.Helper()
	asked := map[string]int{}
	for _, object := range objects {
		id := object.Spec.LoadBalancerID
		asked[id] = len(w.simulator.calls(t, id))
	}
	var off time.Duration
	for id, before := range asked {
		calls := w.awaitCalls(t, id, before, intervals+1)[before:]
		for i := range intervals {
			off += (calls[i+1].Time.Sub(calls[i].Time) - interval).Abs()
		}
	}
	return off / time.Duration(len(objects)*intervals)
}
