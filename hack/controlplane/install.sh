#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Puts etcd, kube-apiserver and kubectl into bin/controlplane, or, as
# `install.sh controller-manager`, kube-controller-manager into
# bin/controller-manager, from the first of these that works:
#
#   1. the folder that KUBEBUILDER_ASSETS names, if it is set;
#   2. the prebuilt ones that setup-envtest downloads, where it can; they have no
#      kube-controller-manager;
#   3. a build from the Go modules that go.mod beside this script pins.
#
# Says what it does and how long each step takes. When the result is already
# there, it does nothing. CONTROLPLANE_SOURCE=download or =build selects the
# second or the third only.

set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

what=${1:-controlplane}
source=${CONTROLPLANE_SOURCE:-auto}
case $what in
controlplane) ;;
controller-manager)
	programs=kube-controller-manager
	source=build
	[ -x "${KUBEBUILDER_ASSETS:-}/$programs" ] || unset KUBEBUILDER_ASSETS
	;;
*) die "cannot install $what: write controller-manager, or no argument" ;;
esac
dest=$bin/$what
kubernetes=$(pinned k8s.io/kubernetes)

readonly index_seconds=5      # an unreachable index must not cost more
readonly download_seconds=300 # about 100 MB

# within SECONDS COMMAND…: timeout(1), which macOS lacks.
within() {
	local deadline=$((SECONDS + $1)) rc=0
	shift
	"$@" &
	child=$!
	while kill -0 "$child" 2>/dev/null; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			kill "$child" 2>/dev/null || true
		fi
		sleep 0.1
	done
	wait "$child" 2>/dev/null || rc=$?
	child=""
	return "$rc"
}

from_assets() {
	local program
	for program in $programs; do
		[ -x "$assets/$program" ] ||
			die "KUBEBUILDER_ASSETS is $assets, which has no $program: add it, or unset the variable"
	done
	if [ "$assets" = "$dest" ]; then
		say "KUBEBUILDER_ASSETS is ${dest#"$root/"} itself: nothing to do"
		exit 0
	fi
	for program in $programs; do
		ln -s "$assets/$program" "$stage/controlplane/$program"
	done
	publish "linked from $assets"
	say "linked to KUBEBUILDER_ASSETS ($assets), Kubernetes $(version "$dest" "${programs##* }")"
}

# fetch: the prebuilt programs, if there are any, into the staged folder.
fetch() {
	local tool=$stage/setup-envtest number=${kubernetes#v} program
	build_go "$root/hack/tools" -o "$tool" sigs.k8s.io/controller-runtime/tools/setup-envtest || {
		reason="setup-envtest does not build"
		return 1
	}
	within "$index_seconds" "$tool" list --bin-dir "$stage/envtest" "$number" >"$stage/list" 2>/dev/null || {
		reason="the index cannot be reached"
		return 1
	}
	grep -qF "(available)" "$stage/list" || {
		reason="the index has no $kubernetes for $(go env GOHOSTOS)/$(go env GOHOSTARCH)"
		return 1
	}
	within "$download_seconds" env TMPDIR="$stage" "$tool" use --bin-dir "$stage/envtest" --print path "$number" \
		>"$stage/path" 2>/dev/null || {
		reason="the download failed"
		return 1
	}
	for program in $programs; do
		mv "$(cat "$stage/path")/$program" "$stage/controlplane/$program" || {
			reason="the archive has no $program"
			return 1
		}
	done
}

download() {
	local started=$SECONDS reason=""
	say "looking for prebuilt programs $kubernetes with setup-envtest"
	if ! fetch; then
		say "no prebuilt programs: $reason ($((SECONDS - started)) s)"
		return 1
	fi
	expect "$stage/controlplane" kube-apiserver "$kubernetes"
	expect "$stage/controlplane" kubectl "$kubernetes"
	publish "downloaded by setup-envtest"
	say "downloaded in $((SECONDS - started)) s"
}

build_pinned() {
	say "building from Go modules: about 4 minutes on 2 cores the first time"
	build "$here"
}

assets=${KUBEBUILDER_ASSETS:-}
key=$(wanted "$kubernetes")
if [ -n "$assets" ]; then
	assets=$(cd "$assets" 2>/dev/null && pwd) || die "KUBEBUILDER_ASSETS is $KUBEBUILDER_ASSETS, which is not a folder"
	key="KUBEBUILDER_ASSETS=$assets"
fi
exit_if_up_to_date
open_stage

if [ -n "$assets" ]; then
	from_assets
else
	case $source in
	auto) download || build_pinned ;;
	download) download ;;
	build) build_pinned ;;
	*) die "CONTROLPLANE_SOURCE is $source: write auto, download or build" ;;
	esac
fi
