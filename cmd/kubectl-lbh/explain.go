// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// defaultHost is the API server that cli-runtime uses without a kubeconfig.
const defaultHost = "http://localhost:8080"

// explain adds a remedy to an error of the API server. role is the ClusterRole
// with the permission for the request.
func (c *client) explain(err error, role string) error {
	var unreachable *url.Error
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return err
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w: request a %s to the ClusterRole %s", err, c.binding(), role)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the API server does not accept the credentials: log in again, or check the user of the context: %w", err)
	case apierrors.IsNotFound(err) && (nameIn(err) == "" || apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)):
		return fmt.Errorf("this cluster does not know LoadBalancerHealth: install slb-health-operator first: %w", err)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("there is no LoadBalancerHealth %s in namespace %s: kubectl lbh -A shows those of all namespaces", nameIn(err), c.namespace)
	case errors.As(err, &unreachable) && c.host == defaultHost:
		return fmt.Errorf("%s, the default without a kubeconfig, is unreachable: %w: set KUBECONFIG, or write --kubeconfig FILE", c.host, unreachable.Err)
	case errors.As(err, &unreachable):
		return fmt.Errorf("the API server %s is unreachable: %w: check the network, and --kubeconfig, --context and --server", c.host, unreachable.Err)
	default:
		return err
	}
}

// binding is the kind of binding that grants the missing permission.
func (c *client) binding() string {
	if c.namespace == "" {
		return "ClusterRoleBinding"
	}
	return "RoleBinding in namespace " + c.namespace
}

// nameIn is the name of the object in a NotFound error.
func nameIn(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		return status.Status().Details.Name
	}
	return ""
}
