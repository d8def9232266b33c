#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Puts the control plane of another version of Kubernetes into bin/compat/VERSION,
# built from Go modules, once.
#
#   compat.sh v1.33.13
#
# The go.mod beside this script pins one version. For any other, the go.mod and go.sum
# of that Kubernetes pin the modules, so each build uses the same code; the checksum
# database verifies Kubernetes itself.

set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

kubernetes=${1:-}
[[ $kubernetes =~ ^v1\.[0-9]+\.[0-9]+(-[a-z]+\.[0-9]+)?$ ]] ||
	die "KUBERNETES is '$kubernetes': write a full version, such as KUBERNETES=v1.33.13"
dest=$bin/compat/$kubernetes
key=$(wanted "$kubernetes")

# or_refuse COMMAND…: one line with the reason, when COMMAND fails.
or_refuse() {
	"$@" >"$stage/output" 2>&1 || die "Kubernetes $kubernetes cannot be built: $(tr -s '\n\t ' ' ' <"$stage/output")"
}

# pin FOLDER: the go.mod and go.sum of Kubernetes. It replaces some modules by
# ./staging/…, which only works inside its own repository; the same code is
# published under v0.<minor>.<patch>.
pin() {
	local upstream
	or_refuse go mod download "k8s.io/kubernetes@$kubernetes"
	upstream=$(go env GOMODCACHE)/k8s.io/kubernetes@$kubernetes
	mkdir "$1"
	cat "$upstream/go.sum" >"$1/go.sum"
	sed -E -e 's|^module .*|module compat|' -e "s|=> \./staging/src/(.*)|=> \1 v0.${kubernetes#v1.}|" \
		"$upstream/go.mod" >"$1/go.mod"
	cd "$1"
	go mod edit -require="k8s.io/kubernetes@$kubernetes"
	GOWORK=off or_refuse go list -mod=mod -deps k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl
}

exit_if_up_to_date
open_stage
say "building Kubernetes $kubernetes from Go modules: about 10 minutes of CPU the first time"
module=$here
if [ "$kubernetes" != "$(pinned k8s.io/kubernetes)" ]; then
	module=$stage/module
	pin "$module"
fi
build "$module"
