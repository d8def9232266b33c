// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// A sample is what the operator holds at a quiet moment.
type sample struct {
	At          time.Duration `json:"atNanoseconds"`
	Goroutines  float64       `json:"goroutines"`
	RSS         float64       `json:"rssBytes"`
	Heap        float64       `json:"heapBytes"`
	Files       float64       `json:"openFiles"`
	Connections float64       `json:"connections"`
	Waiting     float64       `json:"workqueueDepth"`
	// Series are counted by family, without those of objects, which come and go with them.
	Series map[string]int `json:"-"`
}

// One sample may be of a bad moment, so several are taken in a row.
const (
	samplesEach = 3
	sampleEvery = 500 * time.Millisecond
)

func (s *soak) sample(ctx context.Context, at time.Duration) error {
	for range samplesEach {
		taken, err := s.operator.look(ctx)
		if err != nil {
			return err
		}
		taken.At = at
		s.samples = append(s.samples, taken)
		if err := harness.Wait(ctx, sampleEvery); err != nil {
			return err
		}
	}
	return nil
}

func (o *operator) look(ctx context.Context) (sample, error) {
	if err := o.Alive(); err != nil {
		return sample{}, err
	}
	scraped, err := o.scrape(ctx)
	if err != nil {
		return sample{}, err
	}
	used, err := o.Usage()
	if err != nil {
		return sample{}, err
	}
	files, sockets, err := openFiles(o.PID())
	if err != nil {
		return sample{}, err
	}
	return sample{
		Goroutines: scraped.sum("go_goroutines"), RSS: float64(used.RSS), Heap: scraped.sum("go_memstats_heap_inuse_bytes"),
		Files: float64(files), Connections: float64(sockets), Waiting: scraped.sum("workqueue_depth"),
		Series: scraped.families(),
	}, nil
}

// scrape is what a Prometheus would get.
func (o *operator) scrape(ctx context.Context) (series, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.metricsURL, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the operator's metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the operator's metrics: %s: %w", response.Status, err)
	}
	return parseSeries(string(content))
}

// series are values by name and labels, as they are served.
type series map[string]float64

func parseSeries(text string) (series, error) {
	all := series{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("the operator's metrics: %q: %w", line, err)
		}
		all[line[:at]] = value
	}
	return all, nil
}

func familyOf(name string) string {
	family, _, _ := strings.Cut(name, "{")
	return family
}

// sum is the total of a family.
func (s series) sum(family string) (total float64) {
	for name, value := range s {
		if familyOf(name) == family {
			total += value
		}
	}
	return total
}

// ofObjects is how the names of families start whose series are of single objects.
const ofObjects = "slb_health_"

func (s series) families() map[string]int {
	counted := map[string]int{}
	for name := range s {
		if family := familyOf(name); !strings.HasPrefix(family, ofObjects) {
			counted[family]++
		}
	}
	return counted
}

// openFiles counts a process's open files, and those that are connections or listen for some.
func openFiles(pid int) (files, sockets int, err error) {
	folder := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0, 0, fmt.Errorf("open files: %w", err)
	}
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(folder, entry.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		files++
		if strings.HasPrefix(target, "socket:") {
			sockets++
		}
	}
	return files, sockets, nil
}

// countSeries holds that no series outlives its object, and that each object has its own.
func (s *soak) countSeries(ctx context.Context) error {
	scraped, err := s.operator.scrape(ctx)
	if err != nil {
		return err
	}
	counted := map[string]int{}
	for name := range scraped {
		counted[familyOf(name)]++
	}
	const conditions, statuses = 5, 3
	for family, want := range map[string]int{
		"slb_health_condition":                 conditions * statuses * len(s.objects),
		"slb_health_info":                      len(s.objects),
		"slb_health_backend_transitions_total": statuses * len(s.objects),
	} {
		if counted[family] != want {
			return fmt.Errorf("%d series of %s, want %d for %d objects", counted[family], family, want, len(s.objects))
		}
	}
	s.say("%d series of %d objects, none of others", counted["slb_health_condition"], len(s.objects))
	return nil
}
