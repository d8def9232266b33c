// SPDX-License-Identifier: Apache-2.0

// Package plugin holds `kubectl lbh` to what a person sees of it: the built
// plugin is run by the kubectl that finds it in PATH, in pipes and in a
// terminal, against a real API server where the built operator observes the
// built simulator.
package plugin

import (
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

func TestMain(m *testing.M) { harness.RunParallel(m, "32") }

// spec is a rule and what proves it, in a namespace of its own.
type spec struct {
	rule  string
	check func(t *testing.T, s *fixture)
}

func TestPlugin(t *testing.T) {
	w := newSuite(t)
	for _, specs := range [][]spec{fleetSpecs, outputSpecs, accessSpecs, waitSpecs, refreshSpecs, watchSpecs, terminalSpecs, completionSpecs} {
		for _, one := range specs {
			t.Run(one.rule, func(t *testing.T) {
				t.Parallel()
				one.check(t, w.newFixture(t))
			})
		}
	}
}
