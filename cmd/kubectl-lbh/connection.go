// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"sync"
	"time"
)

// connection records how the last request to the API server ended. client-go
// retries without an error, and a live view must show that its data may be old.
type connection struct {
	mu       sync.Mutex
	failure  string // "": the last request succeeded
	reported string // the failure in the last entry of transition
	skew     time.Duration
}

// wrap is for rest.Config.Wrap.
func (c *connection) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		if err == nil {
			c.measureSkew(response.Header.Get("Date"), time.Now())
		}
		switch {
		case request.Context().Err() != nil: // the plugin canceled it
		case err != nil:
			c.setFailure("is unreachable: " + err.Error())
		case response.StatusCode >= http.StatusBadRequest:
			c.setFailure("responds with " + response.Status)
		default:
			c.setFailure("")
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func (c *connection) setFailure(failure string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = failure
}

// measureSkew compares the API server's clock with the local one. A header Date
// has seconds only.
func (c *connection) measureSkew(date string, now time.Time) {
	at, err := http.ParseTime(date)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.skew = at.Sub(now); c.skew.Abs() < 2*time.Second {
		c.skew = 0
	}
}

// clockSkew is the API server's time minus the local time.
func (c *connection) clockSkew() time.Duration {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.skew
}

// errorSuffix is the last part of an error that the API server may have caused.
func (c *connection) errorSuffix() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == "" {
		return ""
	}
	return "; the API server " + c.failure
}

// transition is an entry when the failure is another one than in the last entry.
func (c *connection) transition(at time.Time) []logEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == c.reported {
		return nil
	}
	c.reported = c.failure
	if c.failure != "" {
		return []logEntry{{at, "API server", change{c.failure + "; the view may be old", yellow}}}
	}
	return []logEntry{{at, "API server", change{"is reachable again", green}}}
}
