// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// A preparedPatch flips the first backend of one object.
type preparedPatch struct {
	name, requestID string
	body            []byte
}

// patcherWorker is the limit of writing: it sends patches that it prepared before
// the measurement, and ignores the responses. It prints when it sent each patch, by
// request id.
func patcherWorker(ctx context.Context, o workerOptions, out io.Writer) error {
	config, err := o.restConfig()
	if err != nil {
		return err
	}
	a, err := newAPI(config)
	if err != nil {
		return err
	}
	patches, err := prepare(ctx, a, o.count)
	if err != nil {
		return err
	}
	sent := make([]time.Time, len(patches))
	send := func(i int) error {
		sent[i] = time.Now()
		_, err := a.write(ctx, operatorForm, patches[i].name, patches[i].body)
		return err
	}
	if o.rate > 0 {
		err = startAtRate(ctx, o.rate, len(patches), send)
	} else {
		err = parallel(o.concurrency, patches, func(i int, _ preparedPatch) error { return send(i) })
	}
	if err != nil {
		return err
	}
	times := make(map[string]time.Time, len(patches))
	for i := range patches {
		times[patches[i].requestID] = sent[i]
	}
	return json.NewEncoder(out).Encode(times)
}

// prepare returns patches of the first n objects.
func prepare(ctx context.Context, a *api, n int) ([]preparedPatch, error) {
	objects, err := a.list(ctx)
	if err != nil {
		return nil, err
	}
	if len(objects) < n {
		return nil, fmt.Errorf("there are %d objects, not %d", len(objects), n)
	}
	patches := make([]preparedPatch, n)
	for i := range patches {
		stored := &objects[i]
		next := *stored
		next.Status = flip(&stored.Status, newRequestID())
		body, err := operatorForm.body(stored, &next)
		if err != nil {
			return nil, err
		}
		patches[i] = preparedPatch{name: stored.Name, requestID: next.Status.LastRequestID, body: body}
	}
	return patches, nil
}
