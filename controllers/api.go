// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup"
)

// HealthAPI reads the health of a load balancer's backends in one call.
type HealthAPI interface {
	// DescribeHealthStatus returns an observation, an *alicloud.Error when the call
	// failed, or the context's error when the caller gave up.
	DescribeHealthStatus(ctx context.Context, request alicloud.Request) (*alicloud.Observation, error)
}

// ServerGroupsAPI reads the health of a load balancer's backends in several calls,
// each with a permit.
type ServerGroupsAPI interface {
	// Observe returns an observation, an *alicloud.Error when a call failed, the
	// error of permit, or the context's error when the caller gave up. The next
	// Observe with this state continues what did not end.
	Observe(ctx context.Context, request *servergroup.Request, state *servergroup.State, permit servergroup.Permit) (*alicloud.Observation, error)
}

// ListenersAPI lists the listeners of load balancers, with and without backends.
type ListenersAPI interface {
	// DescribeLoadBalancerListeners returns a list that has every load balancer of
	// the request, an *alicloud.Error when a call failed, or the context's error when
	// the caller gave up.
	DescribeLoadBalancerListeners(ctx context.Context, request alicloud.ListenersRequest) (*alicloud.ListenerList, error)
}

// CredentialSource finds the credentials of an account.
type CredentialSource interface {
	// Credentials returns an *alicloud.Error of kind CredentialsNotFound when the
	// account has no usable credentials, and another error when that is not known.
	Credentials(ctx context.Context, account alicloud.Account) (alicloud.Credentials, error)
	// Refused reports that the API refused these credentials, so that the next call
	// of Credentials reads them again.
	Refused(account alicloud.Account, credentials alicloud.Credentials)
}
