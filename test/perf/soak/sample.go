// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
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

// ofObjects is the prefix of the families whose series are of single objects.
const ofObjects = "slb_health_"

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
	series := scraped.Count()
	maps.DeleteFunc(series, func(family string, _ int) bool { return strings.HasPrefix(family, ofObjects) })
	return sample{
		Goroutines: scraped.Sum("go_goroutines"), RSS: float64(used.RSS), Heap: scraped.Sum("go_memstats_heap_inuse_bytes"),
		Files: float64(files), Connections: float64(sockets), Waiting: scraped.Sum("workqueue_depth"),
		Series: series,
	}, nil
}

// scrape is what a Prometheus would get.
func (o *operator) scrape(ctx context.Context) (harness.Series, error) {
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
	return harness.ParseSeries(string(content))
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
	counted := scraped.Count()
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
