// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"sync"
	"time"
)

// A link remembers how the last request to the API server ended. client-go
// tries again by itself and says nothing, and a view that shows old things must
// not look as if they were current.
type link struct {
	mu      sync.Mutex
	trouble string // "" while the API server answers
	told    string // what news said last
	skew    time.Duration
}

// wrap is for rest.Config.Wrap.
func (l *link) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		if err == nil {
			l.compare(response.Header.Get("Date"), time.Now())
		}
		switch {
		case request.Context().Err() != nil: // we went away, not they
		case err != nil:
			l.set("does not answer: " + err.Error())
		case response.StatusCode >= http.StatusBadRequest:
			l.set("answers " + response.Status)
		default:
			l.set("")
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func (l *link) set(trouble string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble = trouble
}

// compare learns the API server's clock. A header Date has seconds only.
func (l *link) compare(date string, now time.Time) {
	at, err := http.ParseTime(date)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.skew = at.Sub(now); l.skew.Abs() < 2*time.Second {
		l.skew = 0
	}
}

// ahead is how far the API server's clock is ahead of this machine's.
func (l *link) ahead() time.Duration {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.skew
}

// besides is for the end of a message that the API server may have a part in.
func (l *link) besides() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trouble == "" {
		return ""
	}
	return "; the API server " + l.trouble
}

// news is a line when something is wrong that was not, or the other way round.
func (l *link) news(at time.Time) []line {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trouble == l.told {
		return nil
	}
	l.told = l.trouble
	c := change{"answers again", green}
	if l.trouble != "" {
		c = change{l.trouble + "; what is shown may be old", yellow}
	}
	return []line{{at, "API server", c}}
}
