// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// formerChart returns a file with the chart of commit f441a1b, without its README and dashboard.
func formerChart(t *testing.T) string {
	t.Helper()
	archive, err := base64.StdEncoding.DecodeString(string(harness.ReadFile(t, "testdata/chart-f441a1b.tgz.base64")))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "chart.tgz")
	if err := os.WriteFile(path, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// status is one that the operator of formerChart wrote.
const status = `{
	"observedGeneration": 1, "lastObservedTime": "2026-01-02T03:04:05Z", "lastRequestId": "0F7A…", "lastHandledObserveRequest": "1",
	"summary": {"listeners": 1, "backends": 2, "normal": 1, "abnormal": 1, "unavailable": 0},
	"listeners": [{"port": 443, "protocol": "https", "health": "Healthy", "backends": 2, "normal": 1, "abnormal": 1, "unavailable": 0}],
	"backends": [
		{"serverId": "i-1", "serverIp": "10.0.0.1", "type": "ecs", "listenerPort": 443, "listenerProtocol": "https", "port": 8443, "serverHealthStatus": "abnormal", "lastTransitionTime": "2026-01-02T03:00:00Z"},
		{"serverId": "i-2", "serverIp": "10.0.0.2", "type": "ecs", "listenerPort": 443, "listenerProtocol": "https", "port": 8443, "serverHealthStatus": "normal", "lastTransitionTime": "2026-01-01T00:00:00Z"}
	],
	"conditions": [
		{"type": "Healthy", "status": "True", "reason": "MinHealthyMet", "message": "1 of 2", "observedGeneration": 1, "lastTransitionTime": "2026-01-02T03:00:00Z"},
		{"type": "Ready", "status": "True", "reason": "MinHealthyMet", "message": "1 of 2", "observedGeneration": 1, "lastTransitionTime": "2025-12-01T00:00:00Z"}
	]
}`

// helm runs Helm as an administrator.
func (c *cluster) helm(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	return run(t, []string{"HOME=" + t.TempDir(), "KUBECONFIG=" + c.kubeconfig}, nil, helmPath(t), args...)
}

func (c *cluster) mustHelm(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := c.helm(t, args...)
	if err != nil {
		t.Fatalf("helm %q: %v", args, err)
	}
	return out
}

// released are the objects of a release as the API server has them.
func (c *cluster) released(t *testing.T, release, namespace string) objects {
	t.Helper()
	found := parse(t, c.mustHelm(t, "get", "manifest", release, "--namespace", namespace))
	for i := range found {
		c.get(t, client.ObjectKeyFromObject(&found[i]), &found[i])
	}
	return found
}

// verifySame demands that objects are still there, and that nothing replaced them.
func (c *cluster) verifySame(t *testing.T, before objects, when string) {
	t.Helper()
	for _, object := range before {
		c.demand(t, &object, when)
	}
}

// verifyUnchanged compares an object to what it was.
func (c *cluster) verifyUnchanged(t *testing.T, before unstructured.Unstructured, when string) {
	t.Helper()
	now := before.DeepCopy()
	c.get(t, client.ObjectKeyFromObject(now), now)
	if difference := cmp.Diff(before.Object, now.Object); difference != "" {
		t.Errorf("%s changed %s:\n%s", identity(before), when, difference)
	}
}

// uninstall uninstalls a release, and removes the CRD.
func (c *cluster) uninstall(t *testing.T, release, namespace string) {
	t.Helper()
	c.mustHelm(t, "uninstall", release, "--namespace", namespace)
	if _, err := c.kubectl(t, nil, "delete", "crd", crdName); err != nil {
		t.Fatal(err)
	}
}

// observed is a LoadBalancerHealth with a status and an event.
func (c *cluster) observed(t *testing.T) objects {
	t.Helper()
	object := c.createObject(t)
	var written map[string]any
	if err := json.Unmarshal([]byte(status), &written); err != nil {
		t.Fatal(err)
	}
	object.Object["status"] = written
	if err := c.admin.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: object.GetNamespace(), Name: "web." + string(object.GetUID())}, EventTime: metav1.NowMicro(),
		ReportingController: "slb-health-operator", ReportingInstance: "one", Action: "Observe", Type: "Warning", Reason: "BackendAbnormal",
	}
	event.Regarding.UID, event.Regarding.Name, event.Regarding.Namespace = object.GetUID(), object.GetName(), object.GetNamespace()
	if err := c.admin.Create(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	kept := &unstructured.Unstructured{}
	kept.SetGroupVersionKind(eventsv1.SchemeGroupVersion.WithKind("Event"))
	c.get(t, client.ObjectKeyFromObject(event), kept)
	return objects{*object, *kept}
}

// regionLength is the bound of spec.regionId in the CRD, which formerChart had at 64.
func (c *cluster) regionLength(t *testing.T) string {
	t.Helper()
	out, err := c.kubectl(t, nil, "get", "crd", crdName, "--output", "jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.regionId.maxLength}")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// testUpgrade upgrades from formerChart, back, and again, with the flags that people use.
func testUpgrade(t *testing.T, c *cluster) {
	c.mustHelm(t, "install", release, formerChart(t), "--namespace", namespace, "--set",
		"replicas=3,metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.labels.release=prometheus,metrics.prometheusRule.enabled=true")
	before := c.released(t, release, namespace)
	history := c.observed(t)
	// A region that the CRD now refuses.
	odd := newObject("odd", "zz-nowhere")
	if err := c.admin.Create(t.Context(), odd); err != nil {
		t.Fatal(err)
	}
	history = append(history, *odd)

	chart := absolute(t, chartFolder)
	for _, step := range []struct {
		length string
		args   []string
	}{
		{"63", []string{"upgrade", release, chart, "--reset-then-reuse-values"}},
		{"64", []string{"rollback", release, "1"}},
		{"63", []string{"upgrade", release, chart, "--reuse-values"}},
	} {
		when := "after helm " + strings.Join(step.args, " ")
		c.mustHelm(t, append(step.args, "--namespace", namespace)...)
		if got := c.regionLength(t); got != step.length {
			t.Errorf("regionId may have %s characters, not %s, %s", got, step.length, when)
		}
		c.verifySame(t, before, when)
		for _, object := range history {
			c.verifyUnchanged(t, object, when)
		}
		now := c.released(t, release, namespace)
		if got := field(now.of("Deployment")[0].Object, "spec.replicas"); got != int64(3) {
			t.Errorf("%v replicas %s", got, when)
		}
		if got := field(now.of("ServiceMonitor")[0].Object, "metadata.labels.release"); got != "prometheus" {
			t.Errorf("the ServiceMonitor has the label %v %s", got, when)
		}
	}
	if out := c.mustHelm(t, "history", release, "--namespace", namespace, "--output", "json"); strings.Count(string(out), `"revision"`) != 4 {
		t.Errorf("Helm's history is %s", out)
	}
	c.uninstall(t, release, namespace)
}

// testUpgradeOfLongName demands the names that formerChart gave: a RAM role trusts one of
// them, and a binding of the user names another.
func testUpgradeOfLongName(t *testing.T, c *cluster) {
	long := strings.Repeat("long-release-", 4) + "a"
	c.mustHelm(t, "install", long, formerChart(t), "--namespace", namespace)
	before := c.released(t, long, namespace)
	for range 2 {
		c.mustHelm(t, "upgrade", long, absolute(t, chartFolder), "--namespace", namespace, "--reset-then-reuse-values")
		c.verifySame(t, before, "after an upgrade")
		if now := c.released(t, long, namespace); len(now) != len(before) {
			t.Errorf("the release had %d objects, and has %d", len(before), len(now))
		}
	}
	c.uninstall(t, long, namespace)
}

// testOtherRelease installs under another name, as the README says, after an uninstall.
func testOtherRelease(t *testing.T, c *cluster) {
	chart := absolute(t, chartFolder)
	r := newReadme(t, c)
	c.mustHelm(t, "install", "first", chart, "--namespace", namespace)
	history := c.observed(t)
	c.mustHelm(t, "uninstall", "first", "--namespace", namespace)
	if _, err := c.helm(t, "install", "slb-health", chart, "--namespace", namespace); err == nil || !strings.Contains(err.Error(), "release-name") {
		t.Errorf("Helm took the CRD of another release: %v", err)
	}
	r.all(t, "Another release name", chart)
	c.mustHelm(t, "upgrade", "slb-health", chart, "--namespace", namespace, "--reset-then-reuse-values")
	for _, object := range history {
		c.verifyUnchanged(t, object, "after another release")
	}
	c.uninstall(t, "slb-health", namespace)
}

// testUmbrella disables the chart in an umbrella chart, and enables it again.
func testUmbrella(t *testing.T, c *cluster) {
	folder := umbrella(t, "lbh", "lbh: {enabled: true}\n")
	c.mustHelm(t, "install", "platform", folder, "--namespace", namespace)
	history := c.observed(t)
	for _, enabled := range []string{"false", "true"} {
		c.mustHelm(t, "upgrade", "platform", folder, "--namespace", namespace, "--set", "lbh.enabled="+enabled)
		for _, object := range history {
			c.verifyUnchanged(t, object, "with enabled: "+enabled)
		}
	}
	c.uninstall(t, "platform", namespace)
}
