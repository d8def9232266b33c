// SPDX-License-Identifier: Apache-2.0

package health

import (
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Options are the operator's settings that decide what is written.
type Options struct {
	// MaxBackends bounds status.backends.
	MaxBackends int
	// Heartbeat is how old lastObservedTime gets at most while answers come in.
	Heartbeat time.Duration
	// Fit leaves out of a status what cannot be stored, in copies of what the
	// status shares; nil: all can.
	Fit func(*v1alpha1.LoadBalancerHealthStatus)
}

// Input is what this process knows of a load balancer. At most one of
// Sample and Failure is set; neither means that nothing was asked since.
type Input struct {
	// Observation is the answer, covering what the object asks about.
	Observation *alicloud.Observation
	// Places are where the backends of Observation run; nil: nobody looked.
	Places Places
	// Details are the load balancer's listeners as DescribeLoadBalancerListeners
	// last listed them, and newer than the last answer whose listeners changed;
	// nil: not known.
	Details *alicloud.ListenerDetails
	// DetailsLapsed tells that details were not read for so long that those
	// which the status holds do not count any more.
	DetailsLapsed bool
	// ServicePorts are the listeners that the Service of spec.serviceRef is
	// known to make; nil: not known.
	ServicePorts []ServicePort
	// Failure is why there is none.
	Failure *alicloud.Error
	// Since is when this process first looked at the load balancer.
	Since time.Time
	// AnsweredAt is when an answer last arrived in this process; zero: never.
	AnsweredAt time.Time
	// FailingSince is when the first of the failures in a row happened.
	FailingSince time.Time
	// SameKindInARow counts the failures in a row that were of Failure's kind,
	// and SameKindSince is when the first of them happened.
	SameKindInARow int
	SameKindSince  time.Time
	// ObserveRequest is the value of the request annotation that was there when
	// this observation started, and is not handled yet; "" for none.
	ObserveRequest string
}

// Outcome is what to do about one object.
type Outcome struct {
	// Status is the next status. It shares memory with the previous one:
	// read only.
	Status v1alpha1.LoadBalancerHealthStatus
	// Write tells whether Status differs from what is stored, or is a heartbeat.
	Write bool
	// Changes are the transitions to tell once Status is written.
	Transitions Transitions
	// StaleAt is when the verdict goes stale if no answer comes before; zero
	// when there is none that could.
	StaleAt time.Time
}
