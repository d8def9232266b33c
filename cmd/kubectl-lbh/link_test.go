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

	l := &link{}
	var response *http.Response
	var failure error
	transport := l.wrap(roundTripper(func(*http.Request) (*http.Response, error) { return response, failure }))
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, step := range []struct {
		ctx     context.Context
		status  int
		failure error
		want    string
	}{
		{t.Context(), http.StatusOK, nil, ""},
		{t.Context(), 0, errors.New("connection refused"), "does not answer: connection refused; what is shown may be old"},
		{t.Context(), 0, errors.New("connection refused"), ""},
		{gone, 0, context.Canceled, ""},
		{t.Context(), http.StatusForbidden, nil, "answers 403 Forbidden; what is shown may be old"},
		{t.Context(), http.StatusOK, nil, "answers again"},
		{t.Context(), http.StatusOK, nil, ""},
	} {
		request, err := http.NewRequestWithContext(step.ctx, http.MethodGet, "https://example.com", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, failure = &http.Response{StatusCode: step.status, Status: "403 Forbidden", Body: http.NoBody}, step.failure
		if answer, err := transport.RoundTrip(request); err == nil {
			_ = answer.Body.Close()
		}
		got := ""
		for _, told := range l.news(noon) {
			got += told.text
		}
		if got != step.want {
			t.Errorf("%+v: %q", step, got)
		}
	}
}
