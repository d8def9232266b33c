// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
		if err := listOne(ctx, reader, kind, namespace); err != nil {
			return fmt.Errorf("the operator may not list every %s: %w", kind, err)
		}
	}
	return nil
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
	case KindNetworkPolicy:
		return networkingv1.SchemeGroupVersion
	default:
		return corev1.SchemeGroupVersion
	}
}
