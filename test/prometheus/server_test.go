// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	// Rules have a delay of seconds instead of minutes, and ranges that contain some
	// scrapes.
	quickFor   = "3s"
	quickKeep  = "8s"
	quickRange = "20s"
)

// server is a Prometheus that scrapes every second.
type server struct {
	*harness.Process
	url string
}

var minutes = regexp.MustCompile(`\[\d+m\]`)

// hasten makes rules fire, and record, within seconds, and changes nothing else.
func hasten(r rules) rules {
	for i := range r.Groups {
		r.Groups[i].Interval = ""
		for j := range r.Groups[i].Rules {
			one := &r.Groups[i].Rules[j]
			if one.Alert != "" {
				one.For = quickFor
			}
			if one.KeepFor != "" {
				one.KeepFor = quickKeep
			}
			one.Expr = minutes.ReplaceAllString(one.Expr, "["+quickRange+"]")
		}
	}
	return r
}

// recordsOf are the rules without alerts: an alert on an error budget would fire beside each other one.
func recordsOf(r rules) rules {
	for i := range r.Groups {
		r.Groups[i].Rules = slices.DeleteFunc(r.Groups[i].Rules, func(one rule) bool { return one.Alert != "" })
	}
	return r
}

// replica is a pod of an operator.
type replica struct{ job, pod, address string }

// scrapeConfigs are those of the Prometheus Operator for the shipped monitor, with its
// labels of targets.
func scrapeConfigs(t *testing.T, m monitor, replicas []replica) []map[string]any {
	t.Helper()
	var configs []map[string]any
	for _, r := range replicas {
		configs = append(configs, map[string]any{
			"job_name": r.job + "/" + r.pod, "honor_labels": m.honorLabels(t), "metric_relabel_configs": m.relabelConfigs,
			"static_configs": []any{map[string]any{"targets": []string{r.address}, "labels": map[string]string{
				"job": r.job, "namespace": operatorNamespace, "service": r.job, "pod": r.pod, "container": "manager", "endpoint": "https",
			}}},
		})
	}
	return configs
}

// startServer scrapes replicas every second.
func startServer(t *testing.T, folder string, m monitor, replicas []replica) *server {
	t.Helper()
	return startServerWith(t, folder, scrapeConfigs(t, m, replicas))
}

func startServerWith(t *testing.T, folder string, scrapes []map[string]any) *server {
	t.Helper()
	all := readRules(t)
	all.Groups = append(all.Groups, recordsOf(readRulesOf(t, sloFile)).Groups...)
	hasten(all).write(t, filepath.Join(folder, "rules.yaml"))
	p := harness.StartPrometheus(t, folder, map[string]any{
		"global":     map[string]string{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
		"rule_files": []string{"rules.yaml"}, "scrape_configs": scrapes,
	})
	return &server{p.Process, "http://" + p.Address}
}

func (s *server) get(path string, into any) (string, error) {
	response, err := http.Get(s.url + path)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	if into == nil {
		return string(body), nil
	}
	return string(body), json.Unmarshal(body, into)
}

// alert is one that fires.
type alert struct {
	State       string            `json:"state"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	ActiveAt    time.Time         `json:"activeAt"`
}

// about is the name of the alert, and namespace and name of its object.
func (a *alert) about() string {
	about := a.Labels["alertname"]
	if name := a.Labels["name"]; name != "" {
		about += " " + a.Labels["namespace"] + "/" + name
	}
	return about
}

// firing are the alerts that fire, by what they are about.
func (s *server) firing(g Gomega) map[string]alert {
	var response struct {
		Data struct {
			Alerts []alert `json:"alerts"`
		} `json:"data"`
	}
	g.Expect(s.get("/api/v1/alerts", &response)).Error().NotTo(HaveOccurred())
	found := map[string]alert{}
	for _, a := range response.Data.Alerts {
		if a.State == "firing" {
			g.Expect(found).NotTo(HaveKey(a.about()))
			found[a.about()] = a
		}
	}
	return found
}

// series is one of the results of a query.
type series struct {
	Metric map[string]string `json:"metric"`
	Value  point             `json:"value"`  // of a query
	Values []point           `json:"values"` // of a range
	name   string
	column string // of a table, the one of its value
}

// point is a time in Unix seconds, and a value as text.
type point [2]any

func (p point) at() float64 { return p[0].(float64) }

func (p point) value() float64 {
	v, err := strconv.ParseFloat(p[1].(string), 64)
	if err != nil {
		panic(err) // Prometheus writes numbers
	}
	return v
}

func (s *series) last() float64 { return s.Value.value() }

var label = regexp.MustCompile(`{{\s*(\w+)\s*}}`)

// legend is a format with the values of labels.
func (s *series) legend(format string) string {
	return strings.TrimSpace(label.ReplaceAllStringFunc(format, func(found string) string {
		return s.Metric[label.FindStringSubmatch(found)[1]]
	}))
}

// series sends a query to a path of the API.
func (s *server) series(path string, parameters url.Values) ([]series, error) {
	var response struct {
		Data struct {
			Result []series `json:"result"`
		} `json:"data"`
	}
	_, err := s.get(path+"?"+parameters.Encode(), &response)
	return response.Data.Result, err
}

// results is how many series a query returns now.
func (s *server) results(g Gomega, query string) int {
	found, err := s.series("/api/v1/query", url.Values{"query": {query}})
	g.Expect(err).NotTo(HaveOccurred(), query)
	return len(found)
}
