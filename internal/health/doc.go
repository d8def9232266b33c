// SPDX-License-Identifier: Apache-2.0

// Package health holds the rules: given an object as it is stored, what came
// of the last observation, and the time, it decides the next status and what
// changed. It reads no clock, calls nobody and logs nothing, so every rule is
// a table test.
//
//	policy.go     counts to verdict
//	rows.go       an answer's rows to sorted, bounded status rows
//	size.go       how many rows fit into an object
//	place.go      where a backend runs, and what the cluster says of it
//	changes.go    which backends and conditions turned
//	conditions.go the condition list
//	messages.go   the words
//	observation.go what is decided from, and what is decided
//	evaluate.go   all of the above for one object
//	target.go     which load balancer an object is about
//	service.go    the load balancer of a Service that an object names
//	clock.go      answers that a clock which ran ahead has stamped
//	equal.go      whether two statuses say the same
//	schedule.go   when to ask next
package health
