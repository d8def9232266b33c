// SPDX-License-Identifier: Apache-2.0

// Package plugin tests `kubectl lbh` as a user runs it: kubectl finds the built
// plugin in PATH, in pipes and in a terminal, with a real API server, where the
// built operator observes the built simulator.
package plugin

import (
	"testing"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// specs mostly wait, so more of them run at once than there are processors.
func TestMain(m *testing.M) { harness.RunParallel(m, "32") }

// spec is a rule and its check, which has a namespace of its own.
type spec struct {
	rule  string
	check func(t *testing.T, s *fixture)
}

func TestPlugin(t *testing.T) {
	s := newSuite(t)
	for _, specs := range [][]spec{fleetSpecs, listingSpecs, outputSpecs, accessSpecs, waitSpecs, refreshSpecs, watchSpecs, terminalSpecs, completionSpecs, contextSpecs, gateSpecs} {
		for _, one := range specs {
			t.Run(one.rule, func(t *testing.T) {
				t.Parallel()
				one.check(t, s.newFixture(t))
			})
		}
	}
}
