// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Recorder records how many backends of a load balancer serve: those that are normal
// behind every listener, and whose pod is not being deleted.
type Recorder struct {
	count func() int

	mu      sync.Mutex
	entries []Entry
}

// Entry is how many backends served from a time on.
type Entry struct {
	Time    time.Time
	Serving int
}

// record adds an entry if the number changed.
func (r *Recorder) record() {
	r.mu.Lock()
	defer r.mu.Unlock()
	serving := r.count()
	if n := len(r.entries); n > 0 && r.entries[n-1].Serving == serving {
		return
	}
	r.entries = append(r.entries, Entry{time.Now(), serving})
}

// Restart forgets everything but the present.
func (r *Recorder) Restart() {
	r.mu.Lock()
	r.entries = nil
	r.mu.Unlock()
	r.record()
}

// Serving returns how many backends serve now.
func (r *Recorder) Serving() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count()
}

// Fewest returns the fewest backends that served since Restart.
func (r *Recorder) Fewest() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.MinFunc(r.entries, func(a, b Entry) int { return a.Serving - b.Serving }).Serving
}

// maxListed bounds the entries that String lists.
const maxListed = 40

// String lists the last entries, with the seconds since the first.
func (r *Recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var text strings.Builder
	for _, s := range r.entries[max(0, len(r.entries)-maxListed):] {
		fmt.Fprintf(&text, " %.1fs:%d", s.Time.Sub(r.entries[0].Time).Seconds(), s.Serving)
	}
	return strings.TrimSpace(text.String())
}
