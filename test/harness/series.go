// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"k8s.io/client-go/rest"
)

// Series are the values of Prometheus metrics by name and labels, both as the endpoint spells them.
type Series map[string]float64

// ParseSeries reads the text format of Prometheus.
func ParseSeries(text string) (Series, error) {
	all := Series{}
	for row := range strings.Lines(text) {
		row = strings.TrimSpace(row)
		space := strings.LastIndexByte(row, ' ')
		if space < 0 || strings.HasPrefix(row, "#") {
			continue
		}
		value, err := strconv.ParseFloat(row[space+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("the metric %q: %w", row, err)
		}
		all[row[:space]] = value
	}
	return all, nil
}

// Sum returns the total of the series of a family that have all labels, such as `code="200"`.
func (s Series) Sum(family string, labels ...string) (total float64) {
	for name, value := range s {
		missing := func(label string) bool { return !strings.Contains(name, label) }
		if familyOf(name) == family && !slices.ContainsFunc(labels, missing) {
			total += value
		}
	}
	return total
}

// Count returns the number of series of each family.
func (s Series) Count() map[string]int {
	counted := map[string]int{}
	for name := range s {
		counted[familyOf(name)]++
	}
	return counted
}

func familyOf(name string) string {
	family, _, _ := strings.Cut(name, "{")
	return family
}

// ScrapeAPIServer reads the metrics of an API server.
func ScrapeAPIServer(ctx context.Context, client rest.Interface) (Series, error) {
	text, err := client.Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("the API server's metrics: %w", err)
	}
	return ParseSeries(string(text))
}

// Scrape reads the metrics that a program serves at an address, host:port.
func Scrape(ctx context.Context, address string) (Series, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return ParseSeries(string(text))
}
