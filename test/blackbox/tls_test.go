// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

var tlsSpecs = []spec{
	{"a renewed metrics certificate is served without a restart", servesRenewedCertificates},
	{"metrics are served over HTTP/1.1 and TLS 1.2 or later only", speaksNoHTTP2},
}

// mounted is a folder in the layout that the kubelet uses for a Secret: its files are links through one link, which is
// replaced atomically.
type mounted struct{ folder string }

func (m mounted) renew(t *testing.T, c *harness.Certificate) {
	t.Helper()
	const link = "..data"
	current := filepath.Join(m.folder, link)
	before, _ := os.Readlink(current)
	next, err := os.MkdirTemp(m.folder, "..")
	if err != nil {
		t.Fatal(err)
	}
	for from, name := range map[string]string{c.CertFile: "server.crt", c.KeyFile: "server.key"} {
		if err := os.WriteFile(filepath.Join(next, name), []byte(readFile(t, from)), 0o600); err != nil {
			t.Fatal(err)
		}
		if before == "" {
			symlink(t, filepath.Join(link, name), filepath.Join(m.folder, name))
		}
	}
	symlink(t, filepath.Base(next), current+".next")
	if err := os.Rename(current+".next", current); err != nil {
		t.Fatal(err)
	}
	if before == "" {
		return
	}
	if err := os.RemoveAll(filepath.Join(m.folder, before)); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

// shakeHands connects, and returns the negotiated state.
func shakeHands(address string, roots *x509.CertPool, edit func(*tls.Config)) (tls.ConnectionState, error) {
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	edit(config)
	connection, err := tls.Dial("tcp", address, config)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	return connection.ConnectionState(), connection.Close()
}

func unchanged(*tls.Config) {}

// startSecure starts an operator that serves metrics with this certificate.
func (w *env) startSecure(t *testing.T, name string, certificate mounted) *operator {
	t.Helper()
	w.createNamespace(t, name)
	return w.startOperator(t, operatorOptions{
		name: name, account: w.mainAccount,
		args: []string{
			"--metrics-secure=true", "--metrics-cert-path=" + certificate.folder,
			"--metrics-cert-name=server.crt", "--metrics-cert-key=server.key",
		},
	})
}

func servesRenewedCertificates(t *testing.T, w *env) {
	old, renewed := newCertificate(t, 0), newCertificate(t, 0)
	certificate := mounted{t.TempDir()}
	certificate.renew(t, old)
	op := w.startSecure(t, "renewed", certificate)
	w.eventually(t, func(g Gomega) {
		_, err := shakeHands(op.metricsAddress, old.Pool, unchanged)
		g.Expect(err).NotTo(HaveOccurred())
	})
	certificate.renew(t, renewed)
	w.eventually(t, func(g Gomega) {
		state, err := shakeHands(op.metricsAddress, renewed.Pool, unchanged)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(state.PeerCertificates[0].Equal(renewed.TLS.Leaf)).To(BeTrue())
	})
	if !op.running() {
		t.Error("the operator has exited")
	}
}

func speaksNoHTTP2(t *testing.T, w *env) {
	g := NewWithT(t)
	self := newCertificate(t, 0)
	certificate := mounted{t.TempDir()}
	certificate.renew(t, self)
	op := w.startSecure(t, "http1", certificate)
	offering := func(protocols ...string) func(*tls.Config) {
		return func(c *tls.Config) { c.NextProtos = protocols }
	}
	w.eventually(t, func(g Gomega) { // readiness does not wait for the metrics server
		state, err := shakeHands(op.metricsAddress, self.Pool, offering("h2", "http/1.1"))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(state.NegotiatedProtocol).To(Equal("http/1.1"))
	})
	_, err := shakeHands(op.metricsAddress, self.Pool, offering("h2"))
	g.Expect(err).To(MatchError(ContainSubstring("no application protocol")))
	_, err = shakeHands(op.metricsAddress, self.Pool, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 })
	g.Expect(err).To(MatchError(ContainSubstring("protocol version")))
}
