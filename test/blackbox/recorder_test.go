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
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// recorder records every revision of every LoadBalancerHealth. It watches etcd, because etcd omits no revision, and
// the API server may be unavailable.
type recorder struct {
	watch   *http.Request
	changes notifier

	mu        sync.Mutex
	revisions map[client.ObjectKey][]revision
	next      int64 // the first revision of the next watch
	lost      error // why the revisions are incomplete
}

// revision is an object as it was stored, with its resourceVersion.
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
			_ = r.follow(ctx) // if etcd is unavailable, the next watch continues
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

// follow records the changes of one watch until it breaks.
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
			r.lost = errors.New("etcd compacted revisions that were not recorded yet")
		}
		for _, event := range message.Result.Events {
			r.add(event)
		}
	}
}

// storedEvent is a change in the format of etcd.
type storedEvent struct {
	Type string `json:"type"`
	KV   struct {
		Key         string `json:"key"`
		Value       string `json:"value"`
		ModRevision int64  `json:"mod_revision,string"`
	} `json:"kv"`
}

func (r *recorder) add(event storedEvent) {
	f := revision{at: time.Now()}
	path, err := base64.StdEncoding.DecodeString(event.KV.Key)
	if err == nil && event.Type != "DELETE" {
		var content []byte
		if content, err = base64.StdEncoding.DecodeString(event.KV.Value); err == nil {
			f.object = &v1alpha1.LoadBalancerHealth{}
			err = json.Unmarshal(content, f.object)
			f.object.ResourceVersion = strconv.FormatInt(event.KV.ModRevision, 10)
		}
	}
	namespace, name, _ := strings.Cut(strings.TrimPrefix(string(path), storedObjects), "/")
	key := client.ObjectKey{Namespace: namespace, Name: name}
	r.mu.Lock()
	if err != nil {
		r.lost = fmt.Errorf("%s cannot be decoded: %w", path, err)
	}
	r.revisions[key] = append(r.revisions[key], f)
	r.next = event.KV.ModRevision + 1
	r.mu.Unlock()
	r.changes.notify()
}

// revisionsOf returns the revisions of an object until now.
func (r *recorder) revisionsOf(object *v1alpha1.LoadBalancerHealth) []revision {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.revisions[client.ObjectKeyFromObject(object)])
}

// history waits until the last revision of an object is recorded, and returns all.
func (w *env) history(t *testing.T, r *recorder, object *v1alpha1.LoadBalancerHealth) (revisions []revision) {
	t.Helper()
	w.eventually(t, func(g Gomega) {
		revisions = r.revisionsOf(object)
		g.Expect(revisions).NotTo(BeEmpty())
		g.Expect(revisions[len(revisions)-1].object.ResourceVersion).To(Equal(w.get(g, object).ResourceVersion))
	})
	return revisions
}

// awaitRevision waits for a revision that satisfies a condition.
func (r *recorder) awaitRevision(t *testing.T, object *v1alpha1.LoadBalancerHealth, within time.Duration, what string, condition func(*v1alpha1.LoadBalancerHealth) bool) {
	t.Helper()
	r.changes.await(t, within, what, func() (string, bool) {
		revisions := r.revisionsOf(object)
		return "stored were:\n" + strings.Join(statusTexts(revisions), "\n"),
			slices.ContainsFunc(revisions, func(f revision) bool { return f.object != nil && condition(f.object) })
	})
}

// awaitDeletion waits until the last revision of an object is its deletion.
func (r *recorder) awaitDeletion(t *testing.T, object *v1alpha1.LoadBalancerHealth) {
	t.Helper()
	r.changes.await(t, patience, object.Name+" is deleted", func() (string, bool) {
		revisions := r.revisionsOf(object)
		return "it exists", len(revisions) > 0 && revisions[len(revisions)-1].object == nil
	})
}

// statusText has the conditions and rows of a status: what users and tools act on.
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

// statusTexts returns the texts of the statuses in the order in which they were stored. A status that differs only in
// fields that statusText omits is in the list, too. A write of labels or annotations is not.
func statusTexts(revisions []revision) []string {
	var texts []string
	var last *v1alpha1.LoadBalancerHealthStatus
	for _, f := range revisions {
		switch {
		case f.object == nil:
			texts = append(texts, "deleted")
			last = nil
		case len(f.object.Status.Conditions) == 0 || last == nil && statesOf(f.object)["Observed"] == "Unknown Pending":
			// The object is not observed yet. On a loaded machine its first observation is queued for long enough to say so.
		case last == nil || !apiequality.Semantic.DeepEqual(last, &f.object.Status):
			texts = append(texts, statusTextOf(f.object))
			last = &f.object.Status
		}
	}
	return texts
}

// mistakesIn returns what is wrong with the revisions, besides their texts: an observation without a response, or a
// lastTransitionTime without a transition.
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
			mistakes = append(mistakes, "a failed observation has a response: "+statusTextOf(f.object))
		}
		before := since
		since = map[backend]v1alpha1.BackendStatus{} // a backend that was removed and added again has a new lastTransitionTime
		for _, b := range status.Backends {
			key := backend{fmt.Sprint(b.ListenerPort, b.ListenerProtocol), b.ServerID}
			if was, known := before[key]; known && was.ServerHealthStatus == b.ServerHealthStatus && !was.LastTransitionTime.Equal(&b.LastTransitionTime) {
				mistakes = append(mistakes, b.ServerID+" has a new lastTransitionTime without a transition")
			}
			since[key] = b
		}
		last = status
	}
	return mistakes
}

// notifier wakes all that wait for a change.
type notifier struct {
	mu      sync.Mutex
	changed chan struct{}
}

func (n *notifier) notify() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

func (n *notifier) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	return n.changed
}

// await repeats a check at each change until it succeeds; found is for the failure message.
func (n *notifier) await(t *testing.T, within time.Duration, what string, check func() (found string, ok bool)) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		changed := n.next()
		found, ok := check()
		if ok {
			return
		}
		if deadline.Err() == nil {
			select {
			case <-changed:
				continue
			case <-deadline.Done():
			}
		}
		t.Fatalf("not within %s: %s; %s", within, what, found)
	}
}
