// SPDX-License-Identifier: Apache-2.0

// Package metrics exports the statuses of the LoadBalancerHealth objects to
// Prometheus. Series are read off the cache at each scrape, so none outlives
// its object.
package metrics

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// listTimeout bounds a scrape's read of the cache.
const listTimeout = 5 * time.Second

// Options configure a Fleet.
type Options struct {
	// Reader lists the objects from the cache.
	Reader client.Reader
	// LastAnswered is when an object's load balancer last answered in this
	// process; zero: never.
	LastAnswered func(object *v1alpha1.LoadBalancerHealth) time.Time
	// Elected is closed when this process leads: others export nothing, so
	// that no series is there twice.
	Elected <-chan struct{}
}

// Fleet is a prometheus.Collector over all objects in the cache, and counts
// what only passes by.
type Fleet struct {
	options Options
	lag     prometheus.Histogram

	mu    sync.Mutex
	turns map[client.ObjectKey]map[string]float64
}

var _ prometheus.Collector = (*Fleet)(nil)

// New returns a Fleet.
func New(options Options) *Fleet {
	return &Fleet{
		options: options,
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "slb_health_observation_lag_seconds",
			Help:    "How late observations started against their due time.",
			Buckets: []float64{0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300},
		}),
		turns: map[client.ObjectKey]map[string]float64{},
	}
}

var (
	backendsDesc = prometheus.NewDesc("slb_health_backends",
		"Backends by listener and health status, as last observed.",
		[]string{"namespace", "name", "load_balancer_id", "region", "listener_port", "listener_protocol", "status"}, nil)
	conditionDesc = prometheus.NewDesc("slb_health_condition",
		"1 for the status that a condition has, 0 for the others. While absent, Stalled and Reconciling are False, the others Unknown.",
		[]string{"namespace", "name", "condition", "status"}, nil)
	observedDesc = prometheus.NewDesc("slb_health_last_observation_timestamp_seconds",
		"When DescribeHealthStatus last answered, in Unix seconds.",
		[]string{"namespace", "name"}, nil)
	transitionsDesc = prometheus.NewDesc("slb_health_backend_transitions_total",
		"Backends that turned to a health status since the operator started.",
		[]string{"namespace", "name", "to"}, nil)
)

var (
	backendStatuses   = []string{v1alpha1.StatusNormal, v1alpha1.StatusAbnormal, v1alpha1.StatusUnavailable}
	conditionTypes    = []string{v1alpha1.ConditionReady, v1alpha1.ConditionHealthy, v1alpha1.ConditionObserved, v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling}
	conditionStatuses = []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown}
)

// BackendTurned counts a backend of an object that turned to a status.
func (f *Fleet) BackendTurned(object client.ObjectKey, to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.turns[object] == nil {
		f.turns[object] = map[string]float64{}
	}
	f.turns[object][to]++
}

// ObservationStarted takes how late an observation started.
func (f *Fleet) ObservationStarted(lag time.Duration) { f.lag.Observe(lag.Seconds()) }

// Describe implements prometheus.Collector.
func (f *Fleet) Describe(ch chan<- *prometheus.Desc) {
	f.lag.Describe(ch)
	for _, desc := range []*prometheus.Desc{backendsDesc, conditionDesc, observedDesc, transitionsDesc} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (f *Fleet) Collect(ch chan<- prometheus.Metric) {
	f.lag.Collect(ch)
	select {
	case <-f.options.Elected:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	var list v1alpha1.LoadBalancerHealthList
	if err := f.options.Reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		ch <- prometheus.NewInvalidMetric(conditionDesc, err)
		return
	}
	f.forgetDeleted(list.Items)
	for i := range list.Items {
		f.collectObject(ch, &list.Items[i])
	}
}

func (f *Fleet) collectObject(ch chan<- prometheus.Metric, object *v1alpha1.LoadBalancerHealth) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	namespace, name := object.Namespace, object.Name
	loadBalancerID, regionID, _ := object.LoadBalancer()
	if observed := object.Status.ObservedTarget; observed != nil {
		// After an edit, what is known is still of the load balancer before it.
		loadBalancerID, regionID = observed.LoadBalancerID, observed.RegionID
	}
	for i := range object.Status.Listeners {
		listener := &object.Status.Listeners[i]
		for s, n := range []int32{listener.Normal, listener.Abnormal, listener.Unavailable} {
			gauge(backendsDesc, float64(n), namespace, name, loadBalancerID, regionID,
				strconv.Itoa(int(listener.Port)), listener.Protocol, backendStatuses[s])
		}
	}
	for _, conditionType := range conditionTypes {
		has := metav1.ConditionFalse
		if condition := meta.FindStatusCondition(object.Status.Conditions, conditionType); condition != nil {
			has = condition.Status
		} else if conditionType != v1alpha1.ConditionStalled && conditionType != v1alpha1.ConditionReconciling {
			has = metav1.ConditionUnknown // not looked at yet
		}
		for _, status := range conditionStatuses {
			value := 0.0
			if status == has {
				value = 1
			}
			gauge(conditionDesc, value, namespace, name, conditionType, string(status))
		}
	}
	if at := f.lastObserved(object); !at.IsZero() {
		gauge(observedDesc, float64(at.UnixMilli())/1000, namespace, name)
	}
	for _, to := range backendStatuses {
		ch <- prometheus.MustNewConstMetric(transitionsDesc, prometheus.CounterValue,
			f.turned(client.ObjectKeyFromObject(object), to), namespace, name, to)
	}
}

// lastObserved is the later of what this process saw and what the status holds.
func (f *Fleet) lastObserved(object *v1alpha1.LoadBalancerHealth) time.Time {
	at := f.options.LastAnswered(object)
	if stored := object.Status.LastObservedTime; stored != nil && stored.After(at) {
		return stored.Time
	}
	return at
}

func (f *Fleet) turned(object client.ObjectKey, to string) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.turns[object][to]
}

func (f *Fleet) forgetDeleted(objects []v1alpha1.LoadBalancerHealth) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.turns) == 0 {
		return
	}
	live := make(map[client.ObjectKey]struct{}, len(objects))
	for i := range objects {
		live[client.ObjectKeyFromObject(&objects[i])] = struct{}{}
	}
	for object := range f.turns {
		if _, ok := live[object]; !ok {
			delete(f.turns, object)
		}
	}
}
