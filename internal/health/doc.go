// SPDX-License-Identifier: Apache-2.0

// Package health has the rules. From an object as it is stored, the last
// observation and the time, it decides the next status and its transitions. It
// has no clock, no client and no log, so every rule is a table test. Its
// functions mutate none of their arguments.
//
//	input.go       the input and the outcome of an evaluation
//	evaluate.go    the next status of one object
//	policy.go      the verdict on counts of backends
//	rows.go        the rows of an observation, sorted and bounded
//	size.go        how many rows fit into an object
//	location.go    the node or pod of a backend, and its diagnosis
//	listeners.go   which listeners exist, and their health
//	facts.go       what is known of listeners beside an observation
//	expected.go    what the cluster expects of a load balancer
//	diagnosis.go   why a backend is abnormal or missing
//	registered.go  which expected backends are missing
//	verdict.go     the verdict on a load balancer, and the disruptions that it allows
//	history.go     the last changes of the verdict
//	transitions.go which backends and conditions changed
//	conditions.go  the list of conditions
//	messages.go    their messages
//	stale.go       when a verdict is too old
//	clock.go       observation times in the future
//	equal.go       whether two statuses are equal
//	fit.go         fields that an older API server does not store
//	target.go      which load balancer an object observes
//	service.go     the load balancer of the Service that an object names
//	schedule.go    when to observe next
package health
