// SPDX-License-Identifier: Apache-2.0

package events

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var errRefused = errors.New("connection refused")

// writer is a client that only creates events.
type writer struct {
	client.Client
	create func(ctx context.Context, event *eventsv1.Event) error
}

func (w writer) Create(ctx context.Context, object client.Object, _ ...client.CreateOption) error {
	return w.create(ctx, object.(*eventsv1.Event))
}

// recorderTo returns a Recorder that writes to create.
func recorderTo(create func(ctx context.Context, event *eventsv1.Event) error, log logr.Logger, now func() time.Time) *Recorder {
	return New(Options{Client: writer{create: create}, Now: now, Log: log})
}

func record(r *Recorder, namespace, note string) {
	regarding := &corev1.ObjectReference{Kind: "LoadBalancerHealth", Namespace: namespace, Name: "web"}
	r.Eventf(regarding, regarding, corev1.EventTypeWarning, "BackendAbnormal", "Observe", "%s", note)
}

// started runs a recorder until the end of the test.
func started(t *testing.T, r *Recorder) *Recorder {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Start(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return r
}

// within returns the next value of a channel, and fails the test after limit.
func within[T any](t *testing.T, limit time.Duration, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(limit):
		t.Fatalf("no value within %s", limit)
		panic("unreachable")
	}
}

// logged is a log that a test can read while the recorder writes to it.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) logger() logr.Logger {
	return funcr.New(func(_, args string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, args)
	}, funcr.Options{})
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(l.lines), func(line string) bool { return !strings.Contains(line, text) }))
}

func TestPendingEventsAreBoundedByNamespace(t *testing.T) {
	var log logged
	written := make(chan string, maxPending+1)
	r := recorderTo(func(_ context.Context, event *eventsv1.Event) error {
		written <- event.Namespace + " " + event.Note
		return nil
	}, log.logger(), time.Now)
	for i := range maxPending + 5 {
		record(r, "full", fmt.Sprint(i))
	}
	record(r, "next", "a")
	started(t, r)
	full, next := 0, 0
	for range maxPending + 1 {
		switch note := within(t, 10*time.Second, written); note {
		case "next a":
			next++
		case fmt.Sprint("full ", full): // in their order
			full++
		default:
			t.Fatalf("%q was written after %d", note, full)
		}
	}
	if full != maxPending || next != 1 {
		t.Errorf("%d and %d events were written", full, next)
	}
	if log.count(`"namespace"="full" "dropped"=5`) != 1 || log.count("dropped") != 1 {
		t.Errorf("the log says %q", log.lines)
	}
}

func TestNamespacesAlternate(t *testing.T) {
	written := make(chan string, 2000)
	r := recorderTo(func(_ context.Context, event *eventsv1.Event) error {
		written <- event.Namespace
		return nil
	}, logr.Discard(), time.Now)
	for i := range 1000 {
		record(r, "many", fmt.Sprint(i))
	}
	record(r, "few", "a")
	record(r, "few", "b")
	started(t, r)
	var first []string
	for range 6 {
		first = append(first, within(t, 10*time.Second, written))
	}
	if want := []string{"many", "few", "many", "few", "many", "many"}; !slices.Equal(first, want) {
		t.Errorf("the first events are of %v", first)
	}
}

// An admission webhook may hang.
func TestRetryThatHangsDelaysNoOtherNamespace(t *testing.T) {
	written, hangs := make(chan string, 1), make(chan struct{}, 1)
	var attempts atomic.Int32
	r := started(t, recorderTo(func(ctx context.Context, event *eventsv1.Event) error {
		if event.Namespace != "hangs" {
			written <- event.Note
			return nil
		}
		if attempts.Add(1) == 1 {
			return errRefused
		}
		hangs <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}, logr.Discard(), time.Now))
	record(r, "hangs", "a")
	record(r, "hangs", "b")
	within(t, 5*time.Second, hangs)
	for i := range 100 {
		record(r, "healthy", fmt.Sprint(i))
		if note := within(t, 5*time.Second, written); note != fmt.Sprint(i) {
			t.Fatalf("%q was written instead of %d", note, i)
		}
	}
	if n := attempts.Load(); n != 2 {
		t.Errorf("%d attempts were made in the namespace that hangs", n)
	}
}

// New events of a namespace must not shorten its backoff, and a successful write
// resets it.
func TestFailingNamespaceIsRetriedWithBackoff(t *testing.T) {
	attempts := make(chan time.Time, 1000)
	var succeeds atomic.Bool
	r := started(t, recorderTo(func(context.Context, *eventsv1.Event) error {
		success := succeeds.Swap(false) // before the test sees the attempt, and sets the next one
		attempts <- time.Now()
		if success {
			return nil
		}
		return errRefused
	}, logr.Discard(), time.Now))
	record(r, "refuses", "a")
	before := within(t, 5*time.Second, attempts)
	for _, backoff := range []time.Duration{minBackoff, 2 * minBackoff, 4 * minBackoff, 8 * minBackoff} {
		for i := range 100 {
			record(r, "refuses", fmt.Sprint(backoff, i))
		}
		succeeds.Store(backoff == 8*minBackoff)
		at := within(t, 5*time.Second, attempts)
		if at.Sub(before) < backoff {
			t.Errorf("retried after %s, want %s", at.Sub(before), backoff)
		}
		before = at
	}
	within(t, 5*time.Second, attempts) // the second event, at once
	if again := within(t, 5*time.Second, attempts).Sub(before); again > 8*minBackoff {
		t.Errorf("the second event was retried after %s, want %s", again, minBackoff)
	}
}

func TestEventThatFailsForTwoMinutesIsDroppedAndLogged(t *testing.T) {
	var log logged
	var passed atomic.Int64
	attempts := make(chan string, 100)
	now := func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
	r := started(t, recorderTo(func(_ context.Context, event *eventsv1.Event) error {
		attempts <- event.Note
		return errRefused
	}, log.logger(), now))
	record(r, "refuses", "a")
	record(r, "refuses", "b")
	for range 2 {
		if note := within(t, 5*time.Second, attempts); note != "a" {
			t.Fatalf("%q was attempted before the first was dropped", note)
		}
	}
	passed.Store(int64(giveUpAfter))
	last := time.Now()
	for within(t, 5*time.Second, attempts) != "b" {
		last = time.Now()
	}
	if backoff := time.Since(last); backoff < 2*minBackoff {
		t.Errorf("the next event was attempted after %s, without the backoff of its namespace", backoff)
	}
	if log.count("an event was not written") != 1 || log.count(`"note"="a"`) != 1 {
		t.Errorf("the log says %q", log.lines)
	}
	if note := within(t, 5*time.Second, attempts); note != "b" {
		t.Errorf("%q was attempted, want the second for two minutes of its own", note)
	}
}

func TestFlushWritesAndRetriesTheRemainingEvents(t *testing.T) {
	var written []string
	failed := false
	r := recorderTo(func(_ context.Context, event *eventsv1.Event) error {
		if !failed {
			failed = true
			return errRefused
		}
		written = append(written, event.Note)
		return nil
	}, logr.Discard(), time.Now)
	record(r, "prod", "a")
	record(r, "prod", "b")
	begin := time.Now()
	r.Flush(t.Context())
	if want := []string{"a", "b"}; !slices.Equal(written, want) {
		t.Errorf("%q were written, want %q", written, want)
	}
	if took := time.Since(begin); took > flushTimeout {
		t.Errorf("it took %s", took)
	}
	r.Flush(t.Context())
	if took := time.Since(begin); took > flushTimeout {
		t.Errorf("without events it took %s", took)
	}
}

func TestFlushEndsWhileAllWritesHang(t *testing.T) {
	r := recorderTo(func(ctx context.Context, _ *eventsv1.Event) error {
		<-ctx.Done()
		return ctx.Err()
	}, logr.Discard(), time.Now)
	record(r, "prod", "a")
	begin := time.Now()
	r.Flush(t.Context())
	if took := time.Since(begin); took < flushTimeout || took > 2*flushTimeout {
		t.Errorf("it took %s, want %s", took, flushTimeout)
	}
}
