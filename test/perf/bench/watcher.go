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

// A change is one stored status, as seen by a watch of the API server.
type change struct {
	name, requestID string
	abnormal        int
	at              time.Time
}

// A watcher follows the objects. It decodes no more than it needs, because it
// shares the machine with what is measured.
type watcher struct {
	mu      sync.Mutex
	seen    []change
	changed chan struct{}
	failure error
}

// watchEvent is the part of a watch event that is looked at.
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

// watch follows all changes from now on, until ctx ends.
func (a *api) watch(ctx context.Context) (*watcher, error) {
	var list struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
	}
	answer, err := a.raw.Get().Resource(resource).Param("limit", "1").DoRaw(ctx)
	if err == nil {
		err = json.Unmarshal(answer, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	w := &watcher{changed: make(chan struct{}, 1)}
	go w.follow(ctx, a, list.Metadata.ResourceVersion)
	return w, nil
}

// follow starts over where a stream ended: the API server ends those of a CRD
// whenever something about the CRD changes.
func (w *watcher) follow(ctx context.Context, a *api, version string) {
	for ctx.Err() == nil {
		var err error
		if version, err = w.stream(ctx, a, version); err != nil {
			w.add(watchEvent{}, err)
			return
		}
	}
}

// stream reads one stream to its end, and returns the version that it came to.
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
	case e.Type == "MODIFIED":
		w.seen = append(w.seen, change{
			name: e.Object.Metadata.Name, requestID: e.Object.Status.LastRequestID,
			abnormal: e.Object.Status.Summary.Abnormal, at: time.Now(),
		})
	}
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// forget starts a new record.
func (w *watcher) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = nil
}

// record is what was seen since forget; the caller must not change it.
func (w *watcher) record() ([]change, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clip(w.seen), w.failure
}

// until waits until n different objects had a change that counts, and returns
// the first of each. When that takes longer than the limit, it returns what came.
func (w *watcher) until(ctx context.Context, n int, limit time.Duration, counts func(change) bool) ([]change, error) {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	names, first, next := map[string]bool{}, []change(nil), 0
	for {
		seen, err := w.record()
		if err != nil {
			return nil, err
		}
		for ; next < len(seen); next++ {
			if c := seen[next]; !names[c.name] && counts(c) {
				names[c.name] = true
				first = append(first, c)
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
