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

// check returns an error for a certificate that cannot be loaded. For missing
// files, the metrics server would silently create a self-signed one.
func (c certificate) check() error {
	if c.folder == "" {
		return nil
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(c.folder, c.name), filepath.Join(c.folder, c.key)); err != nil {
		return fmt.Errorf("--metrics-cert-path has no valid certificate: %w", err)
	}
	return nil
}

// metricsServing returns the options of the metrics server, which reloads the
// certificate when its files change.
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
