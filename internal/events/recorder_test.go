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

// cluster is a real API server that fails when it is told to.
type cluster struct {
	client.Client
	down atomic.Bool
	// hangs is a namespace where no write gets an answer, as of a webhook that hangs.
	hangs atomic.Pointer[string]
	// lost is of how many writes the answer gets lost.
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
			if at := c.hangs.Load(); at != nil && r.Method != http.MethodGet && strings.Contains(r.URL.Path, "/namespaces/"+*at+"/") {
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

func (r *recording) tell(about, note string) { r.tellOf("web", about, note) }

func (r *recording) tellOf(name, about, note string) {
	regarding := &corev1.ObjectReference{Kind: "LoadBalancerHealth", Namespace: r.namespace, Name: name, UID: "1"}
	related := regarding.DeepCopy()
	related.FieldPath = about
	r.Eventf(regarding, related, corev1.EventTypeWarning, "BackendAbnormal", "Observe", "%s", note)
}

// told are the events as "note" or "note (n times)", in the order of their times.
func (r *recording) told() []string {
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
		if got = r.told(); slices.Equal(got, want) {
			return
		}
	}
	r.t.Fatalf("told %q, want %q", got, want)
}

func TestRecorder(t *testing.T) {
	c := newCluster(t)
	quiet := logr.Discard()

	t.Run("writes what happened, in its order", func(t *testing.T) {
		r := c.record(t, "order", time.Now, quiet)
		var want []string
		for i := range 100 {
			note := fmt.Sprint("note ", i)
			r.tell("status.backends{i-1}", note)
			want = append(want, note)
		}
		r.want(want...)
	})
	t.Run("counts what is repeated at once, each part and each note for itself", func(t *testing.T) {
		r := c.record(t, "series", time.Now, quiet)
		for range 3 {
			r.tell("one", "a")
		}
		r.tell("two", "a ")
		r.tell("one", "b")
		r.tell("one", "a")
		r.want("a (4 times)", "a ", "b")
	})
	t.Run("starts anew where a series was deleted", func(t *testing.T) {
		r := c.record(t, "deleted", time.Now, quiet)
		r.tell("one", "a")
		r.want("a")
		if err := c.DeleteAllOf(t.Context(), &eventsv1.Event{}, client.InNamespace("deleted")); err != nil {
			t.Fatal(err)
		}
		r.tell("one", "a")
		r.want("a")
		r.tell("one", "a")
		r.want("a (2 times)")
	})
	t.Run("starts anew where a series ended", func(t *testing.T) {
		var later atomic.Int64
		r := c.record(t, "ended", func() time.Time { return time.Now().Add(time.Duration(later.Load())) }, quiet)
		r.tell("one", "a")
		r.want("a")
		later.Store(int64(seriesEnds + time.Minute))
		r.tell("one", "a")
		r.want("a", "a")
	})
	t.Run("loses nothing while the API server is away, and nothing is late without need at the end", func(t *testing.T) {
		r := c.record(t, "away", time.Now, quiet)
		c.down.Store(true)
		r.tell("one", "a")
		r.tell("one", "b")
		<-time.After(300 * time.Millisecond)
		c.down.Store(false)
		r.want("a", "b")
		r.tell("one", "c")
		r.stop()
		r.want("a", "b", "c")
	})
	t.Run("lets a namespace where nothing can be written hold up no other", func(t *testing.T) {
		r := c.record(t, "hangs", time.Now, quiet)
		if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "calm"}}); err != nil {
			t.Fatal(err)
		}
		calm := &recording{Recorder: r.Recorder, t: t, cluster: c, namespace: "calm"}
		c.hangs.Store(new("hangs"))
		r.tell("one", "a")
		r.tell("one", "b")
		calm.tell("one", "c")
		calm.tell("one", "d")
		calm.want("c", "d")
		r.want()
		c.hangs.Store(nil)
		r.want("a", "b")
	})
	t.Run("writes once what got through when its answer was lost", func(t *testing.T) {
		r := c.record(t, "unanswered", time.Now, quiet)
		c.lost.Store(1)
		r.tell("one", "a")
		r.tell("one", "b")
		r.want("a", "b")
		c.lost.Store(1)
		r.tell("one", "a")
		r.tell("one", "c")
		r.want("a (2 times)", "b", "c")
	})
	t.Run("tells of objects with the longest names", func(t *testing.T) {
		r := c.record(t, "names", time.Now, quiet)
		long := strings.Repeat("a", 235)
		r.tellOf(long+strings.Repeat("a", 18), "one", "a")
		r.tellOf(long+"-"+strings.Repeat("a", 17), "one", "b")
		r.tellOf(long+"."+strings.Repeat("a", 17), "one", "c")
		r.want("a", "b", "c")
	})
	t.Run("says what cannot be written, and goes on", func(t *testing.T) {
		var said strings.Builder
		log := funcr.New(func(_, args string) { said.WriteString(args) }, funcr.Options{})
		r := c.record(t, "refused", time.Now, log)
		r.tell("one", strings.Repeat("x", 2000))
		r.tell("one", "b")
		r.want("b")
		r.stop()
		if !strings.Contains(said.String(), "an event was not written") {
			t.Errorf("said %q", said.String())
		}
	})
}
