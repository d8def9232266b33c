// SPDX-License-Identifier: Apache-2.0

// Package metrics exports the statuses of the LoadBalancerHealth objects to
// Prometheus. Each scrape reads the cache, so no series outlives its object.
package metrics

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	// listTimeout bounds a read of the cache.
	listTimeout = 5 * time.Second
	// minCounted is how many objects may have counters before Fleet deletes those
	// of deleted objects without a scrape.
	minCounted = 64
)

// Options configure a Fleet.
type Options struct {
	// Reader lists the objects from the cache.
	Reader client.Reader
	// LastObservedAt is when this process last observed the load balancer of an
	// object without a failure; zero: never.
	LastObservedAt func(object *v1alpha1.LoadBalancerHealth) time.Time
	// Elected is closed when this process leads. Only the leader exports the
	// objects, so that each series exists once.
	Elected <-chan struct{}
}

// Fleet is a prometheus.Collector over all objects in the cache. It also counts
// transitions and measures lags, which no status has.
type Fleet struct {
	options Options
	lag     prometheus.Histogram
	// observations counts by class.
	observations *prometheus.CounterVec

	mu sync.Mutex
	// transitions are counted by UID: an object that a user deletes and creates
	// again with the same name starts at 0.
	transitions map[types.UID]map[string]float64
	maxCounted  int
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
		observations: newObservations(),
		transitions:  map[types.UID]map[string]float64{},
		maxCounted:   minCounted,
	}
}

// newObservations returns the counter with every class, so that each has a first
// value and its increase can be computed.
func newObservations() *prometheus.CounterVec {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "slb_health_observations_total",
		Help: "Observations since the operator started, by class: urgent, routine or fast.",
	}, []string{"class"})
	for _, class := range []string{"urgent", "routine", "fast"} {
		counter.WithLabelValues(class)
	}
	return counter
}

// CRDOutdated exports whether the CustomResourceDefinition lacks fields that the
// operator writes. Every replica exports it: a standby may need the fields next.
func CRDOutdated(outdated func() bool) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "slb_health_crd_outdated",
		Help: "1 while the CustomResourceDefinition lacks fields that the operator writes, else 0.",
	}, func() float64 {
		if outdated() {
			return 1
		}
		return 0
	})
}

var (
	backendsDesc = prometheus.NewDesc("slb_health_backends",
		"Backends by listener, server group (empty for CLB) and health status, as last observed.",
		[]string{"namespace", "name", "load_balancer_id", "region", "listener_port", "listener_protocol", "server_group_id", "status"}, nil)
	conditionDesc = prometheus.NewDesc("slb_health_condition",
		"1 for the status that a condition has, 0 for the others. While absent, Stalled and Reconciling are False, the others Unknown; Registered has no series then.",
		[]string{"namespace", "name", "condition", "status"}, nil)
	infoDesc = prometheus.NewDesc("slb_health_info",
		"1, with the load balancer that was observed, its product, the Service that names it, and the reason of the condition Ready.",
		[]string{"namespace", "name", "load_balancer_id", "region", "product", "service", "reason"}, nil)
	listenerDesc = prometheus.NewDesc("slb_health_listener",
		"1, with the verdict on a listener or one of its server groups, its state, and whether it checks its backends' health. Empty is not known.",
		[]string{"namespace", "name", "listener_port", "listener_protocol", "server_group_id", "health", "state", "health_check"}, nil)
	missingDesc = prometheus.NewDesc("slb_health_missing_backends",
		"Backends that the cluster expects and the load balancer lacks. Absent where that is not known, and for objects without serviceRef or ingressRef.",
		[]string{"namespace", "name"}, nil)
	allowedDesc = prometheus.NewDesc("slb_health_disruptions_allowed",
		"How many healthy backends may fail until the load balancer is not healthy. Absent while its health is unknown.",
		[]string{"namespace", "name"}, nil)
	droppedDesc = prometheus.NewDesc("slb_health_dropped_series",
		"Series of an object that are omitted: its status repeats a listener and server group, or has text that is not UTF-8. Absent while there are none.",
		[]string{"namespace", "name"}, nil)
	observedDesc = prometheus.NewDesc("slb_health_last_observation_timestamp_seconds",
		"Time of the last successful observation, in Unix seconds.",
		[]string{"namespace", "name"}, nil)
	transitionsDesc = prometheus.NewDesc("slb_health_backend_transitions_total",
		"Transitions of backends to a health status since the operator started.",
		[]string{"namespace", "name", "to"}, nil)
)

var (
	backendStatuses = []string{v1alpha1.StatusNormal, v1alpha1.StatusAbnormal, v1alpha1.StatusUnavailable}
	// groupStatuses are those of a server group: the API of CLB reports no weights, so
	// its listeners have no series for unused.
	groupStatuses     = append(slices.Clone(backendStatuses), v1alpha1.StatusUnused)
	conditionTypes    = []string{v1alpha1.ConditionReady, v1alpha1.ConditionHealthy, v1alpha1.ConditionObserved, v1alpha1.ConditionRegistered, v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling}
	conditionStatuses = []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown}
)

// BackendTransitioned counts a transition of a backend of an object to a status.
// It also bounds the counters of deleted objects where no scrape does: there are
// at most about as many as of live ones.
func (f *Fleet) BackendTransitioned(object *v1alpha1.LoadBalancerHealth, to string) {
	if !f.count(object.UID, to) {
		return
	}
	if objects, err := f.list(); err == nil {
		f.forgetDeleted(objects)
	}
}

// count increments a counter. It reports whether there are so many counters that
// some may be of deleted objects.
func (f *Fleet) count(object types.UID, to string) (many bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.transitions[object] == nil {
		f.transitions[object] = map[string]float64{}
	}
	f.transitions[object][to]++
	return len(f.transitions) > f.maxCounted
}

// ObservationStarted records how late an observation started.
func (f *Fleet) ObservationStarted(lag time.Duration) { f.lag.Observe(lag.Seconds()) }

// ObservationEnded counts an observation by its class.
func (f *Fleet) ObservationEnded(class string) { f.observations.WithLabelValues(class).Inc() }

// Describe implements prometheus.Collector.
func (f *Fleet) Describe(ch chan<- *prometheus.Desc) {
	f.lag.Describe(ch)
	f.observations.Describe(ch)
	for _, desc := range []*prometheus.Desc{infoDesc, backendsDesc, listenerDesc, missingDesc, allowedDesc, conditionDesc, observedDesc, transitionsDesc, droppedDesc} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (f *Fleet) Collect(ch chan<- prometheus.Metric) {
	f.lag.Collect(ch)
	f.observations.Collect(ch)
	select {
	case <-f.options.Elected:
	default:
		return
	}
	objects, err := f.list()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(conditionDesc, err)
		return
	}
	f.forgetDeleted(objects)
	for i := range objects {
		f.collectObject(ch, &objects[i])
	}
}

func (f *Fleet) list() ([]v1alpha1.LoadBalancerHealth, error) {
	ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	var list v1alpha1.LoadBalancerHealthList
	err := f.options.Reader.List(ctx, &list, client.UnsafeDisableDeepCopy)
	return list.Items, err
}

func (f *Fleet) collectObject(ch chan<- prometheus.Metric, object *v1alpha1.LoadBalancerHealth) {
	s := &objectSeries{ch: ch, namespace: object.Namespace, name: object.Name}
	target := targetOf(object)
	s.gauge(infoDesc, 1, target.LoadBalancerID, target.RegionID, v1alpha1.ProductOf(target.LoadBalancerID), target.ServiceName, readyReason(object))
	s.addListeners(object.Status.Listeners, target)
	s.addSummary(object.Status.Summary)
	s.addConditions(object.Status.Conditions)
	if at := f.lastObserved(object); !at.IsZero() {
		s.gauge(observedDesc, float64(at.UnixMilli())/1000)
	}
	for _, to := range backendStatuses {
		s.add(transitionsDesc, prometheus.CounterValue, f.counted(object.UID, to), to)
	}
	if s.dropped > 0 {
		s.gauge(droppedDesc, float64(s.dropped))
	}
}

// targetOf is the load balancer that the status of an object is about. After an
// edit of the spec, that is the previous one until the next observation.
func targetOf(object *v1alpha1.LoadBalancerHealth) v1alpha1.ObservedTarget {
	if observed := object.Status.ObservedTarget; observed != nil {
		return *observed
	}
	var target v1alpha1.ObservedTarget
	target.LoadBalancerID, target.RegionID, _ = object.LoadBalancer()
	target.SetReference(object.Spec.Reference())
	return target
}

func readyReason(object *v1alpha1.LoadBalancerHealth) string {
	if ready := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return ready.Reason
	}
	return v1alpha1.ReasonPending
}

// lastObserved is the later of the observation of this process and that in the status.
func (f *Fleet) lastObserved(object *v1alpha1.LoadBalancerHealth) time.Time {
	at := f.options.LastObservedAt(object)
	if stored := object.Status.LastObservedTime; stored != nil && stored.After(at) {
		return stored.Time
	}
	return at
}

func (f *Fleet) counted(object types.UID, to string) float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.transitions[object][to]
}

func (f *Fleet) forgetDeleted(objects []v1alpha1.LoadBalancerHealth) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.transitions) == 0 {
		return
	}
	live := make(map[types.UID]struct{}, len(objects))
	for i := range objects {
		live[objects[i].UID] = struct{}{}
	}
	for object := range f.transitions {
		if _, ok := live[object]; !ok {
			delete(f.transitions, object)
		}
	}
	f.maxCounted = max(minCounted, 2*len(f.transitions))
}
