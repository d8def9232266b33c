// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

// A figure is one number of both subjects, with its goal.
type figure struct {
	key, name          string
	goal               float64
	moreIsBetter       bool
	operator, textbook float64
}

// figures are in the order of the report.
func figures(r *results) []figure {
	s, bytes := &r.Storms, func(t *trial) float64 { return float64(t.Steady.RSS) }
	return []figure{
		{key: "callsPerInterval", name: "API calls per load balancer and interval, with 10 objects on it", goal: 1,
			operator: r.Shared.Operator.Steady.CallsPerInterval, textbook: r.Shared.Textbook.Steady.CallsPerInterval},
		{key: "steadyWrites", name: "status writes per observation while nothing changes", goal: 0,
			operator: r.Large.Operator.Steady.WritesPerObservation, textbook: r.Large.Textbook.Steady.WritesPerObservation},
		{key: "stormVsLimit", name: "status writes per second when everything changes, relative to bare writes", goal: 0.9, moreIsBetter: true,
			operator: s.relative(operatorOf, limitOf), textbook: s.relative(textbookOf, limitOf)},
		{key: "statusDelayP99VsPatch", name: "99th percentile from the API's response to the stored status, relative to a bare write", goal: 1.5,
			operator: s.Delays.Operator.P99 / s.Delays.Limit.P99, textbook: s.Delays.Textbook.P99 / s.Delays.Limit.P99},
		{key: "cpuVsSdkCall", name: "CPU per observation while nothing changes, relative to a bare SDK call", goal: 1.3,
			operator: r.Large.Operator.Steady.CPUPerObservation / r.Call.CPUPerObservation,
			textbook: r.Large.Textbook.Steady.CPUPerObservation / r.Call.CPUPerObservation},
		{key: "rssVsInformer", name: "memory, relative to a bare informer", goal: 1.5,
			operator: bytes(&r.Large.Operator) / float64(r.Informer.RSS), textbook: bytes(&r.Large.Textbook) / float64(r.Informer.RSS)},
		{key: "cpuGrowth", name: "growth of CPU at ten times the load balancers", goal: 10.5,
			operator: r.Large.Operator.Steady.Cores / r.Small.Operator.Steady.Cores,
			textbook: r.Large.Textbook.Steady.Cores / r.Small.Textbook.Steady.Cores},
		{key: "rssGrowth", name: "growth of memory at ten times the load balancers", goal: 10.5,
			operator: bytes(&r.Large.Operator) / bytes(&r.Small.Operator), textbook: bytes(&r.Large.Textbook) / bytes(&r.Small.Textbook)},
	}
}

// tolerance is for calls just outside a window of measurement: half a percent.
const tolerance = 0.005

// met reports whether a value reaches the goal.
func (f figure) met(value float64) bool {
	if f.moreIsBetter {
		return value >= f.goal-tolerance
	}
	return value <= f.goal+tolerance
}

// goalText is the goal with its direction.
func (f figure) goalText() string {
	switch {
	case f.moreIsBetter:
		return fmt.Sprintf("≥ %.2f", f.goal)
	case f.goal == 0 || f.goal == 1:
		return fmt.Sprintf("%.2f", f.goal)
	default:
		return fmt.Sprintf("≤ %.2f", f.goal)
	}
}

// factor is how many times better the operator is than the textbook; 0 where it
// would be infinite.
func (f figure) factor() float64 {
	operator, textbook := f.operator, f.textbook
	if f.moreIsBetter {
		operator, textbook = textbook, operator
	}
	if operator == 0 {
		return 0
	}
	return textbook / operator
}
