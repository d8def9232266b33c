// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"fmt"
	"path/filepath"

	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// certificate names the files of a TLS certificate and its key.
type certificate struct {
	folder, name, key string
}

// check tells whether the certificate can be served. The metrics server would
// take one of its own, without a word, for files that are not there.
func (c certificate) check() error {
	if c.folder == "" {
		return nil
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(c.folder, c.name), filepath.Join(c.folder, c.key)); err != nil {
		return fmt.Errorf("--metrics-cert-path has no certificate that can be served: %w", err)
	}
	return nil
}

// metricsServing says how metrics are served. The metrics server reads a
// certificate that it was given again when its files change.
func metricsServing(o *options) (metricsserver.Options, error) {
	serving := metricsserver.Options{BindAddress: o.metricsAddress, SecureServing: o.metricsSecure}
	if !o.metricsSecure {
		return serving, nil
	}
	if err := o.metricsCertificate.check(); err != nil {
		return serving, err
	}
	serving.CertDir, serving.CertName, serving.KeyName = o.metricsCertificate.folder, o.metricsCertificate.name, o.metricsCertificate.key
	serving.FilterProvider = filters.WithAuthenticationAndAuthorization
	serving.TLSOpts = []func(*tls.Config){func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }} // HTTP/2 off
	return serving, nil
}
