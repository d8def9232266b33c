// SPDX-License-Identifier: Apache-2.0

// Package textbook is the reconciler of a typical tutorial. It exists only for
// comparison: the queue's key is the object, every object needs a call at every
// interval, every call a Status().Update, and RequeueAfter is the interval. It
// works: each worker uses its own SDK client, because clients must not be shared.
package textbook

import (
	"context"
	"fmt"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// Reconciler updates the status of one object.
type Reconciler struct {
	client.Client
	// Clients contains one SDK client for each worker.
	Clients chan *slb.Client
}

// SetupWithManager adds the controller. Without the predicate, every status write
// would enqueue the object again: tutorials include it.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.LoadBalancerHealth{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: cap(r.Clients)}).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var object v1alpha1.LoadBalancerHealth
	if err := r.Get(ctx, request.NamespacedName, &object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	response, err := r.describe(&object)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("describe the health of %s: %w", object.Spec.LoadBalancerID, err)
	}
	fill(&object, response)
	if err := r.Status().Update(ctx, &object); err != nil {
		return ctrl.Result{}, fmt.Errorf("update the status: %w", err)
	}
	return ctrl.Result{RequeueAfter: object.Spec.Interval.Duration}, nil
}

func (r *Reconciler) describe(object *v1alpha1.LoadBalancerHealth) (*slb.DescribeHealthStatusResponse, error) {
	sdk := <-r.Clients
	defer func() { r.Clients <- sdk }()
	request := slb.CreateDescribeHealthStatusRequest()
	request.RegionId = object.Spec.RegionID
	request.LoadBalancerId = object.Spec.LoadBalancerID
	return sdk.DescribeHealthStatus(request)
}

// fill sets the status from the response.
func fill(object *v1alpha1.LoadBalancerHealth, response *slb.DescribeHealthStatusResponse) {
	now := metav1.NewTime(time.Now())
	status := &object.Status
	known := make(map[string]v1alpha1.BackendStatus, len(status.Backends))
	for _, backend := range status.Backends {
		known[keyOf(backend)] = backend
	}
	var counts v1alpha1.Counts
	rows := make([]v1alpha1.BackendStatus, 0, len(response.BackendServers.BackendServer))
	for _, server := range response.BackendServers.BackendServer {
		row := v1alpha1.BackendStatus{
			ServerID: server.ServerId, ServerIP: server.ServerIp, Type: server.Type, ListenerPort: int32(server.ListenerPort),
			ListenerProtocol: server.Protocol, Port: int32(server.Port), ServerHealthStatus: server.ServerHealthStatus, LastTransitionTime: now,
		}
		if old, ok := known[keyOf(row)]; ok && old.ServerHealthStatus == row.ServerHealthStatus {
			row.LastTransitionTime = old.LastTransitionTime
		}
		rows = append(rows, row)
		count(&counts, row.ServerHealthStatus)
	}
	status.ObservedGeneration = object.Generation
	status.Backends, status.Summary = rows, &v1alpha1.Summary{Listeners: 1, Counts: counts}
	status.LastObservedTime, status.LastRequestID = &now, response.RequestId
	ready := metav1.Condition{
		Type: "Ready", Status: metav1.ConditionTrue, Reason: "MinHealthyMet", ObservedGeneration: object.Generation,
		Message: fmt.Sprintf("%d of %d backends are normal", counts.Normal, counts.Backends),
	}
	if counts.Normal == 0 {
		ready.Status, ready.Reason = metav1.ConditionFalse, "BelowMinHealthy"
	}
	meta.SetStatusCondition(&status.Conditions, ready)
}

func keyOf(b v1alpha1.BackendStatus) string {
	return fmt.Sprintf("%s/%s/%d/%d", b.ServerID, b.ServerIP, b.ListenerPort, b.Port)
}

func count(counts *v1alpha1.Counts, status string) {
	counts.Backends++
	switch status {
	case v1alpha1.StatusNormal:
		counts.Normal++
	case v1alpha1.StatusAbnormal:
		counts.Abnormal++
	default:
		counts.Unavailable++
	}
}
