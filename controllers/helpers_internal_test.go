// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

var (
	start         = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	testTarget    = alicloud.Target{RegionID: "cn-hangzhou", LoadBalancerID: "lb-1"}
	secretAccount = alicloud.Account{Namespace: "prod", Name: "slb-reader"}
)

// clock advances on request, and by a microsecond each time it is read: no two
// times are equal.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: start} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Microsecond)
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// newObject returns an object on testTarget that was observed in its only generation.
func newObject(edits ...func(*v1alpha1.LoadBalancerHealth)) v1alpha1.LoadBalancerHealth {
	object := v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web", UID: "uid-web", Generation: 1, ResourceVersion: "7"},
		Spec: v1alpha1.LoadBalancerHealthSpec{
			LoadBalancerID: testTarget.LoadBalancerID, RegionID: testTarget.RegionID, Interval: metav1.Duration{Duration: time.Minute},
		},
		Status: v1alpha1.LoadBalancerHealthStatus{
			ObservedGeneration: 1,
			ObservedTarget:     &v1alpha1.ObservedTarget{LoadBalancerID: testTarget.LoadBalancerID, RegionID: testTarget.RegionID},
			LastObservedTime:   &metav1.Time{Time: start},
		},
	}
	for _, edit := range edits {
		edit(&object)
	}
	return object
}

func every(interval time.Duration) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) { o.Spec.Interval.Duration = interval }
}

func onPort(port int32) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) { o.Spec.ListenerPort = &port }
}

func suspended(o *v1alpha1.LoadBalancerHealth) { o.Spec.Suspend = true }

func stalled(o *v1alpha1.LoadBalancerHealth) {
	o.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue}}
}

func edited(o *v1alpha1.LoadBalancerHealth) { o.Generation++ }

func requested(value string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.Annotations = map[string]string{v1alpha1.ObserveRequestedAtAnnotation: value}
	}
}

func observedAt(at time.Time) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) { o.Status.LastObservedTime = &metav1.Time{Time: at} }
}

// fakeAPI calls respond, and records the requests.
type fakeAPI struct {
	requests []alicloud.Request
	respond  func(alicloud.Request) (*alicloud.Observation, error)
}

func (f *fakeAPI) DescribeHealthStatus(_ context.Context, request alicloud.Request) (*alicloud.Observation, error) {
	f.requests = append(f.requests, request)
	return f.respond(request)
}

// fakeCluster is a client.Client and a StatusUpdater with a list of objects and a Secret.
type fakeCluster struct {
	client.Client
	objects  []v1alpha1.LoadBalancerHealth
	writes   int
	writeErr error
	// patches are the changes that the writes make, and versions the
	// resourceVersions that they name.
	patches, versions []string
	// hanging are namespaces where writes time out.
	hanging []string
	// conflicts is how many writes conflict before writeErr applies.
	conflicts int
	// live is the stored object; without a UID, the cache is up to date.
	live v1alpha1.LoadBalancerHealth

	secret *corev1.Secret
	getErr error
	gets   int
}

func (f *fakeCluster) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*v1alpha1.LoadBalancerHealthList).Items = f.objects
	return nil
}

func (f *fakeCluster) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	if live, ok := object.(*v1alpha1.LoadBalancerHealth); ok {
		if f.live.UID == "" {
			f.objects[0].DeepCopyInto(live)
			return nil
		}
		f.live.DeepCopyInto(live)
		return nil
	}
	f.gets++
	if f.getErr != nil {
		return f.getErr
	}
	if f.secret == nil || f.secret.Namespace != key.Namespace || f.secret.Name != key.Name {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
	}
	f.secret.DeepCopyInto(object.(*corev1.Secret))
	return nil
}

// UpdateStatus implements StatusUpdater.
func (f *fakeCluster) UpdateStatus(_ context.Context, object *v1alpha1.LoadBalancerHealth, next *v1alpha1.LoadBalancerHealthStatus) (string, error) {
	f.writes++
	f.versions = append(f.versions, object.ResourceVersion)
	patch, err := json.Marshal(statusPatch(&object.Status, next))
	if err != nil {
		return "", err
	}
	f.patches = append(f.patches, string(patch))
	if slices.Contains(f.hanging, object.Namespace) {
		return "", context.DeadlineExceeded
	}
	if f.conflicts > 0 {
		f.conflicts--
		return "", errConflict
	}
	return "", f.writeErr
}

var errConflict = apierrors.NewConflict(schema.GroupResource{Resource: "loadbalancerhealths"}, "web", errors.New("the object has been modified"))

type noMetrics struct{}

func (noMetrics) BackendTransitioned(*v1alpha1.LoadBalancerHealth, string) {}
func (noMetrics) ObservationStarted(time.Duration)                         {}
func (noMetrics) ObservationEnded(string)                                  {}

// recordedEvent is one call of a recorder.
type recordedEvent struct {
	regarding, related      *corev1.ObjectReference
	eventType, reason, note string
}

type fakeRecorder struct{ recorded []recordedEvent }

func (f *fakeRecorder) Eventf(regarding, related runtime.Object, eventType, reason, _, note string, args ...any) {
	if note != "%s" || len(args) != 1 {
		panic("the note is a format: " + note)
	}
	f.recorded = append(f.recorded, recordedEvent{
		regarding.(*corev1.ObjectReference), related.(*corev1.ObjectReference), eventType, reason, args[0].(string),
	})
}

// ownKeys is the operator's own identity.
type ownKeys struct{ refused int }

func (*ownKeys) Credentials(context.Context, alicloud.Account) (alicloud.Credentials, error) {
	return alicloud.Credentials{AccessKeyID: "own", AccessKeySecret: "own", Version: "own"}, nil
}

func (o *ownKeys) Refused(alicloud.Account, alicloud.Credentials) { o.refused++ }

func newReconciler(cluster *fakeCluster, api *fakeAPI, now *clock) (*Reconciler, *fakeRecorder) {
	recorder := &fakeRecorder{}
	r := &Reconciler{
		Reader:      cluster,
		Status:      &StatusWriter{Client: cluster, Live: cluster, Events: recorder, Metrics: noMetrics{}},
		API:         api,
		Credentials: &SecretCredentials{Reader: cluster, Own: &ownKeys{}, Now: now.Now},
		Limiter:     ratelimit.New(ratelimit.Options{QPS: 100, Burst: 100, Concurrency: 32}),
		Metrics:     noMetrics{},
		Options:     health.Options{MaxBackends: 500, Heartbeat: 5 * time.Minute},
		Now:         now.Now,
	}
	r.begin.Do(func() { r.startedAt = start })
	return r, recorder
}

func newServiceReconciler(cluster interface {
	client.Client
	StatusUpdater
}, now *clock) (*ServiceReconciler, *fakeRecorder) {
	recorder := &fakeRecorder{}
	return &ServiceReconciler{
		Client:  cluster,
		Live:    cluster,
		Status:  &StatusWriter{Client: cluster, Live: cluster, Events: recorder, Metrics: noMetrics{}},
		Events:  recorder,
		Options: health.Options{MaxBackends: 500, Heartbeat: 5 * time.Minute},
		Now:     now.Now,
	}, recorder
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, not %v", what, got, want)
	}
}
