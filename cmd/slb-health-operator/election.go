// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// defaultElectionID names the Lease of an operator without a shard.
const defaultElectionID = "slb-health-operator.lbhealth.dev"

// electionID names the Lease of the replicas of one shard: operators of different
// shards in one namespace must not wait for each other.
func electionID(namespaces []string, selector labels.Selector) string {
	requirements, _ := selector.Requirements()
	if len(namespaces) == 0 && len(requirements) == 0 {
		return defaultElectionID
	}
	shard := strings.Join(distinct(namespaces), ",") + "\n" + canonical(requirements)
	sum := sha256.Sum256([]byte(shard))
	return defaultElectionID + "-" + hex.EncodeToString(sum[:6])
}

// canonical returns the same text for equal selectors: shard=a, shard==a and
// shard in (a) select the same objects.
func canonical(requirements labels.Requirements) string {
	terms := make([]string, 0, len(requirements))
	for i := range requirements {
		r := &requirements[i]
		operator := r.Operator()
		switch operator {
		case selection.Equals, selection.DoubleEquals:
			operator = selection.In
		case selection.NotEquals:
			operator = selection.NotIn
		default:
		}
		terms = append(terms, fmt.Sprintf("%s %s (%s)", r.Key(), operator, strings.Join(distinct(r.Values().UnsortedList()), ",")))
	}
	return strings.Join(distinct(terms), ",")
}

func distinct(words []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(words)))
}
