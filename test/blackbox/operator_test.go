// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	// patience is the timeout for what needs one interval on an idle machine.
	patience = 90 * time.Second
	// pause is the polling interval.
	pause = 300 * time.Millisecond
	// loadSlack is the delay that a loaded machine may add.
	loadSlack = 15 * time.Second
	// mainTimeout is --slb-timeout of the main operator.
	mainTimeout = 6 * time.Second
)

type operatorOptions struct {
	name       string
	user       *user    // default: the one with role.yaml
	namespaces []string // default: the name, up to a dot
	endpoint   string   // default: the simulator
	account    account
	args       []string
	// environment overrides the variables of the operator.
	environment []string
}

// operator is a running operator that is ready.
type operator struct {
	*process
	metricsAddress string
	probeAddress   string
	outputs        string
	stopped        bool
}

func (w *env) startOperator(t *testing.T, o operatorOptions) *operator {
	t.Helper()
	op := w.launch(t, o)
	t.Cleanup(func() { op.stop(t) })
	op.awaitReady(t)
	return op
}

// launch starts an operator, and does not wait until it is ready.
func (w *env) launch(t *testing.T, o operatorOptions) *operator {
	t.Helper()
	if o.user == nil {
		o.user = w.operator
	}
	if o.namespaces == nil {
		namespace, _, _ := strings.Cut(o.name, ".")
		o.namespaces = []string{namespace}
	}
	if o.endpoint == "" {
		o.endpoint = w.simulator.URL
	}
	op := &operator{metricsAddress: harness.FreeAddressFor(t), probeAddress: harness.FreeAddressFor(t), outputs: w.outputs}
	args := []string{
		"--kubeconfig=" + o.user.kubeconfig,
		"--slb-endpoint=" + o.endpoint,
		"--metrics-bind-address=" + op.metricsAddress, "--metrics-secure=false",
		"--health-probe-bind-address=" + op.probeAddress,
		"--zap-log-level=127",
	}
	for _, namespace := range o.namespaces {
		args = append(args, "--watch-namespace="+namespace)
	}
	environment := slices.Concat(w.operatorEnvironment(), o.account.environment(), o.environment)
	op.process = start(t, w.outputs, o.name, w.programs.operator, environment, append(args, o.args...)...)
	w.showOnFailure(t, op)
	return op
}

// operatorEnvironment keeps an operator on loopback.
func (w *env) operatorEnvironment() []string {
	return []string{
		"HOME=" + w.home,
		"SSL_CERT_FILE=" + w.certificate.CertFile,
		"ALIBABA_CLOUD_ECS_METADATA_DISABLED=true",
	}
}

// showOnFailure prints the last log lines of the operator when the test fails.
func (*env) showOnFailure(t *testing.T, op *operator) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last log lines of operator %s:\n%s", op.Name, op.Tail())
		}
	})
}

func (o *operator) awaitReady(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		if !o.running() {
			t.Fatalf("operator %s ended before it was ready:\n%s", o.Name, o.Tail())
		}
		if status, _, err := get(http.DefaultClient, "http://"+o.probeAddress+"/readyz", ""); err == nil && status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("operator %s is not ready after %s:\n%s", o.Name, patience, o.Tail())
		}
	}
}

// stop saves the metrics for the search for secrets, and terminates the operator unless a spec has done so.
func (o *operator) stop(t *testing.T) {
	t.Helper()
	if o.stopped || !o.running() {
		return
	}
	o.stopped = true
	o.keepMetrics(t)
	o.terminate(t, stopGrace)
}

func (o *operator) keepMetrics(t *testing.T) {
	t.Helper()
	status, body, err := get(http.DefaultClient, "http://"+o.metricsAddress+"/metrics", "")
	if err != nil || status != http.StatusOK {
		return // metrics are secured or disabled
	}
	if err := os.WriteFile(filepath.Join(o.outputs, o.Name+".metrics"), []byte(body), 0o600); err != nil {
		t.Error(err)
	}
}

// metrics returns the values of all series; the keys have the format of the metrics endpoint.
func (o *operator) metrics(g Gomega) harness.Series {
	status, body, err := get(http.DefaultClient, "http://"+o.metricsAddress+"/metrics", "")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(http.StatusOK))
	series, err := harness.ParseSeries(body)
	g.Expect(err).NotTo(HaveOccurred())
	return series
}

// get sends one request, with a bearer token unless it is empty.
func get(c *http.Client, url, token string) (status int, body string, err error) {
	request, err := http.NewRequest(http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}
