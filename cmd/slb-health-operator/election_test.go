// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func electionIDOf(t *testing.T, args ...string) string {
	t.Helper()
	o, err := parseOptions(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return o.leaderElectionID
}

// A release with another name would lead at the same time as the one that it replaces.
func TestElectionIDIsStable(t *testing.T) {
	for args, want := range map[string]string{
		"": "slb-health-operator.lbhealth.dev",
		"--watch-namespace=a --watch-selector=shard=a": "slb-health-operator.lbhealth.dev-160afd481b0e",
	} {
		if got := electionIDOf(t, strings.Fields(args)...); got != want {
			t.Errorf("%q: %s, not %s", args, got, want)
		}
	}
}

func TestElectionIDDependsOnTheShard(t *testing.T) {
	shards := map[string]string{}
	for _, same := range [][][]string{
		{{}, {"--watch-selector="}},
		{{"--watch-namespace=a"}, {"--watch-namespace=a", "--watch-namespace=a"}},
		{{"--watch-namespace=a", "--watch-namespace=b"}, {"--watch-namespace=b", "--watch-namespace=a"}},
		{{"--watch-selector=s=a"}, {"--watch-selector=s==a"}, {"--watch-selector=s in (a)"}, {"--watch-selector= s = a "}},
		{{"--watch-selector=s!=a"}, {"--watch-selector=s notin (a)"}},
		{{"--watch-selector=s in (a,b),t"}, {"--watch-selector=t,s in (b,a)"}},
		{{"--watch-selector=s"}},
		{{"--watch-selector=!s"}},
		{{"--watch-selector=s=a", "--watch-namespace=a"}},
	} {
		want := electionIDOf(t, same[0]...)
		if problems := validation.IsDNS1123Subdomain(want); len(problems) > 0 {
			t.Errorf("%s is not a valid name of a Lease: %v", want, problems)
		}
		if other, found := shards[want]; found {
			t.Errorf("%v and %s share %s", same[0], other, want)
		}
		shards[want] = strings.Join(same[0], " ")
		for _, args := range same[1:] {
			if got := electionIDOf(t, args...); got != want {
				t.Errorf("%v: %s, but %v: %s", args, got, same[0], want)
			}
		}
	}
}

func TestElectionIDFlag(t *testing.T) {
	if got := electionIDOf(t, "--leader-election-id=mine", "--watch-selector=s=a"); got != "mine" {
		t.Errorf("%s, not mine", got)
	}
	for _, bad := range []string{"", "Not_A_Name", strings.Repeat("a", 300)} {
		_, err := parseOptions([]string{"--leader-election-id=" + bad}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "leader-election-id") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
