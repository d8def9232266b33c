// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// ingressIndex finds the objects that reference an Ingress.
const ingressIndex = "ingress"

// IngressReconciler writes the ALB instance of an Ingress into
// status.ingressLoadBalancer of the objects that reference the Ingress. It does not
// observe.
type IngressReconciler struct {
	// Client reads from the cache.
	Client client.Client
	// Ingresses reads Ingresses; nil: without --service-discovery. Then, and without the
	// permission, the objects that reference an Ingress report it.
	Ingresses *cluster.Ingresses
	// AlbConfigs reads those of Ingresses without a host name.
	AlbConfigs *cluster.AlbConfigs
	// Status writes the objects' statuses.
	Status *StatusWriter
	// RegionID is the region of an ALB that only an AlbConfig names; "": that of the nodes.
	RegionID string
	// Schema knows which fields the CustomResourceDefinition lacks; nil: none.
	Schema *Schema
	// Options decide what is written.
	Options health.Options
	// Now is the clock.
	Now func() time.Time

	references referenceStates
}

// SetupWithManager adds the controller to a manager. Ingresses is set up before it, and a
// ServiceReconciler has the nodes in the cache.
func (i *IngressReconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := indexReferences(ctx, mgr, ingressIndex, v1alpha1.ReferenceIngress); err != nil {
		return err
	}
	b := builder.ControllerManagedBy(mgr).
		Named("ingress").
		Watches(&v1alpha1.LoadBalancerHealth{}, handler.EnqueueRequestsFromMapFunc(ingressOf), builder.WithPredicates(needsReconcile())).
		WithOptions(referenceOptions())
	if i.Ingresses.Reads() {
		b = b.Watches(&networkingv1.Ingress{}, &handler.EnqueueRequestForObject{})
	}
	return b.Complete(i)
}

// ingressOf returns the Ingress that an object references.
func ingressOf(_ context.Context, object client.Object) []reconcile.Request {
	if ingress := object.(*v1alpha1.LoadBalancerHealth).Spec.IngressRef; ingress != nil {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: ingress.Name}}}
	}
	return nil
}

// Reconcile implements reconcile.Reconciler.
func (i *IngressReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	d := &referenceDiscovery{client: i.Client, status: i.Status, index: ingressIndex, states: &i.references, options: i.Options, now: i.Now}
	result, err := d.reconcile(ctx, request.NamespacedName, func() (health.Discovery, error) { return i.discover(ctx, request.NamespacedName) })
	return result, unlessStopping(ctx, err)
}

// discover finds the ALB instance of an Ingress, or says why it has none.
func (i *IngressReconciler) discover(ctx context.Context, key types.NamespacedName) (health.Discovery, error) {
	refuse := func(message string) health.Discovery {
		return health.Discovery{Failure: &alicloud.Error{Kind: alicloud.InvalidRequest, Local: true, Message: message}}
	}
	switch {
	case i.Ingresses == nil:
		return refuse("spec.ingressRef needs an operator that runs with --service-discovery: set the flag, or replace spec.ingressRef by loadBalancerId and regionId"), nil
	case !i.Ingresses.Reads():
		return refuse("spec.ingressRef needs the permission to read Ingresses: apply config/service-discovery or upgrade the chart, and restart the operator"), nil
	case i.Schema.Lacks(fieldIngressLoadBalancer):
		return refuse(outdatedFor(fieldIngressLoadBalancer)), nil
	}
	ingress, err := i.Ingresses.Get(ctx, key)
	if err != nil {
		return health.Discovery{}, fmt.Errorf("reading Ingress %s: %w", key, err)
	}
	if ingress == nil {
		return health.Discovery{Failure: &alicloud.Error{Kind: alicloud.LoadBalancerNotFound, Message: fmt.Sprintf("Ingress %s does not exist: create it, or correct spec.ingressRef.name", key)}}, nil
	}
	var config cluster.AlbConfig
	var regions []string
	if !cluster.HasAddress(ingress) {
		if config, err = i.albConfig(ctx, ingress); err != nil {
			return health.Discovery{}, err
		}
		if regions, err = regionsOf(ctx, i.Client, i.RegionID); err != nil {
			return health.Discovery{}, fmt.Errorf("the region of Ingress %s: %w", key, err)
		}
	}
	return cluster.IngressLoadBalancer(ingress, config, regions), nil
}

// albConfig reads the AlbConfig of an Ingress past the cache.
func (i *IngressReconciler) albConfig(ctx context.Context, ingress *networkingv1.Ingress) (cluster.AlbConfig, error) {
	ctx, cancel := context.WithTimeout(ctx, kubernetesTimeout)
	defer cancel()
	return i.AlbConfigs.Of(ctx, ingress)
}
