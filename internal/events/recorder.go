// SPDX-License-Identifier: Apache-2.0

// Package events writes events.k8s.io/v1 Events, as client-go's recorder does,
// but one after another: in the order in which they happened, none lost in a
// burst, and with a series whose count is right at once. Ten thousand
// transitions at the same time must not take the API server's time from the
// statuses that they are about, so the events wait their turn behind them.
package events

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
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
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// maxPending bounds the memory of events that wait to be written.
	maxPending = 20_000
	// seriesEnds is how long after an event an equal one still counts as part
	// of its series, as in client-go.
	seriesEnds = 6 * time.Minute
	// giveUpAfter is how long one event is tried to be written, and tryFor how
	// long a try may take.
	giveUpAfter = 2 * time.Minute
	tryFor      = 10 * time.Second
	// flushTime is how long a clean end waits for what is left.
	flushTime = 3 * time.Second
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
	// Log takes what could not be written.
	Log logr.Logger
}

// Recorder is a manager's Runnable. Eventf takes events at once, and Start writes them.
type Recorder struct {
	options Options
	wake    chan struct{}

	mu      sync.Mutex
	pending []*pendingEvent
	dropped int

	// series are those that may still grow; only Start touches what follows.
	series  map[seriesKey]*series
	sweptAt time.Time
	// troubled are the namespaces whose last write failed, and may succeed later.
	troubled map[string]*trouble
}

type pendingEvent struct {
	*eventsv1.Event
	// inDoubt tells that it may have been written: the answer was lost.
	inDoubt bool
}

// trouble is of one namespace, as when an admission webhook refuses, or hangs,
// what is written there: its events wait, in their order, and hold up nobody else's.
type trouble struct {
	backoff wait.Backoff
	retryAt time.Time
	// giveUpAt is of its first event; zero: that was not tried yet.
	giveUpAt time.Time
}

// seriesKey is what events of one series have in common.
type seriesKey struct {
	regarding, related           corev1.ObjectReference
	eventType, reason, act, note string
}

type series struct {
	event *eventsv1.Event
	count int32
	last  time.Time
}

// New returns a Recorder that writes nothing before it is started.
func New(options Options) *Recorder {
	return &Recorder{options: options, wake: make(chan struct{}, 1), series: map[seriesKey]*series{}, troubled: map[string]*trouble{}}
}

// Eventf notes an event regarding one reference and related to another, both
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
	if len(r.pending) >= maxPending {
		r.dropped++
		return
	}
	r.pending = append(r.pending, &pendingEvent{Event: event})
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: only a leader has events.
func (*Recorder) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable. It writes events until ctx ends.
func (r *Recorder) Start(ctx context.Context) error {
	for {
		r.writeAll(ctx)
		select {
		case <-r.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// Flush writes for a short while what is left. It is for after the manager has
// ended: its workers end at the same time as Start, and tell to the last.
func (r *Recorder) Flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	for _, t := range r.troubled {
		t.retryAt = time.Time{}
	}
	r.writeAll(ctx)
}

// writeAll leaves an event that the end of ctx came in the way of to Flush.
func (r *Recorder) writeAll(ctx context.Context) {
	for ctx.Err() == nil {
		event, retryAt, dropped := r.next()
		if dropped > 0 {
			r.options.Log.Info("events were dropped: more came than could be written", "dropped", dropped)
		}
		if event == nil {
			if retryAt.IsZero() {
				return
			}
			r.await(ctx, retryAt)
			continue
		}
		err := r.write(ctx, event)
		if err != nil && (ctx.Err() != nil || r.putOff(event, err)) {
			continue
		}
		r.drop(event)
		if err != nil && !apierrors.IsNotFound(err) { // its namespace is gone
			r.options.Log.Info("an event was not written", "reason", event.Reason, "note", event.Note,
				"namespace", event.Regarding.Namespace, "name", event.Regarding.Name, "error", err.Error())
		}
	}
}

// next is the first event of a namespace without trouble, or else of one whose
// time to try again has come. Where there is neither, it says when that is.
func (r *Recorder) next() (event *pendingEvent, retryAt time.Time, dropped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	dropped, r.dropped = r.dropped, 0
	if len(r.pending) == 0 {
		r.pending = nil
		return nil, time.Time{}, dropped
	}
	var first *pendingEvent
	for _, waiting := range r.pending {
		t := r.troubled[waiting.Regarding.Namespace]
		if t == nil {
			return waiting, time.Time{}, dropped
		}
		if first == nil || t.retryAt.Before(retryAt) {
			first, retryAt = waiting, t.retryAt
		}
	}
	if r.options.Now().Before(retryAt) {
		return nil, retryAt, dropped
	}
	return first, time.Time{}, dropped
}

// await waits until a time, or for another event.
func (r *Recorder) await(ctx context.Context, at time.Time) {
	timer := time.NewTimer(at.Sub(r.options.Now()))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-r.wake:
	case <-timer.C:
	}
}

// putOff lets the first event of a namespace be tried again, for giveUpAfter.
func (r *Recorder) putOff(event *pendingEvent, err error) bool {
	if !mayPass(err) {
		return false
	}
	t := r.troubled[event.Regarding.Namespace]
	if t == nil {
		t = &trouble{backoff: wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 100, Cap: 10 * time.Second}}
		r.troubled[event.Regarding.Namespace] = t
	}
	now := r.options.Now()
	t.retryAt = now.Add(t.backoff.Step())
	if t.giveUpAt.IsZero() {
		t.giveUpAt = now.Add(giveUpAfter)
	}
	if now.Before(t.giveUpAt) {
		return true
	}
	t.giveUpAt = time.Time{}
	return false
}

func (r *Recorder) drop(event *pendingEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending[0] == event { // as most are
		r.pending = r.pending[1:]
		return
	}
	at := slices.Index(r.pending, event)
	r.pending = slices.Delete(r.pending, at, at+1)
}

// write tries once to create the event or to let a series grow.
func (r *Recorder) write(ctx context.Context, event *pendingEvent) error {
	r.sweep(event.EventTime.Time)
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	err := r.writeOnce(ctx, keyOf(event.Event), event)
	if err == nil || !mayPass(err) {
		delete(r.troubled, event.Regarding.Namespace)
	}
	return err
}

func (r *Recorder) writeOnce(ctx context.Context, key seriesKey, event *pendingEvent) error {
	at := event.EventTime.Time
	if known := r.series[key]; known != nil {
		err := r.grow(ctx, known, at)
		if !apierrors.IsNotFound(err) {
			return err
		}
		delete(r.series, key) // it expired, or somebody deleted it
	}
	event.Namespace = event.Regarding.Namespace
	event.Name = nameOf(event.Regarding.Name, at)
	event.ResourceVersion = ""
	err := r.options.Client.Create(ctx, event.Event)
	exists := apierrors.IsAlreadyExists(err)
	switch {
	case exists && !event.inDoubt:
		event.EventTime = metav1.NewMicroTime(at.Add(time.Microsecond))
		return err
	case err != nil && !exists:
		event.inDoubt = true
		return err
	}
	r.options.Log.V(1).Info("event", "reason", event.Reason, "note", event.Note, "namespace", event.Namespace, "name", event.Regarding.Name)
	r.series[key] = &series{event: event.Event, count: 1, last: at}
	return nil
}

// nameOf is the name of an event. That of what it regards may be as long as a
// name may be by itself, and is then cut.
func nameOf(regarding string, at time.Time) string {
	ending := "." + strconv.FormatInt(at.UnixNano(), 16)
	kept := regarding[:min(len(regarding), validation.DNS1123SubdomainMaxLength-len(ending))]
	return strings.TrimRight(kept, ".-") + ending
}

func (r *Recorder) grow(ctx context.Context, known *series, at time.Time) error {
	grown := eventsv1.EventSeries{Count: known.count + 1, LastObservedTime: metav1.NewMicroTime(at)}
	patch, err := json.Marshal(map[string]any{"series": grown})
	if err != nil {
		return err
	}
	target := &eventsv1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: known.event.Namespace, Name: known.event.Name}}
	if err := r.options.Client.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return err
	}
	known.count, known.last = grown.Count, at
	return nil
}

// sweep forgets series that ended.
func (r *Recorder) sweep(now time.Time) {
	if now.Sub(r.sweptAt) < time.Minute {
		return
	}
	r.sweptAt = now
	for key, known := range r.series {
		if now.Sub(known.last) > seriesEnds {
			delete(r.series, key)
		}
	}
}

// mayPass tells whether an error says nothing of the event itself.
func mayPass(err error) bool {
	return !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) && !apierrors.IsBadRequest(err) &&
		!apierrors.IsRequestEntityTooLargeError(err)
}

func keyOf(event *eventsv1.Event) seriesKey {
	return seriesKey{event.Regarding, *event.Related, event.Type, event.Reason, event.Action, event.Note}
}
