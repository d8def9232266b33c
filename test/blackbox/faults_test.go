// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"slices"
	"sync"
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// faultCase is one line of docs/reliability.md, and what proves it.
type faultCase struct {
	// name is that of the test.
	name string
	// reason is that of Observed while the fault goes on; "": it stays True.
	reason string
	// message is that of Observed meanwhile. Words in capitals stand for what differs.
	message string
	prove   func(t *testing.T, a *faultEnv, o faultCase)
}

func faultCases() []faultCase {
	return slices.Concat(answerFaultCases, endpointFaultCases(), credentialFaultCases, cloudFaultCases, apiServerFaultCases, killFaultCases, storageFaultCases)
}

// faultEnv is an env where everything that is ever stored is recorded.
type faultEnv struct {
	*env
	recorder *recorder
	// storage is an env whose control plane is there to be broken, by one
	// test after another.
	storage *faultEnv
	turn    sync.Mutex
	etcd    *harness.Relay // before the etcd of that one
}

const faultsNamespace = "faults"

// TestFaults is the table of docs/reliability.md. Every fault has a load
// balancer of its own, and all are met at the same time.
func TestFaults(t *testing.T) {
	a := newFaultEnv(t, harness.ControlPlaneOptions{})
	a.storage = newBreakableEnv(t)
	a.createNamespace(t, faultsNamespace)
	a.main = a.startOperator(t, operatorOptions{
		name: "faults", namespaces: []string{faultsNamespace}, endpoint: a.slb.url(), account: a.slb.account, args: briefly(),
	})
	for _, o := range faultCases() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			o.prove(t, a, o)
		})
	}
}

// newFaultEnv checks at the end what must be true of all that its programs put out.
func newFaultEnv(t *testing.T, options harness.ControlPlaneOptions) *faultEnv {
	t.Helper()
	a := &faultEnv{env: newEnv(t, envOptions{plane: options})}
	a.recorder = a.record(t)
	t.Cleanup(func() {
		for _, complaint := range a.slb.complaints {
			t.Error(complaint)
		}
		a.searchSecrets(t)
		behaves(t, a.env)
	})
	return a
}

// briefly are the arguments of an operator that is up to a matrix of faults:
// no heartbeats, which would be statuses beside those that a fault makes, and
// no log of the wire, which would be gigabytes.
func briefly(more ...string) []string {
	return append([]string{
		"--slb-timeout=" + mainTimeout.String(), "--slb-qps=100", "--slb-burst=100", "--status-heartbeat=1h", "--zap-log-level=debug",
	}, more...)
}
