// SPDX-License-Identifier: Apache-2.0

// Package commands runs the commands of README.md, docs/quick-start.md, docs/install.md,
// docs/upgrade.md, docs/kubectl-lbh.md and the runbooks, from top to bottom, against a
// real API server with the real kubectl, Helm, kustomize and make. With UPDATE_PAGES=1 it
// writes what the commands print into the pages that show it.
//
//	markdown_test.go    reads the commands of a page
//	page_test.go        runs them; a command that is not run has a reason
//	release_test.go     serves what a release would: charts and install.yaml
//	cluster_test.go     the API server, and what stands in for its controllers
//	pages_test.go       README.md, docs/install.md, docs/upgrade.md
//	quickstart_test.go  docs/quick-start.md, in a running `make demo`
//	oncall_test.go      docs/kubectl-lbh.md and docs/runbooks, where objects have problems
package commands

const root = "../.."
