// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// informerWorker is the limit of memory: the objects in a typed cache without
// managedFields, as the operator has them, and nothing else.
func informerWorker(ctx context.Context, o workerOptions, _ io.Writer) error {
	config, err := o.restConfig()
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	c, err := cache.New(config, cache.Options{Scheme: scheme, DefaultTransform: cache.TransformStripManagedFields()})
	if err != nil {
		return err
	}
	if _, err := c.GetInformer(ctx, &v1alpha1.LoadBalancerHealth{}, cache.BlockUntilSynced(false)); err != nil {
		return err
	}
	return c.Start(ctx)
}
