// SPDX-License-Identifier: Apache-2.0

package health

import (
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Options are the operator's settings that affect a status.
type Options struct {
	// MaxBackends bounds the number of rows in status.backends.
	MaxBackends int
	// Heartbeat is the greatest age of lastObservedTime while observations succeed.
	Heartbeat time.Duration
	// Fit removes from a status what the API server cannot store. It replaces
	// lists and pointers by copies and does not change them. nil: the API server
	// can store everything.
	Fit func(*v1alpha1.LoadBalancerHealthStatus)
}

// Input is what this process knows about a load balancer. At most one of
// Observation and Failure is set; neither is set before the first observation.
type Input struct {
	// Observation is the last observation, if it succeeded. It has at least the
	// backends in the object's scope.
	Observation *alicloud.Observation
	// Failure is the error of the last observation, if it failed.
	Failure *alicloud.Error
	// Locations are the nodes and pods of the backends of Observation; nil: not known.
	Locations Locations
	// Details are the load balancer's listeners as DescribeLoadBalancerListeners
	// lists them, if they are newer than the last observation whose listeners
	// changed; nil: not known.
	Details *alicloud.ListenerDetails
	// DetailsLapsed is true when the details in the status are too old to count.
	DetailsLapsed bool
	// ServicePorts are the listeners that the Service of spec.serviceRef
	// creates; nil: not known.
	ServicePorts []ServicePort
	// Expected is what the cluster expects, for an object with spec.serviceRef or
	// spec.ingressRef; nil: this process does not know yet, and the status keeps what it says.
	Expected *Expected
	// Absences are those of the last Outcome of the object in this process.
	Absences Absences
	// Since is when this process first reconciled the load balancer.
	Since time.Time
	// LastObservedAt is when an observation of this process last succeeded; zero: never.
	LastObservedAt time.Time
	// FailingSince is when the first of the current failures in a row happened.
	FailingSince time.Time
	// SameKindInARow counts the failures in a row of Failure's kind, and
	// SameKindSince is when the first of them happened.
	SameKindInARow int
	SameKindSince  time.Time
	// ObserveRequest is the value of the request annotation when this
	// observation started, if it was not handled yet; "" for none.
	ObserveRequest string
}

// Outcome is what to do about one object.
type Outcome struct {
	// Status is the next status. It shares lists and pointers with the previous
	// one: read only.
	Status v1alpha1.LoadBalancerHealthStatus
	// Write is whether Status differs from the stored status, or is a heartbeat.
	Write bool
	// Transitions are the events to record once Status is written.
	Transitions Transitions
	// Absences are for the Input of the next evaluation of the object.
	Absences Absences
	// StaleAt is when the verdict goes stale unless an observation succeeds
	// before; zero for no verdict.
	StaleAt time.Time
}
