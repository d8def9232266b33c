// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
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

// A measurement contains the resources of the operator while there are no faults.
type measurement struct {
	At          time.Duration `json:"atNanoseconds"`
	Goroutines  float64       `json:"goroutines"`
	RSS         float64       `json:"rssBytes"`
	Heap        float64       `json:"heapBytes"`
	Files       float64       `json:"openFiles"`
	Connections float64       `json:"connections"`
	Queued      float64       `json:"workqueueDepth"`
	// Series are counted by family, without those of objects.
	Series map[string]int `json:"-"`
}

// objectPrefix is the prefix of families with series of single objects.
const objectPrefix = "slb_health_"

// A single measurement may be an outlier, so there are several in a row.
const (
	measurementsPerRound = 3
	measurementInterval  = 500 * time.Millisecond
)

func (s *soak) measure(ctx context.Context, at time.Duration) error {
	for range measurementsPerRound {
		m, err := s.operator.measure(ctx)
		if err != nil {
			return err
		}
		m.At = at
		s.measurements = append(s.measurements, m)
		if err := harness.Wait(ctx, measurementInterval); err != nil {
			return err
		}
	}
	return nil
}

func (o *operator) measure(ctx context.Context) (measurement, error) {
	scraped, err := o.scrape(ctx)
	if err != nil {
		return measurement{}, errors.Join(o.Alive(), err)
	}
	used, err := o.Usage()
	if err != nil {
		return measurement{}, err
	}
	files, sockets, err := openFiles(o.PID())
	if err != nil {
		return measurement{}, err
	}
	series := scraped.Count()
	maps.DeleteFunc(series, func(family string, _ int) bool { return strings.HasPrefix(family, objectPrefix) })
	return measurement{
		Goroutines: scraped.Sum("go_goroutines"), RSS: float64(used.RSS), Heap: scraped.Sum("go_memstats_heap_inuse_bytes"),
		Files: float64(files), Connections: float64(sockets), Queued: scraped.Sum("workqueue_depth"),
		Series: series,
	}, nil
}

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

// openFiles counts the open files of a process, and the sockets among them.
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

// checkSeries requires the series of every object, and no others.
func (s *soak) checkSeries(ctx context.Context) error {
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
	s.logf("%d series for %d objects, and no others", counted["slb_health_condition"], len(s.objects))
	return nil
}
