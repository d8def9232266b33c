// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// scraping is what a ServiceMonitor contains of authorization.
type scraping struct {
	Spec struct {
		ScrapeClass string
		Endpoints   []struct {
			BearerTokenFile string
			Authorization   struct{ Credentials map[string]string }
		}
	}
}

// TestScrapeAuthorization compares the token that the ServiceMonitor names to the
// objects that the chart creates for it.
func TestScrapeAuthorization(t *testing.T) {
	const monitor = "metrics.serviceMonitor."
	own := map[string]string{"name": "slb-health-operator-metrics-scraper-token", "key": "token"}
	for name, test := range map[string]struct {
		set         string
		credentials map[string]string
		scrapeClass string
		objects     map[string]int // of the account
	}{
		"the chart's account":               {"", own, "", map[string]int{"Secret": 1, "ServiceAccount": 1, "ClusterRoleBinding": 1}},
		"the chart's account, without RBAC": {",rbac.create=false", own, "", map[string]int{"Secret": 1, "ServiceAccount": 1}},
		"values of an older chart": {
			"," + monitor + "authorization=null", own, "", map[string]int{"Secret": 1, "ServiceAccount": 1, "ClusterRoleBinding": 1},
		},
		"another Secret": {
			"," + monitor + "authorization.create=false," + monitor + "authorization.credentials.name=prometheus," + monitor + "authorization.credentials.key=bearer",
			map[string]string{"name": "prometheus", "key": "bearer"}, "", map[string]int{},
		},
		"a scrape class": {"," + monitor + "authorization.create=false," + monitor + "scrapeClass=own-token", nil, "own-token", map[string]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			rendered := parse(t, template(t, "", "--set", monitor+"enabled=true"+test.set))
			var got scraping
			decode(t, rendered.of("ServiceMonitor")[0], &got)
			endpoint := got.Spec.Endpoints[0]
			if endpoint.BearerTokenFile != "" {
				t.Errorf("it reads the file %s of Prometheus", endpoint.BearerTokenFile)
			}
			if diff := cmp.Diff(test.credentials, endpoint.Authorization.Credentials); diff != "" {
				t.Error(diff)
			}
			if got.Spec.ScrapeClass != test.scrapeClass {
				t.Errorf("scrape class %q", got.Spec.ScrapeClass)
			}
			if diff := cmp.Diff(test.objects, scraperObjects(rendered)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// scraperObjects counts the objects of the account by kind.
func scraperObjects(rendered objects) map[string]int {
	counted := map[string]int{}
	for _, object := range rendered {
		switch object.GetName() {
		case "slb-health-operator-metrics-scraper", "slb-health-operator-metrics-scraper-token":
			counted[object.GetKind()]++
		}
	}
	return counted
}
