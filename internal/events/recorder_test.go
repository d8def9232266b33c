// SPDX-License-Identifier: Apache-2.0

package events

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// cluster is a client of a real API server that fails on request.
type cluster struct {
	client.Client
	down atomic.Bool
	// hangs is a namespace where no write gets a response, as with a webhook that hangs.
	hangs atomic.Pointer[string]
	// lost is the number of writes whose response is lost.
	lost atomic.Int32
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	plane, err := harness.StartControlPlane(t.Context(), harness.ControlPlaneOptions{CRDs: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plane.Stop() })
	c := &cluster{}
	config := rest.CopyConfig(plane.Config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if c.down.Load() && r.Method != http.MethodGet {
				return nil, errors.New("connection refused")
			}
			if namespace := c.hangs.Load(); namespace != nil && r.Method != http.MethodGet && strings.Contains(r.URL.Path, "/namespaces/"+*namespace+"/") {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			response, err := next.RoundTrip(r)
			if err == nil && r.Method != http.MethodGet && c.lost.Add(-1) >= 0 {
				_ = response.Body.Close()
				return nil, errors.New("connection reset")
			}
			return response, err
		})
	})
	if c.Client, err = client.New(config, client.Options{}); err != nil {
		t.Fatal(err)
	}
	return c
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// recording is a Recorder that runs in a namespace of its own.
type recording struct {
	*Recorder
	t         *testing.T
	cluster   *cluster
	namespace string
	stop      func()
}

func (c *cluster) record(t *testing.T, namespace string, now func() time.Time, log logr.Logger) *recording {
	t.Helper()
	if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		t.Fatal(err)
	}
	r := &recording{t: t, cluster: c, namespace: namespace}
	r.Recorder = New(Options{Client: c, Controller: "slb-health-operator", Instance: "slb-health-operator-0", Now: now, Log: log})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { _ = r.Start(ctx) })
	r.stop = func() { cancel(); running.Wait(); r.Flush(ctx) }
	t.Cleanup(r.stop)
	return r
}

// event records an event of the object web. part is the field path of what it is about.
func (r *recording) event(part, note string) { r.eventOf("web", part, note) }

func (r *recording) eventOf(name, part, note string) {
	regarding := &corev1.ObjectReference{Kind: "LoadBalancerHealth", Namespace: r.namespace, Name: name, UID: "1"}
	related := regarding.DeepCopy()
	related.FieldPath = part
	r.Eventf(regarding, related, corev1.EventTypeWarning, "BackendAbnormal", "Observe", "%s", note)
}

// notes lists the events as "note" or "note (n times)", in the order of their times.
func (r *recording) notes() []string {
	r.t.Helper()
	var list eventsv1.EventList
	if err := r.cluster.List(r.t.Context(), &list, client.InNamespace(r.namespace)); err != nil {
		r.t.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b eventsv1.Event) int { return a.EventTime.Compare(b.EventTime.Time) })
	notes := make([]string, len(list.Items))
	for i := range list.Items {
		notes[i] = list.Items[i].Note
		if s := list.Items[i].Series; s != nil {
			notes[i] += fmt.Sprintf(" (%d times)", s.Count)
		}
	}
	return notes
}

func (r *recording) want(want ...string) {
	r.t.Helper()
	var got []string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		if got = r.notes(); slices.Equal(got, want) {
			return
		}
	}
	r.t.Fatalf("got the events %q, want %q", got, want)
}

func TestRecorder(t *testing.T) {
	c := newCluster(t)
	noLog := logr.Discard()

	t.Run("keeps the order of events", func(t *testing.T) {
		r := c.record(t, "order", time.Now, noLog)
		var want []string
		for i := range 100 {
			note := fmt.Sprint("note ", i)
			r.event("status.backends{i-1}", note)
			want = append(want, note)
		}
		r.want(want...)
	})
	t.Run("counts repeated events at once, by part and note", func(t *testing.T) {
		r := c.record(t, "series", time.Now, noLog)
		for range 3 {
			r.event("one", "a")
		}
		r.event("two", "a ")
		r.event("one", "b")
		r.event("one", "a")
		r.want("a (4 times)", "a ", "b")
	})
	t.Run("starts a new series after one was deleted", func(t *testing.T) {
		r := c.record(t, "deleted", time.Now, noLog)
		r.event("one", "a")
		r.want("a")
		if err := c.DeleteAllOf(t.Context(), &eventsv1.Event{}, client.InNamespace("deleted")); err != nil {
			t.Fatal(err)
		}
		r.event("one", "a")
		r.want("a")
		r.event("one", "a")
		r.want("a (2 times)")
	})
	t.Run("starts a new series after one timed out", func(t *testing.T) {
		var later atomic.Int64
		r := c.record(t, "ended", func() time.Time { return time.Now().Add(time.Duration(later.Load())) }, noLog)
		r.event("one", "a")
		r.want("a")
		later.Store(int64(seriesTimeout + time.Minute))
		r.event("one", "a")
		r.want("a", "a")
	})
	t.Run("loses no event while the API server is unavailable, and flushes without delay", func(t *testing.T) {
		r := c.record(t, "unavailable", time.Now, noLog)
		c.down.Store(true)
		r.event("one", "a")
		r.event("one", "b")
		<-time.After(300 * time.Millisecond)
		c.down.Store(false)
		r.want("a", "b")
		r.event("one", "c")
		r.stop()
		r.want("a", "b", "c")
	})
	t.Run("does not delay other namespaces when one hangs", func(t *testing.T) {
		r := c.record(t, "hangs", time.Now, noLog)
		if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "healthy"}}); err != nil {
			t.Fatal(err)
		}
		healthy := &recording{Recorder: r.Recorder, t: t, cluster: c, namespace: "healthy"}
		c.hangs.Store(new("hangs"))
		r.event("one", "a")
		r.event("one", "b")
		healthy.event("one", "c")
		healthy.event("one", "d")
		healthy.want("c", "d")
		r.want()
		c.hangs.Store(nil)
		r.want("a", "b")
	})
	t.Run("writes an event once when the response is lost", func(t *testing.T) {
		r := c.record(t, "unconfirmed", time.Now, noLog)
		c.lost.Store(1)
		r.event("one", "a")
		r.event("one", "b")
		r.want("a", "b")
		c.lost.Store(1)
		r.event("one", "a")
		r.event("one", "c")
		r.want("a (2 times)", "b", "c")
	})
	t.Run("records events of objects with the longest names", func(t *testing.T) {
		r := c.record(t, "names", time.Now, noLog)
		long := strings.Repeat("a", 235)
		r.eventOf(long+strings.Repeat("a", 18), "one", "a")
		r.eventOf(long+"-"+strings.Repeat("a", 17), "one", "b")
		r.eventOf(long+"."+strings.Repeat("a", 17), "one", "c")
		r.want("a", "b", "c")
	})
	t.Run("logs an event that cannot be written, and continues", func(t *testing.T) {
		var output strings.Builder
		log := funcr.New(func(_, args string) { output.WriteString(args) }, funcr.Options{})
		r := c.record(t, "refused", time.Now, log)
		r.event("one", strings.Repeat("x", 2000))
		r.event("one", "b")
		r.want("b")
		r.stop()
		if !strings.Contains(output.String(), "an event was not written") {
			t.Errorf("logged %q", output.String())
		}
	})
}
