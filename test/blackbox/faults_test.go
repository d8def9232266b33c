// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"slices"
	"sync"
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// faultCase is a row of docs/reliability.md, and the test that proves it.
type faultCase struct {
	// name is the name of the test.
	name string
	// reason is the reason of Observed during the fault; "": Observed stays True.
	reason string
	// message is the message of Observed during the fault. Words in capitals stand for variable parts.
	message string
	prove   func(t *testing.T, a *faultEnv, o faultCase)
}

func faultCases() []faultCase {
	return slices.Concat(responseFaultCases, endpointFaultCases(), credentialFaultCases, cloudFaultCases, apiServerFaultCases, killFaultCases, storageFaultCases)
}

// faultEnv is an env with a recorder of everything that is stored.
type faultEnv struct {
	*env
	recorder *recorder
	// storage is a second env: its tests break the control plane, one at a time.
	storage   *faultEnv
	exclusive sync.Mutex
	etcd      *harness.Relay // between the API server and the etcd of the second env
}

const faultsNamespace = "faults"

// TestFaults proves the table of docs/reliability.md. Every fault has its own load balancer, and all run in parallel.
func TestFaults(t *testing.T) {
	a := newFaultEnv(t, harness.ControlPlaneOptions{})
	a.storage = newBreakableEnv(t)
	a.createNamespace(t, faultsNamespace)
	a.main = a.startOperator(t, a.options(faultsNamespace))
	for _, o := range faultCases() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			o.prove(t, a, o)
		})
	}
}

// newFaultEnv returns a faultEnv that checks the output of its programs after the tests.
func newFaultEnv(t *testing.T, options harness.ControlPlaneOptions) *faultEnv {
	t.Helper()
	a := &faultEnv{env: newEnv(t, envOptions{plane: options})}
	a.recorder = a.record(t)
	t.Cleanup(func() {
		for _, complaint := range a.slb.complaints {
			t.Error(complaint)
		}
		a.searchSecrets(t)
		noRaceOrPanic(t, a.env)
	})
	return a
}

// options configure an operator that writes no heartbeats, which would be statuses besides those of a fault, and that
// does not log HTTP requests, which would be gigabytes.
func (a *faultEnv) options(name string, args ...string) operatorOptions {
	args = append([]string{
		"--slb-timeout=" + mainTimeout.String(), "--slb-qps=100", "--slb-burst=100", "--status-heartbeat=1h", "--zap-log-level=debug",
	}, args...)
	return operatorOptions{name: name, endpoint: a.slb.url(), account: a.slb.account, args: args}
}
