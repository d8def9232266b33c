// SPDX-License-Identifier: Apache-2.0

// Package blackbox tests the built programs from outside. The operator runs against a real API server as a user with
// exactly the permissions of config/rbac. Over HTTPS it calls the built simulator, or a server of this package that
// sends invalid and hostile responses. The tests read what users can see: objects, events, metrics and output.
package blackbox

import (
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

func TestMain(m *testing.M) { harness.RunParallel(m, "64") }

// spec is a rule and the test that proves it.
type spec struct {
	rule  string
	check func(t *testing.T, w *env)
}

func TestBlackBox(t *testing.T) {
	w := newEnv(t, envOptions{})
	w.addSimulator(t)
	w.startGroupServers(t)
	for _, namespace := range []string{mainNamespace, hostileNamespace, groupsNamespace} {
		w.createNamespace(t, namespace)
	}
	w.main = w.startOperator(t, operatorOptions{
		name: mainNamespace, account: w.mainAccount,
		args: []string{"--slb-timeout=" + mainTimeout.String(), "--slb-qps=100", "--slb-burst=100"},
	})
	w.hostile = w.startOperator(t, operatorOptions{
		name: hostileNamespace, endpoint: w.slb.url(), account: w.slb.account,
		// A response with ten thousand rows needs seconds while all specs run in parallel.
		args: []string{"--slb-qps=100", "--slb-burst=200", "--slb-timeout=30s"},
	})
	w.groups.operator = w.startOperator(t, operatorOptions{
		name: groupsNamespace, endpoint: w.serveUnused(t).URL, account: w.groups.caller,
		args: append(w.groups.endpoints(), "--slb-qps=100", "--slb-burst=200", "--fast-interval=0"),
	})

	t.Run("specs", func(t *testing.T) {
		for _, specs := range [][]spec{
			lifeSpecs, economySpecs, restartSpecs, leaderSpecs, responseSpecs, codeSpecs, hostileSpecs,
			refusalSpecs, isolationSpecs, startSpecs, credentialSpecs, identitySpecs, flagSpecs, servingSpecs, tlsSpecs, endpointSpecs,
			groupSpecs, groupChangeSpecs, groupCallSpecs,
		} {
			for _, s := range specs {
				t.Run(s.rule, func(t *testing.T) {
					t.Parallel()
					s.check(t, w)
				})
			}
		}
	})

	w.main.stop(t)
	w.hostile.stop(t)
	w.groups.operator.stop(t)
	for _, s := range outputSpecs {
		t.Run(s.rule, func(t *testing.T) { s.check(t, w) })
	}
}
