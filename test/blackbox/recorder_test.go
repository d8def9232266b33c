// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// recorder keeps every revision of every LoadBalancerHealth that was ever
// stored. It watches etcd, not the API server: it misses nothing that clients
// could have seen, and sees on while the API server is away.
type recorder struct {
	watch   *http.Request
	changes notifier

	mu        sync.Mutex
	revisions map[client.ObjectKey][]revision
	next      int64 // the revision to go on from
	lost      error // why the revisions are not complete
}

// revision is one revision.
type revision struct {
	at     time.Time
	object *v1alpha1.LoadBalancerHealth // nil: deleted
}

const storedObjects = "/registry/slb.lbhealth.dev/loadbalancerhealths/"

// record records until the test ends.
func (w *env) record(t *testing.T) *recorder {
	t.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	watch, err := http.NewRequestWithContext(ctx, http.MethodPost, w.plane.EtcdURL()+"/v3/watch", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{watch: watch, revisions: map[client.ObjectKey][]revision{}, next: 1}
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			_ = r.follow(ctx) // etcd is away: the history waits
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if r.lost != nil {
			t.Error(r.lost)
		}
	})
	return r
}

// follow reads one stream of changes to its end.
func (r *recorder) follow(ctx context.Context) error {
	create := map[string]any{"create_request": map[string]any{
		"key": []byte(storedObjects), "range_end": []byte(strings.TrimSuffix(storedObjects, "/") + "0"), "start_revision": r.next,
	}}
	body, err := json.Marshal(create)
	if err != nil {
		return err
	}
	request := r.watch.Clone(ctx)
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	for stream := json.NewDecoder(response.Body); ; {
		var message struct {
			Result struct {
				Events          []storedEvent `json:"events"`
				CompactRevision json.Number   `json:"compact_revision"`
			} `json:"result"`
		}
		if err := stream.Decode(&message); err != nil {
			return err
		}
		if message.Result.CompactRevision != "" {
			r.lost = errors.New("etcd forgot what was not recorded yet")
		}
		for _, event := range message.Result.Events {
			r.take(event)
		}
	}
}

// storedEvent is a change as etcd reports it.
type storedEvent struct {
	Type string `json:"type"`
	KV   struct {
		Key         string `json:"key"`
		Value       string `json:"value"`
		ModRevision int64  `json:"mod_revision,string"`
	} `json:"kv"`
}

func (r *recorder) take(event storedEvent) {
	f := revision{at: time.Now()}
	path, err := base64.StdEncoding.DecodeString(event.KV.Key)
	if err == nil && event.Type != "DELETE" {
		var content []byte
		if content, err = base64.StdEncoding.DecodeString(event.KV.Value); err == nil {
			f.object = &v1alpha1.LoadBalancerHealth{}
			err = json.Unmarshal(content, f.object)
		}
	}
	namespace, name, _ := strings.Cut(strings.TrimPrefix(string(path), storedObjects), "/")
	key := client.ObjectKey{Namespace: namespace, Name: name}
	r.mu.Lock()
	if err != nil {
		r.lost = fmt.Errorf("%s is stored in a way that cannot be read: %w", path, err)
	}
	r.revisions[key] = append(r.revisions[key], f)
	r.next = event.KV.ModRevision + 1
	r.mu.Unlock()
	r.changes.notify()
}

// revisionsOf is all that was stored of an object until now.
func (r *recorder) revisionsOf(object *v1alpha1.LoadBalancerHealth) []revision {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.revisions[client.ObjectKeyFromObject(object)])
}

// awaitRevision waits for the first revision that is like this, and returns it.
func (r *recorder) awaitRevision(t *testing.T, object *v1alpha1.LoadBalancerHealth, within time.Duration, what string, like func(*v1alpha1.LoadBalancerHealth) bool) revision {
	t.Helper()
	var found revision
	r.changes.await(t, within, what, func() (string, bool) {
		revisions := r.revisionsOf(object)
		for _, f := range revisions {
			if f.object != nil && like(f.object) {
				found = f
				return "", true
			}
		}
		return "stored were:\n" + strings.Join(statusTexts(revisions), "\n"), false
	})
	return found
}

// awaitDeletion waits until the last revision of an object is its deletion.
func (r *recorder) awaitDeletion(t *testing.T, object *v1alpha1.LoadBalancerHealth) {
	t.Helper()
	r.changes.await(t, patience, object.Name+" is deleted", func() (string, bool) {
		revisions := r.revisionsOf(object)
		return "it is there", len(revisions) > 0 && revisions[len(revisions)-1].object == nil
	})
}

// status is a status as far as people and tools act on it: conditions, counts and rows.
func statusText(of states, rows ...string) string {
	conditions := make([]string, 0, len(of))
	for _, kind := range slices.Sorted(maps.Keys(of)) {
		conditions = append(conditions, kind+": "+of[kind])
	}
	return strings.Join(conditions, ", ") + " | " + strings.Join(slices.Sorted(slices.Values(rows)), ", ")
}

func statusTextOf(object *v1alpha1.LoadBalancerHealth) string {
	rows := make([]string, 0, len(object.Status.Backends))
	for _, b := range object.Status.Backends {
		rows = append(rows, rowText(int(b.ListenerPort), b.ServerID, b.ServerHealthStatus))
	}
	return statusText(statesOf(object), rows...)
}

func rowText(listener int, server, status string) string {
	if listener != 0 {
		return fmt.Sprintf("%s behind %d is %s", server, listener, status)
	}
	return server + " is " + status
}

// statusTexts are the statuses that were stored one after another. A write that
// changed a status without a change in its status is a status too: it was one
// too many. What others write of an object, labels and annotations, is none.
func statusTexts(revisions []revision) []string {
	var texts []string
	var last *v1alpha1.LoadBalancerHealthStatus
	for _, f := range revisions {
		switch {
		case f.object == nil:
			texts = append(texts, "deleted")
			last = nil
		case len(f.object.Status.Conditions) == 0:
			// It was created and not observed yet.
		case last == nil || !apiequality.Semantic.DeepEqual(last, &f.object.Status):
			texts = append(texts, statusTextOf(f.object))
			last = &f.object.Status
		}
	}
	return texts
}

// mistakesIn are claims that no row or answer supports, whatever the texts.
func mistakesIn(revisions []revision) []string {
	var mistakes []string
	type backend struct{ listener, server string }
	var last *v1alpha1.LoadBalancerHealthStatus
	since := map[backend]v1alpha1.BackendStatus{}
	for _, f := range revisions {
		if f.object == nil {
			last, since = nil, map[backend]v1alpha1.BackendStatus{}
			continue
		}
		status := &f.object.Status
		if last != nil && conditionOf(f.object, "Observed").Status != "True" &&
			(last.LastRequestID != status.LastRequestID || !last.LastObservedTime.Equal(status.LastObservedTime)) {
			mistakes = append(mistakes, "an answer is claimed where there was none: "+statusTextOf(f.object))
		}
		before := since
		since = map[backend]v1alpha1.BackendStatus{} // one that goes and comes back starts anew
		for _, b := range status.Backends {
			key := backend{fmt.Sprint(b.ListenerPort, b.ListenerProtocol), b.ServerID}
			if was, known := before[key]; known && was.ServerHealthStatus == b.ServerHealthStatus && !was.LastTransitionTime.Equal(&b.LastTransitionTime) {
				mistakes = append(mistakes, b.ServerID+" has not turned, but lastTransitionTime has changed")
			}
			since[key] = b
		}
		last = status
	}
	return mistakes
}

// notifier wakes those that wait for a change.
type notifier struct {
	mu   sync.Mutex
	came chan struct{}
}

func (n *notifier) notify() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.came != nil {
		close(n.came)
		n.came = nil
	}
}

func (n *notifier) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.came == nil {
		n.came = make(chan struct{})
	}
	return n.came
}

// await looks again at each change until it is done; look says what it saw.
func (n *notifier) await(t *testing.T, within time.Duration, what string, look func() (saw string, done bool)) {
	t.Helper()
	late := time.After(within)
	for {
		came := n.next()
		saw, done := look()
		if done {
			return
		}
		select {
		case <-late:
			t.Fatalf("not within %s: %s; %s", within, what, saw)
		default:
		}
		select {
		case <-came:
		case <-late:
			t.Fatalf("not within %s: %s; %s", within, what, saw)
		case <-t.Context().Done():
			t.Fatalf("the test ended before: %s", what)
		}
	}
}
