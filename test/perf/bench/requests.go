// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// requested counts what the API server has served.
type requested struct {
	statusWrites int // also those that changed nothing
	events       int // created or patched
}

func (a *api) requested(ctx context.Context) (requested, error) {
	text, err := a.raw.Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return requested{}, fmt.Errorf("the API server's metrics: %w", err)
	}
	statusWrites, err := countRequests(string(text), `resource="`+resource+`"`, `subresource="status"`)
	if err != nil {
		return requested{}, err
	}
	events, err := countRequests(string(text), `group="events.k8s.io"`, `resource="events"`)
	return requested{statusWrites: statusWrites, events: events}, err
}

// countRequests sums apiserver_request_total over the series with these labels.
func countRequests(text string, labels ...string) (int, error) {
	total := 0.0
	for line := range strings.Lines(text) {
		series, found := strings.CutPrefix(line, "apiserver_request_total{")
		if !found || slices.ContainsFunc(labels, func(label string) bool { return !strings.Contains(series, label) }) {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(series[strings.LastIndexByte(series, ' '):]), 64)
		if err != nil {
			return 0, fmt.Errorf("the API server's metrics: %w", err)
		}
		total += value
	}
	return int(total), nil
}
