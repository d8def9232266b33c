#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Puts etcd, kube-apiserver and kubectl into bin/controlplane, from the first of
# these that works:
#
#   1. the folder that KUBEBUILDER_ASSETS names, if it is set;
#   2. the prebuilt ones that setup-envtest downloads, where it can;
#   3. a build from the Go modules that go.mod beside this script pins.
#
# Says what it does and how long each step takes. When the result is already
# there, it does nothing. CONTROLPLANE_SOURCE=download or =build selects the
# second or the third only.
#
# Runs on Linux and macOS, so: nothing newer than bash 3.2, no GNU options.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
bin=$root/bin
dest=$bin/controlplane
source=${CONTROLPLANE_SOURCE:-auto}
programs="etcd kube-apiserver kubectl"

readonly index_seconds=5      # an unreachable index must not cost more
readonly download_seconds=300 # about 100 MB

say() { printf 'controlplane: %s\n' "$*"; }
die() {
	say "$*" >&2
	exit 1
}

# pinned MODULE: its version in go.mod.
pinned() {
	local version
	version=$(awk -v module="$1" '$1 == module && $2 ~ /^v[0-9]/ { print $2; exit }' "$here/go.mod")
	[ -n "$version" ] || die "$here/go.mod requires no $1"
	printf '%s' "$version"
}

kubernetes=$(pinned k8s.io/kubernetes)
etcd=$(pinned go.etcd.io/etcd/server/v3)

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

cleanup() {
	if [ -n "$child" ]; then
		kill "$child" 2>/dev/null || true
	fi
	chmod -R u+w "$stage"
	rm -rf "$stage"
}

# build_go FOLDER ARGUMENTS…: go build in the module of FOLDER, for this machine
# whatever the caller cross-compiles for. Its output matters only if it fails.
build_go() {
	local folder=$1 log=$stage/build.log
	shift
	if ! (cd "$folder" && env -u GOOS -u GOARCH GOWORK=off CGO_ENABLED=0 \
		go build -mod=readonly -buildvcs=false "$@") >"$log" 2>&1; then
		cat "$log" >&2
		return 1
	fi
	rm -f "$log"
}

# version FOLDER PROGRAM: what the program says of itself, as v1.2.3.
version() {
	local output
	case $2 in
	etcd) output=$("$1/etcd" --version 2>&1) ;;
	kube-apiserver) output=$("$1/kube-apiserver" --version 2>&1) ;;
	kubectl) output=$("$1/kubectl" version --client 2>&1) ;;
	esac || die "$1/$2 does not run: $output"
	printf '%s\n' "$output" | sed -nE '1s/.*[ v]([0-9]+\.[0-9]+\.[0-9]+.*)/v\1/p'
}

# expect FOLDER PROGRAM VERSION
expect() {
	local found
	found=$(version "$1" "$2") || exit 1
	[ "$found" = "$3" ] || die "$2 says it is ${found:-of no version}, not $3"
}

up_to_date() {
	local program
	for program in $programs; do
		[ -x "$dest/$program" ] || return 1
	done
	[ -f "$dest/.stamp" ] && [ "$(head -n 1 "$dest/.stamp")" = "$key" ]
}

# publish ORIGIN: the staged folder becomes bin/controlplane in one rename, the
# stamp with it.
publish() {
	printf '%s\n%s\n' "$key" "$1" >"$stage/controlplane/.stamp"
	if [ -e "$dest" ]; then
		mv "$dest" "$stage/old"
	fi
	mv "$stage/controlplane" "$dest"
}

from_assets() {
	local program
	for program in $programs; do
		[ -x "$assets/$program" ] ||
			die "KUBEBUILDER_ASSETS is $assets, which has no $program: add it, or unset the variable"
	done
	if [ "$assets" = "$dest" ]; then
		say "KUBEBUILDER_ASSETS is bin/controlplane itself: nothing to do"
		exit 0
	fi
	for program in $programs; do
		ln -s "$assets/$program" "$stage/controlplane/$program"
	done
	publish "linked from $assets"
	say "linked to KUBEBUILDER_ASSETS ($assets), Kubernetes $(version "$dest" kube-apiserver)"
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

# build_one PROGRAM PACKAGE VERSION LDFLAGS
build_one() {
	local started=$SECONDS
	build_go "$here" -ldflags "-s -w $4" -o "$stage/controlplane/$1" "$2" || die "$1 does not build"
	expect "$stage/controlplane" "$1" "$3"
	say "built $1 $3 in $((SECONDS - started)) s"
}

build() {
	local started=$SECONDS flags="" minor package
	minor=${kubernetes#v1.}
	minor=${minor%%.*}
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		flags="$flags -X $package.gitVersion=$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=$minor"
	done
	say "building from Go modules: about 4 minutes on 2 cores the first time"
	build_one etcd go.etcd.io/etcd/server/v3 "$etcd" ""
	build_one kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver "$kubernetes" "$flags"
	build_one kubectl k8s.io/kubernetes/cmd/kubectl "$kubernetes" "$flags"
	publish "built from Go modules"
	say "built in $((SECONDS - started)) s"
}

assets=${KUBEBUILDER_ASSETS:-}
key="kubernetes $kubernetes, etcd $etcd, $(uname -sm)"
if [ -n "$assets" ]; then
	assets=$(cd "$assets" 2>/dev/null && pwd) || die "KUBEBUILDER_ASSETS is $KUBEBUILDER_ASSETS, which is not a folder"
	key="KUBEBUILDER_ASSETS=$assets"
fi
if up_to_date; then
	say "bin/controlplane is up to date ($key)"
	exit 0
fi

# Everything happens in a folder beside the result, so that a failure or an
# interrupt leaves either what was there before or nothing.
mkdir -p "$bin"
stage=$(mktemp -d "$bin/.controlplane.XXXXXX")
child=""
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir "$stage/controlplane"

if [ -n "$assets" ]; then
	from_assets
else
	case $source in
	auto) download || build ;;
	download) download ;;
	build) build ;;
	*) die "CONTROLPLANE_SOURCE is $source: write auto, download or build" ;;
	esac
fi
