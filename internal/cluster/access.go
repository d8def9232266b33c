// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// listTimeout bounds one request of CanList.
const listTimeout = 10 * time.Second

// CanList lists one object of a kind in each of the namespaces, or in all when
// there are none, and returns the first error. An informer that is refused never
// syncs, and the manager starts nothing before it does.
func CanList(ctx context.Context, reader client.Reader, kind string, namespaces []string) error {
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, namespace := range namespaces {
		err := listOne(ctx, reader, kind, namespace)
		switch {
		case apierrors.IsForbidden(err):
			return fmt.Errorf("the operator may not list every %s: %w", kind, err)
		case err != nil:
			return fmt.Errorf("listing every %s: %w", kind, err)
		}
	}
	return nil
}

// mayList reports whether the operator may list a kind. If not, it logs what the
// operator does without. The cache retries after any other error.
func mayList(ctx context.Context, mgr ctrl.Manager, kind string, namespaces []string, without string) bool {
	err := CanList(ctx, mgr.GetAPIReader(), kind, namespaces)
	if apierrors.IsForbidden(err) {
		mgr.GetLogger().Info(without, "kind", kind, "reason", err.Error())
		return false
	}
	return true
}

func listOne(ctx context.Context, reader client.Reader, kind, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(groupVersionOf(kind).WithKind(kind + "List"))
	return reader.List(ctx, list, client.InNamespace(namespace), client.Limit(1))
}

func groupVersionOf(kind string) schema.GroupVersion {
	switch kind {
	case KindEndpointSlice:
		return discoveryv1.SchemeGroupVersion
	case KindNetworkPolicy, KindIngress:
		return networkingv1.SchemeGroupVersion
	default:
		return corev1.SchemeGroupVersion
	}
}
