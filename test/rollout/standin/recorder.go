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
	samples []Sample
}

// Sample is how many backends served from a time on.
type Sample struct {
	Time    time.Time
	Serving int
}

// record adds a sample if the number changed.
func (r *Recorder) record() {
	r.mu.Lock()
	defer r.mu.Unlock()
	serving := r.count()
	if n := len(r.samples); n > 0 && r.samples[n-1].Serving == serving {
		return
	}
	r.samples = append(r.samples, Sample{time.Now(), serving})
}

// Restart forgets everything but the present.
func (r *Recorder) Restart() {
	r.mu.Lock()
	r.samples = nil
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
	return slices.MinFunc(r.samples, func(a, b Sample) int { return a.Serving - b.Serving }).Serving
}

// maxListed bounds the samples that String lists.
const maxListed = 40

// String lists the last samples, with the seconds since the first.
func (r *Recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var text strings.Builder
	for _, s := range r.samples[max(0, len(r.samples)-maxListed):] {
		fmt.Fprintf(&text, " %.1fs:%d", s.Time.Sub(r.samples[0].Time).Seconds(), s.Serving)
	}
	return strings.TrimSpace(text.String())
}
