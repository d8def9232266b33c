// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	// patience is for what takes an interval on an idle machine.
	patience = 90 * time.Second
	// pause is between two looks.
	pause = 300 * time.Millisecond
	// loadSlack is what a loaded machine may add to a time.
	loadSlack = 15 * time.Second
	// mainTimeout is --slb-timeout of the main operator.
	mainTimeout = 6 * time.Second
)

type operatorOptions struct {
	name       string
	user       *user // default: the one with role.yaml
	namespaces []string
	endpoint   string
	account    account
	args       []string
	// environment comes after all else, so that it prevails.
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

// launch starts an operator and waits for nothing.
func (w *env) launch(t *testing.T, o operatorOptions) *operator {
	t.Helper()
	u := o.user
	if u == nil {
		u = w.operator
	}
	op := &operator{metricsAddress: harness.FreeAddressFor(t), probeAddress: harness.FreeAddressFor(t), outputs: w.outputs}
	args := []string{
		"--kubeconfig=" + u.kubeconfig,
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

// operatorEnvironment leads nowhere beyond loopback.
func (w *env) operatorEnvironment() []string {
	return []string{
		"HOME=" + w.home,
		"SSL_CERT_FILE=" + w.certificate.CertFile,
		"ALIBABA_CLOUD_ECS_METADATA_DISABLED=true",
	}
}

// showOnFailure prints the operator's last lines when the test fails.
func (*env) showOnFailure(t *testing.T, op *operator) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last lines of operator %s:\n%s", op.Name, op.Tail())
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

// stop keeps the metrics for the search at the end, then asks for a clean end.
// One that has been ended by a spec stays as it is.
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
		return // served otherwise, or not at all
	}
	if err := os.WriteFile(filepath.Join(o.outputs, o.Name+".metrics"), []byte(body), 0o600); err != nil {
		t.Error(err)
	}
}

// metrics returns the series, spelled as they are served, with their values.
func (o *operator) metrics(g Gomega) harness.Series {
	status, body, err := get(http.DefaultClient, "http://"+o.metricsAddress+"/metrics", "")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(http.StatusOK))
	series, err := harness.ParseSeries(body)
	g.Expect(err).NotTo(HaveOccurred())
	return series
}

// get asks once, with a bearer token unless it is empty.
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
