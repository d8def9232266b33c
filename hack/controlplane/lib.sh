# SPDX-License-Identifier: Apache-2.0
#
# What install.sh and compat.sh share. They set dest, the folder to write, and
# kubernetes, the version, and source this file.
#
# Runs on Linux and macOS, so: nothing newer than bash 3.2, no GNU options.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
bin=$root/bin
programs="etcd kubectl kube-apiserver" # the last one reports the version of Kubernetes

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

# wanted VERSION: the first line of the stamp of a control plane that was built
# or downloaded.
wanted() { printf 'kubernetes %s, etcd %s, %s' "$1" "$etcd" "$(uname -sm)"; }

etcd=$(pinned go.etcd.io/etcd/server/v3)

up_to_date() {
	local program
	for program in $programs; do
		[ -x "$dest/$program" ] || return 1
	done
	[ -f "$dest/.stamp" ] && [ "$(head -n 1 "$dest/.stamp")" = "$key" ]
}

# exit_if_up_to_date: compares the stamp in dest to key.
exit_if_up_to_date() {
	if up_to_date; then
		say "${dest#"$root/"} is up to date ($key)"
		exit 0
	fi
}

# open_stage: everything happens in a folder beside the result, so that a failure
# or an interrupt leaves either what was there before or nothing.
open_stage() {
	mkdir -p "$bin" "$(dirname "$dest")"
	stage=$(mktemp -d "$bin/.controlplane.XXXXXX")
	child=""
	trap cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	mkdir "$stage/controlplane"
}

cleanup() {
	if [ -n "$child" ]; then
		kill "$child" 2>/dev/null || true
	fi
	chmod -R u+w "$stage"
	rm -rf "$stage"
}

# publish ORIGIN: the staged folder becomes dest in one rename, the stamp with it.
publish() {
	printf '%s\n%s\n' "$key" "$1" >"$stage/controlplane/.stamp"
	if [ -e "$dest" ]; then
		mv "$dest" "$stage/old"
	fi
	mv "$stage/controlplane" "$dest"
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

# build_one FOLDER PROGRAM PACKAGE VERSION LDFLAGS
build_one() {
	local started=$SECONDS
	build_go "$1" -ldflags "-s -w $5" -o "$stage/controlplane/$2" "$3" || die "$2 does not build"
	expect "$stage/controlplane" "$2" "$4"
	say "built $2 $4 in $((SECONDS - started)) s"
}

# build FOLDER: the programs, those of Kubernetes from the module of FOLDER, and etcd
# from the one that pins it.
build() {
	local started=$SECONDS flags="" minor package program
	minor=${kubernetes#v1.}
	minor=${minor%%.*}
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		flags="$flags -X $package.gitVersion=$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=$minor"
	done
	for program in $programs; do
		case $program in
		etcd) build_one "$here" etcd go.etcd.io/etcd/server/v3 "$etcd" "" ;;
		*) build_one "$1" "$program" "k8s.io/kubernetes/cmd/$program" "$kubernetes" "$flags" ;;
		esac
	done
	publish "built from Go modules"
	say "built in $((SECONDS - started)) s"
}

# version FOLDER PROGRAM: what the program says of itself, as v1.2.3.
version() {
	local output
	case $2 in
	etcd) output=$("$1/etcd" --version 2>&1) ;;
	kube-apiserver | kube-controller-manager) output=$("$1/$2" --version 2>&1) ;;
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
