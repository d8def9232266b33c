// SPDX-License-Identifier: Apache-2.0

// Package commands runs the commands of README.md, docs/quick-start.md, docs/install.md
// and docs/upgrade.md, from top to bottom, against a real API server with the real
// kubectl, Helm, kustomize and make.
//
//	markdown_test.go    reads the commands of a page
//	page_test.go        runs them; a command that is not run has a reason
//	release_test.go     serves what a release would: charts and install.yaml
//	cluster_test.go     the API server, and what stands in for its controllers
//	pages_test.go       README.md, docs/install.md, docs/upgrade.md
//	quickstart_test.go  docs/quick-start.md, in a running `make demo`
package commands

const root = "../.."
