// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/test/internal/picture"
	"github.com/lbhealth/slb-health-operator/test/internal/rig"
)

const (
	// Time runs faster here than in a cluster: rules wait for seconds instead
	// of minutes, and look back as far as some scrapes need.
	quickFor   = "3s"
	quickKeep  = "8s"
	quickRange = "20s"
)

// server is a Prometheus that scrapes every second.
type server struct {
	*rig.Process
	url string
}

var lookBack = regexp.MustCompile(`\[\d+m\]`)

// hasten makes rules that fire within seconds, and changes nothing else.
func hasten(r rules) rules {
	for i := range r.Groups {
		for j := range r.Groups[i].Rules {
			one := &r.Groups[i].Rules[j]
			one.For = quickFor
			if one.KeepFor != "" {
				one.KeepFor = quickKeep
			}
			one.Expr = lookBack.ReplaceAllString(one.Expr, "["+quickRange+"]")
		}
	}
	return r
}

// startServer scrapes jobs, which are addresses by their names.
func startServer(t *testing.T, folder string, jobs map[string]string) *server {
	t.Helper()
	hasten(readRules(t)).write(t, filepath.Join(folder, "rules.yaml"))
	config := "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\nscrape_configs:\n"
	for _, name := range slices.Sorted(maps.Keys(jobs)) {
		config += fmt.Sprintf("- {job_name: %s, static_configs: [{targets: [%q]}]}\n", name, jobs[name])
	}
	path := filepath.Join(folder, "prometheus.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	p, err := rig.Start(t.Context(), folder, "prometheus", func(c *exec.Cmd) { c.Env = []string{"HOME=" + folder} }, program(t, "prometheus"),
		"--config.file="+path, "--storage.tsdb.path="+filepath.Join(folder, "tsdb"), "--web.listen-address="+address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	s := &server{p, "http://" + address}
	eventually(t, func(g Gomega) {
		g.Expect(p.Alive()).To(Succeed())
		g.Expect(s.get("/-/ready", nil)).Error().NotTo(HaveOccurred())
	})
	return s
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

// firing are the alerts that fire, with the object that each is about.
func (s *server) firing(g Gomega) []string {
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string            `json:"state"`
				Labels map[string]string `json:"labels"`
			} `json:"alerts"`
		} `json:"data"`
	}
	g.Expect(s.get("/api/v1/alerts", &answer)).Error().NotTo(HaveOccurred())
	var found []string
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			found = append(found, strings.TrimSuffix(a.Labels["alertname"]+" "+a.Labels["name"], " "))
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// series are what a query returns, by a path of the API.
func (s *server) series(path string, parameters url.Values) ([]picture.Series, error) {
	var answer struct {
		Data struct {
			Result []picture.Series `json:"result"`
		} `json:"data"`
	}
	_, err := s.get(path+"?"+parameters.Encode(), &answer)
	return answer.Data.Result, err
}

// results is how many series a query returns now.
func (s *server) results(g Gomega, query string) int {
	found, err := s.series("/api/v1/query", url.Values{"query": {query}})
	g.Expect(err).NotTo(HaveOccurred(), query)
	return len(found)
}
