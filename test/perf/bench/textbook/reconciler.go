// SPDX-License-Identifier: Apache-2.0

// Package textbook is the reconciler of a typical tutorial. It exists only for
// comparison: the queue's key is the object, every object needs a call at every
// interval, every call a Status().Update, and RequeueAfter is the interval. It
// works: each worker uses its own SDK client, because clients must not be shared.
//
// reconciler.go has the reconciler, everything.go a reader that makes every call of every
// product in each interval, and calls.go its calls.
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
	// Read returns the health of the object's load balancer.
	Read func(*v1alpha1.LoadBalancerHealth) (*Health, error)
	// Concurrency is how many objects are reconciled at once.
	Concurrency int
}

// Health is what the API responded about one load balancer.
type Health struct {
	RequestID string
	Listeners int
	// Rows are the backends, without times.
	Rows []v1alpha1.BackendStatus
}

// Clients contains one SDK client for each worker.
type Clients chan *slb.Client

// SetupWithManager adds the controller. Without the predicate, every status write
// would enqueue the object again: tutorials include it.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.LoadBalancerHealth{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Concurrency}).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var object v1alpha1.LoadBalancerHealth
	if err := r.Get(ctx, request.NamespacedName, &object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	health, err := r.Read(&object)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("read the health of %s: %w", object.Spec.LoadBalancerID, err)
	}
	fill(&object, health)
	if err := r.Status().Update(ctx, &object); err != nil {
		return ctrl.Result{}, fmt.Errorf("update the status: %w", err)
	}
	return ctrl.Result{RequeueAfter: object.Spec.Interval.Duration}, nil
}

// Read makes one call of DescribeHealthStatus.
func (c Clients) Read(object *v1alpha1.LoadBalancerHealth) (*Health, error) {
	sdk := <-c
	defer func() { c <- sdk }()
	response, err := sdk.DescribeHealthStatus(healthRequest(object))
	if err != nil {
		return nil, err
	}
	return healthOf(response), nil
}

func healthRequest(object *v1alpha1.LoadBalancerHealth) *slb.DescribeHealthStatusRequest {
	request := slb.CreateDescribeHealthStatusRequest()
	request.RegionId = object.Spec.RegionID
	request.LoadBalancerId = object.Spec.LoadBalancerID
	return request
}

func healthOf(response *slb.DescribeHealthStatusResponse) *Health {
	health := &Health{RequestID: response.RequestId, Listeners: 1}
	health.Rows = make([]v1alpha1.BackendStatus, 0, len(response.BackendServers.BackendServer))
	for i := range response.BackendServers.BackendServer {
		server := &response.BackendServers.BackendServer[i]
		health.Rows = append(health.Rows, v1alpha1.BackendStatus{
			ServerID: server.ServerId, ServerIP: server.ServerIp, Type: server.Type, ListenerPort: int32(server.ListenerPort),
			ListenerProtocol: server.Protocol, Port: int32(server.Port), ServerHealthStatus: server.ServerHealthStatus,
		})
	}
	return health
}

// fill sets the status from what the API responded.
func fill(object *v1alpha1.LoadBalancerHealth, health *Health) {
	now := metav1.NewTime(time.Now())
	status := &object.Status
	known := make(map[string]v1alpha1.BackendStatus, len(status.Backends))
	for _, backend := range status.Backends {
		known[keyOf(backend)] = backend
	}
	var counts v1alpha1.Counts
	for i := range health.Rows {
		row := &health.Rows[i]
		row.LastTransitionTime = now
		if old, ok := known[keyOf(*row)]; ok && old.ServerHealthStatus == row.ServerHealthStatus {
			row.LastTransitionTime = old.LastTransitionTime
		}
		count(&counts, row.ServerHealthStatus)
	}
	status.ObservedGeneration = object.Generation
	status.Backends, status.Summary = health.Rows, &v1alpha1.Summary{Listeners: int32(health.Listeners), Counts: counts}
	status.LastObservedTime, status.LastRequestID = &now, health.RequestID
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
	return fmt.Sprintf("%s/%s/%d/%d/%s", b.ServerID, b.ServerIP, b.ListenerPort, b.Port, b.ServerGroupID)
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
