// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"testing"
)

func TestConnectionReportsFailureOnce(t *testing.T) {
	t.Parallel()

	c := &connection{}
	var response *http.Response
	var failure error
	transport := c.wrap(roundTripper(func(*http.Request) (*http.Response, error) { return response, failure }))
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, step := range []struct {
		ctx     context.Context
		status  int
		failure error
		want    string
	}{
		{t.Context(), http.StatusOK, nil, ""},
		{t.Context(), 0, errors.New("connection refused"), "is unreachable: connection refused; the view may be old"},
		{t.Context(), 0, errors.New("connection refused"), ""},
		{canceled, 0, context.Canceled, ""},
		{t.Context(), http.StatusForbidden, nil, "responds with 403 Forbidden; the view may be old"},
		{t.Context(), http.StatusOK, nil, "is reachable again"},
		{t.Context(), http.StatusOK, nil, ""},
	} {
		request, err := http.NewRequestWithContext(step.ctx, http.MethodGet, "https://example.com", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, failure = &http.Response{StatusCode: step.status, Status: "403 Forbidden", Body: http.NoBody}, step.failure
		if received, err := transport.RoundTrip(request); err == nil {
			_ = received.Body.Close()
		}
		got := ""
		for _, entry := range c.transition(noon) {
			got += entry.text
		}
		if got != step.want {
			t.Errorf("%+v: %q", step, got)
		}
	}
}
