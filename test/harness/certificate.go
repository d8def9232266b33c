// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/cert"
)

// Certificate is a self-signed serving certificate for loopback, also in
// files. Go programs trust it by SSL_CERT_FILE.
type Certificate struct {
	CertFile, KeyFile string
	TLS               tls.Certificate
	Pool              *x509.CertPool
}

// NewCertificate writes certificate.pem and key.pem into the folder. It is valid
// from an hour ago for maxAge (0: a year), also for further DNS names.
func NewCertificate(folder string, maxAge time.Duration, names ...string) (*Certificate, error) {
	certPEM, keyPEM, err := cert.GenerateSelfSignedCertKeyWithOptions(cert.SelfSignedCertKeyOptions{
		Host: "127.0.0.1", AlternateDNS: names, MaxAge: maxAge,
	})
	if err != nil {
		return nil, fmt.Errorf("a certificate: %w", err)
	}
	c := &Certificate{CertFile: filepath.Join(folder, "certificate.pem"), KeyFile: filepath.Join(folder, "key.pem"), Pool: x509.NewCertPool()}
	for path, content := range map[string][]byte{c.CertFile: certPEM, c.KeyFile: keyPEM} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, fmt.Errorf("a certificate: %w", err)
		}
	}
	c.Pool.AppendCertsFromPEM(certPEM)
	c.TLS, err = tls.X509KeyPair(certPEM, keyPEM)
	return c, err
}

// ServerConfig serves with the certificate.
func (c *Certificate) ServerConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.TLS}, MinVersion: tls.VersionTLS12}
}

// Client trusts this certificate alone.
func (c *Certificate) Client(timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: c.Pool, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: keptConnections,
	}}
}

// keptConnections stay open for concurrent calls.
const keptConnections = 32
