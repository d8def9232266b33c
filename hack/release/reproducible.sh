#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Proves that the same commit and the same Go make the same programs, by building
# them twice and comparing the files:
#
#   1. as anybody does: make build, in this checkout, with the caches at hand;
#   2. in a copy in another folder, with an empty build cache, with modules that
#      are unpacked anew and checked against go.sum, and in another environment.
#
# The second one is slow on purpose. With the build cache of the first it would
# compare the first one's packages to themselves: with -trimpath no folder is part
# of the cache's key.
#
#   reproducible.sh VERSION GOARCH…

set -euo pipefail

version=$1
shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
# Go makes the files of modules read-only.
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

build_here() {
	GOOS=linux GOARCH=$1 make -s -C "$root" build VERSION="$version" BUILD_OUT="$work/here/$1"
}

# Modules come from what was downloaded before, if they are there, so this needs
# no network; go.sum vouches for them either way.
build_elsewhere() (
	modules=file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)
	umask 077
	GOOS=linux GOARCH=$1 HOME="$work/home" GOCACHE="$work/cache" GOMODCACHE="$work/modules" GOPROXY="$modules" \
		GOFLAGS='-mod=mod -tags=elsewhere' TZ=Asia/Shanghai LC_ALL=C \
		make -s -C "$work/copy" build VERSION="$version" BUILD_OUT="$work/elsewhere/$1" >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		exit 1
	}
)

sha256() {
	if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# same GOARCH: whether both builds made the same files. Says where they differ
# as far as the programs record it.
same() {
	local here elsewhere differ=0
	for here in "$work/here/$1"/*; do
		elsewhere=$work/elsewhere/$1/$(basename "$here")
		printf '%s  %s linux/%s\n' "$(sha256 "$here")" "$(basename "$here")" "$1"
		cmp "$here" "$elsewhere" && continue
		printf '%s  the same, built elsewhere\n' "$(sha256 "$elsewhere")"
		diff <(go version -m "$here" | tail -n +2) <(go version -m "$elsewhere" | tail -n +2) || true
		differ=1
	done
	return "$differ"
}

mkdir -p "$work/copy"
tar -C "$root" -cf - --exclude ./.git --exclude ./bin --exclude ./dist . | tar -C "$work/copy" -xf -
echo "reproducible: building $version twice with $(go env GOVERSION), for $*"
differ=0
for arch in "$@"; do
	started=$SECONDS
	build_here "$arch"
	build_elsewhere "$arch"
	same "$arch" || differ=1
	echo "reproducible: $arch took $((SECONDS - started)) s"
done
if [ "$differ" -ne 0 ]; then
	echo "reproducible: FAILED: two builds of the same code differ" >&2
	exit 1
fi
echo "reproducible: both builds made the same files"
