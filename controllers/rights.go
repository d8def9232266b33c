// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Kinds of Kubernetes' own that are read where somebody asked for it.
const (
	kindService = "Service"
	kindNode    = "Node"
	kindPod     = "Pod"
)

// mayList asks for one object of a kind, in each of the namespaces or with none
// in all, and returns the API server's refusal: without the right a cache never
// fills, and nothing starts. What else goes wrong is for the cache to try again.
func mayList(ctx context.Context, reader client.Reader, kind string, namespaces []string) error {
	ctx, cancel := context.WithTimeout(ctx, kubernetesTimeout)
	defer cancel()
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind + "List"))
	if len(namespaces) == 0 || kind == kindNode {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, namespace := range namespaces {
		if err := reader.List(ctx, list, client.InNamespace(namespace), client.Limit(1)); apierrors.IsForbidden(err) {
			return fmt.Errorf("the operator may not list every %s: %w", kind, err)
		}
	}
	return nil
}
