// SPDX-License-Identifier: Apache-2.0

// Package blackbox holds the built programs to what users and their tools may
// rely on. The operator runs as a user of its own against a real API server,
// with the rights of config/rbac and no more, and asks over HTTPS the built
// simulator or a server of this package that answers as no simulator would. What is
// true is what kubectl, events, metrics and the output of the programs show.
package blackbox

import (
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

func TestMain(m *testing.M) { harness.RunParallel(m, "64") }

// spec is a rule and what proves it.
type spec struct {
	rule  string
	check func(t *testing.T, w *env)
}

func TestBlackBox(t *testing.T) {
	w := newEnv(t, envOptions{})
	w.addSimulator(t)
	for _, namespace := range []string{mainNamespace, hostileNamespace} {
		w.createNamespace(t, namespace)
	}
	w.main = w.startOperator(t, operatorOptions{
		name: "main", namespaces: []string{mainNamespace}, endpoint: w.simulator.URL, account: w.mainAccount,
		args: []string{"--slb-timeout=" + mainTimeout.String(), "--slb-qps=100", "--slb-burst=100"},
	})
	w.hostile = w.startOperator(t, operatorOptions{
		name: "hostile", namespaces: []string{hostileNamespace}, endpoint: w.slb.url(), account: w.slb.account,
		// An answer of ten thousand rows takes its time where everything runs at once.
		args: []string{"--slb-qps=100", "--slb-burst=200", "--slb-timeout=30s"},
	})

	t.Run("specs", func(t *testing.T) {
		for _, specs := range [][]spec{
			lifeSpecs, economySpecs, restartSpecs, leaderSpecs, answerSpecs, codeSpecs, hostileSpecs,
			refusalSpecs, isolationSpecs, startSpecs, credentialSpecs, identitySpecs, flagSpecs, servingSpecs, tlsSpecs, elsewhereSpecs,
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
	for _, s := range endSpecs {
		t.Run(s.rule, func(t *testing.T) { s.check(t, w) })
	}
}
