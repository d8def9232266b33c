// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// A preparedWrite flips the first backend of one object.
type preparedWrite struct {
	name, requestID string
	body            []byte
}

// bareWriterWorker is the limit of writing: it sends writes that it prepared before
// the measurement, and ignores the responses. It prints when it sent each write, by
// request id.
func bareWriterWorker(ctx context.Context, o workerOptions, out io.Writer) error {
	config, err := o.restConfig()
	if err != nil {
		return err
	}
	a, err := newAPI(config)
	if err != nil {
		return err
	}
	writes, err := prepare(ctx, a, o.count)
	if err != nil {
		return err
	}
	sent := make([]time.Time, len(writes))
	send := func(i int) error {
		sent[i] = time.Now()
		_, err := a.write(ctx, operatorForm, writes[i].name, writes[i].body)
		return err
	}
	if o.rate > 0 {
		err = startAtRate(ctx, o.rate, len(writes), send)
	} else {
		err = parallel(o.concurrency, writes, func(i int, _ preparedWrite) error { return send(i) })
	}
	if err != nil {
		return err
	}
	times := make(map[string]time.Time, len(writes))
	for i := range writes {
		times[writes[i].requestID] = sent[i]
	}
	return json.NewEncoder(out).Encode(times)
}

// prepare returns writes of the first n objects.
func prepare(ctx context.Context, a *api, n int) ([]preparedWrite, error) {
	objects, err := a.list(ctx)
	if err != nil {
		return nil, err
	}
	if len(objects) < n {
		return nil, fmt.Errorf("there are %d objects, not %d", len(objects), n)
	}
	writes := make([]preparedWrite, n)
	for i := range writes {
		stored := &objects[i]
		next := *stored
		next.Status = flip(&stored.Status, newRequestID())
		body, err := operatorForm.body(stored, &next)
		if err != nil {
			return nil, err
		}
		writes[i] = preparedWrite{name: stored.Name, requestID: next.Status.LastRequestID, body: body}
	}
	return writes, nil
}
