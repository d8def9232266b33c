// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// An update is one stored status, or a new object, as a watch of the API server reports it.
type update struct {
	name, requestID string
	abnormal        int
	added           bool
	at              time.Time
}

// A watcher watches the objects. It decodes no more than it needs, because it
// shares the machine with the measured programs.
type watcher struct {
	mu      sync.Mutex
	seen    []update
	changed chan struct{}
	failure error
}

// versioned decodes only the resourceVersion of a response.
type versioned struct {
	Metadata struct {
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
}

// watchEvent is the part of a watch event that the watcher needs.
type watchEvent struct {
	Type   string `json:"type"`
	Object struct {
		Metadata struct {
			Name            string `json:"name"`
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
		Status struct {
			LastRequestID string `json:"lastRequestId"`
			Summary       struct {
				Abnormal int `json:"abnormal"`
			} `json:"summary"`
		} `json:"status"`
		Message string `json:"message"`
	} `json:"object"`
}

// watch records all updates from now on, until ctx is done.
func (a *api) watch(ctx context.Context) (*watcher, error) {
	var list versioned
	response, err := a.raw.Get().Resource(resource).Param("limit", "1").DoRaw(ctx)
	if err == nil {
		err = json.Unmarshal(response, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	w := &watcher{changed: make(chan struct{}, 1)}
	go w.run(ctx, a, list.Metadata.ResourceVersion)
	return w, nil
}

// run resumes the watch when the API server closes a stream, which it does for a
// CRD whenever the CRD changes.
func (w *watcher) run(ctx context.Context, a *api, version string) {
	for ctx.Err() == nil {
		var err error
		if version, err = w.stream(ctx, a, version); err != nil {
			w.add(watchEvent{}, err)
			return
		}
	}
}

// stream reads one stream until it is closed, and returns the last resourceVersion.
func (w *watcher) stream(ctx context.Context, a *api, version string) (string, error) {
	stream, err := a.raw.Get().Resource(resource).SetHeader("Accept", "application/json").Param("watch", "true").
		Param("resourceVersion", version).Param("timeoutSeconds", "3600").Stream(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = stream.Close() }()
	for decoder := json.NewDecoder(stream); ; {
		var e watchEvent
		switch err := decoder.Decode(&e); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return version, nil
		case err != nil:
			return "", err
		case e.Type == "ERROR":
			return "", errors.New(e.Object.Message)
		}
		version = e.Object.Metadata.ResourceVersion
		w.add(e, nil)
	}
}

func (w *watcher) add(e watchEvent, err error) {
	w.mu.Lock()
	switch {
	case err != nil:
		w.failure = fmt.Errorf("watch: %w", err)
	case e.Type == "MODIFIED", e.Type == "ADDED":
		w.seen = append(w.seen, update{
			name: e.Object.Metadata.Name, requestID: e.Object.Status.LastRequestID,
			abnormal: e.Object.Status.Summary.Abnormal, added: e.Type == "ADDED", at: time.Now(),
		})
	}
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// reset discards all updates so far.
func (w *watcher) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = nil
}

// updates returns all updates since reset; the caller must not modify them.
func (w *watcher) updates() ([]update, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clip(w.seen), w.failure
}

// waitFor waits until n different objects had an update that counts, and returns
// the first of each. At the limit, it returns those that arrived.
func (w *watcher) waitFor(ctx context.Context, n int, limit time.Duration, counts func(update) bool) ([]update, error) {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	names, first, next := map[string]bool{}, []update(nil), 0
	for {
		seen, err := w.updates()
		if err != nil {
			return nil, err
		}
		for ; next < len(seen); next++ {
			if u := seen[next]; !names[u.name] && counts(u) {
				names[u.name] = true
				first = append(first, u)
			}
		}
		if len(first) >= n {
			return first, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-deadline.C:
			return first, nil
		case <-w.changed:
		}
	}
}

// waitUntilQuiet waits until there was no update for a while.
func (w *watcher) waitUntilQuiet(ctx context.Context, quiet, limit time.Duration) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		silence := time.NewTimer(quiet)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return fmt.Errorf("statuses were still written after %s", limit)
		case <-silence.C:
			_, err := w.updates()
			return err
		case <-w.changed:
			silence.Stop()
		}
	}
}
