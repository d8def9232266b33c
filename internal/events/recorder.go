// SPDX-License-Identifier: Apache-2.0

// Package events writes events.k8s.io/v1 Events, as client-go's recorder does,
// but one after another: it keeps the order within a namespace, loses none in a
// burst, and counts a series at once. Ten thousand transitions at the same time
// must not delay the updates of the statuses that they are about, so Recorder
// queues the events and two workers write them.
package events

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// maxPending bounds the queued events of a namespace.
	maxPending = 20_000
	// seriesTimeout is how long after an event an equal one still belongs to its
	// series, as in client-go.
	seriesTimeout = 6 * time.Minute
	// giveUpAfter is how long Recorder retries one event, and writeTimeout the
	// timeout of one attempt.
	giveUpAfter  = 2 * time.Minute
	writeTimeout = 10 * time.Second
	// minBackoff and maxBackoff bound the backoff between the attempts in one namespace.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second
	// flushTimeout is how long Flush writes the remaining events.
	flushTimeout = 3 * time.Second
)

// Options configure a Recorder.
type Options struct {
	// Client writes the events.
	Client client.Client
	// Controller is the reportingController of every event, and Instance the
	// reportingInstance.
	Controller, Instance string
	// Now is the clock.
	Now func() time.Time
	// Log reports the events that could not be written.
	Log logr.Logger
}

// Recorder is a Runnable of a manager. Eventf queues events, and Start writes them.
type Recorder struct {
	options Options
	// running is full while run writes events: a manager may return before its
	// runnables do, and Flush must wait for them.
	running chan struct{}

	mu sync.Mutex
	// pending are the namespaces with queued events. Each of them is in one of
	// the queues, or in work.
	pending map[string]*pendingEvents
	// queue has the namespaces whose last write succeeded, and retries those
	// whose last write failed, as when an admission webhook hangs. Each queue has
	// its own worker, so a failing namespace delays no other.
	queue   workqueue.TypedInterface[string]
	retries workqueue.TypedRateLimitingInterface[string]
	// drained is called when no event is pending.
	drained func()

	// seriesMu guards the series that may still grow.
	seriesMu sync.Mutex
	series   map[seriesKey]series
	sweptAt  time.Time
}

// pendingEvents are those of one namespace, the oldest first.
type pendingEvents struct {
	events  []*pendingEvent
	dropped int
}

type pendingEvent struct {
	*eventsv1.Event
	// unconfirmed says that an earlier write may have succeeded: its response was lost.
	unconfirmed bool
	// giveUpAt is when to drop the event; zero until an attempt fails.
	giveUpAt time.Time
}

// seriesKey identifies a series: its events are equal but for the time.
type seriesKey struct {
	regarding, related           corev1.ObjectReference
	eventType, reason, act, note string
}

type series struct {
	event *eventsv1.Event
	count int32
	last  time.Time
}

// New returns a Recorder that queues events until Start.
func New(options Options) *Recorder {
	r := &Recorder{options: options, running: make(chan struct{}, 1), pending: map[string]*pendingEvents{}, series: map[seriesKey]series{}}
	r.open(func() {})
	return r
}

// open creates the queues and adds all namespaces with pending events.
func (r *Recorder) open(drained func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = workqueue.NewTyped[string]()
	r.retries = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](minBackoff, maxBackoff))
	r.drained = drained
	for namespace := range r.pending {
		r.queue.Add(namespace)
	}
	if len(r.pending) == 0 {
		drained()
	}
}

// Eventf records an event regarding one reference and related to another, both
// *corev1.ObjectReference. It never blocks.
func (r *Recorder) Eventf(regarding, related runtime.Object, eventType, reason, action, note string, args ...any) {
	event := &eventsv1.Event{
		EventTime:           metav1.NewMicroTime(r.options.Now()),
		ReportingController: r.options.Controller,
		ReportingInstance:   r.options.Instance,
		Action:              action,
		Reason:              reason,
		Note:                fmt.Sprintf(note, args...),
		Type:                eventType,
		Regarding:           *regarding.(*corev1.ObjectReference),
		Related:             related.(*corev1.ObjectReference),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pending[event.Regarding.Namespace]
	switch {
	case p == nil:
		r.pending[event.Regarding.Namespace] = &pendingEvents{events: []*pendingEvent{{Event: event}}}
		r.queue.Add(event.Regarding.Namespace)
	case len(p.events) < maxPending:
		p.events = append(p.events, &pendingEvent{Event: event})
	default:
		p.dropped++
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: only a leader has events.
func (*Recorder) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable. It writes events until ctx ends.
func (r *Recorder) Start(ctx context.Context) error {
	r.running <- struct{}{}
	defer func() { <-r.running }()
	r.run(ctx)
	return nil
}

func (r *Recorder) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		r.queue.ShutDown()
		r.retries.ShutDown()
	})
	defer stop()
	var workers sync.WaitGroup
	workers.Go(func() { r.work(ctx, r.queue) })
	workers.Go(func() { r.work(ctx, r.retries) })
	workers.Wait()
}

// Flush writes the remaining events for a short time after the manager has
// stopped: its workers stop at the same time as Start and may record until then.
func (r *Recorder) Flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	select {
	case r.running <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-r.running }()
	r.open(cancel)
	r.run(ctx)
}

// work writes the first event of one namespace after another.
func (r *Recorder) work(ctx context.Context, queue workqueue.TypedInterface[string]) {
	for {
		namespace, shutDown := queue.Get()
		if shutDown {
			return
		}
		if ctx.Err() == nil {
			r.writeFirst(ctx, namespace)
		}
		queue.Done(namespace)
	}
}

// writeFirst writes the first event of a namespace. After an error that may be
// temporary, the event stays first: for a retry, or for Flush if ctx ended.
func (r *Recorder) writeFirst(ctx context.Context, namespace string) {
	event := r.first(namespace)
	err := r.write(ctx, event)
	retry := err != nil && isTemporary(err)
	if now := r.options.Now(); retry {
		if event.giveUpAt.IsZero() {
			event.giveUpAt = now.Add(giveUpAfter)
		}
		if now.Before(event.giveUpAt) {
			r.retries.AddRateLimited(namespace)
			return
		}
	}
	if err != nil && !apierrors.IsNotFound(err) { // NotFound: its namespace was deleted
		r.options.Log.Error(err, "an event was not written", "reason", event.Reason, "note", event.Note,
			"namespace", namespace, "name", event.Regarding.Name)
	}
	r.next(namespace, retry)
}

// first returns the event of a namespace that is to be written next, and logs how
// many were dropped.
func (r *Recorder) first(namespace string) *pendingEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pending[namespace]
	if p.dropped > 0 {
		r.options.Log.Info("events were dropped: too many were pending", "namespace", namespace, "dropped", p.dropped)
		p.dropped = 0
	}
	return p.events[0]
}

// next removes the first event of a namespace and queues the namespace again if
// there are more: with backoff after a failure that may be temporary.
func (r *Recorder) next(namespace string, backoff bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pending[namespace]
	p.events = p.events[1:]
	if !backoff {
		r.retries.Forget(namespace)
	}
	switch {
	case len(p.events) == 0:
		delete(r.pending, namespace)
		if len(r.pending) == 0 {
			r.drained()
		}
	case backoff:
		r.retries.AddRateLimited(namespace)
	default:
		r.queue.Add(namespace)
	}
}

// write tries once to create the event, or to increment the series that it
// belongs to. Only one worker has a namespace, so its series do not race.
func (r *Recorder) write(ctx context.Context, event *pendingEvent) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	key, at := keyOf(event.Event), event.EventTime.Time
	if known, ok := r.known(key, at); ok {
		if err := r.increment(ctx, key, known, at); !apierrors.IsNotFound(err) {
			return err
		} // NotFound: the event expired, or was deleted
	}
	event.Namespace = event.Regarding.Namespace
	event.Name = nameOf(event.Regarding.Name, at)
	event.ResourceVersion = ""
	err := r.options.Client.Create(ctx, event.Event)
	exists := apierrors.IsAlreadyExists(err)
	switch {
	case exists && !event.unconfirmed:
		event.EventTime = metav1.NewMicroTime(at.Add(time.Microsecond))
		return err
	case err != nil && !exists:
		event.unconfirmed = true
		return err
	}
	r.options.Log.V(1).Info("event", "reason", event.Reason, "note", event.Note, "namespace", event.Namespace, "name", event.Regarding.Name)
	r.keep(key, series{event: event.Event, count: 1, last: at})
	return nil
}

// nameOf is the name of an event: that of the regarded object, truncated to what
// is allowed, and the time.
func nameOf(regarding string, at time.Time) string {
	suffix := "." + strconv.FormatInt(at.UnixNano(), 16)
	prefix := regarding[:min(len(regarding), validation.DNS1123SubdomainMaxLength-len(suffix))]
	return strings.TrimRight(prefix, ".-") + suffix
}

func (r *Recorder) increment(ctx context.Context, key seriesKey, known series, at time.Time) error {
	next := eventsv1.EventSeries{Count: known.count + 1, LastObservedTime: metav1.NewMicroTime(at)}
	patch, err := json.Marshal(map[string]any{"series": next})
	if err != nil {
		return err
	}
	target := &eventsv1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: known.event.Namespace, Name: known.event.Name}}
	if err := r.options.Client.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return err
	}
	r.keep(key, series{event: known.event, count: next.Count, last: at})
	return nil
}

// known returns the series that an event belongs to, and deletes those that timed out.
func (r *Recorder) known(key seriesKey, now time.Time) (series, bool) {
	r.seriesMu.Lock()
	defer r.seriesMu.Unlock()
	if now.Sub(r.sweptAt) >= time.Minute {
		r.sweptAt = now
		maps.DeleteFunc(r.series, func(_ seriesKey, s series) bool { return now.Sub(s.last) > seriesTimeout })
	}
	known, ok := r.series[key]
	return known, ok
}

func (r *Recorder) keep(key seriesKey, known series) {
	r.seriesMu.Lock()
	defer r.seriesMu.Unlock()
	r.series[key] = known
}

// isTemporary reports whether a retry of the same event may succeed.
func isTemporary(err error) bool {
	return !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) && !apierrors.IsBadRequest(err) &&
		!apierrors.IsRequestEntityTooLargeError(err)
}

func keyOf(event *eventsv1.Event) seriesKey {
	return seriesKey{event.Regarding, *event.Related, event.Type, event.Reason, event.Action, event.Note}
}
