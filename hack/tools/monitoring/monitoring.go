// SPDX-License-Identifier: Apache-2.0

// Package monitoring pins the Go types that the Prometheus Operator's CRDs are
// generated from, for tests that put a ServiceMonitor before a real API server.
package monitoring

import _ "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1" // its version, in go.mod
