#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Puts what a release offers beside the image into dist/: the operator for the
# machines that clusters have, the simulator also for the laptops of people who
# try it, the plugin of kubectl as .krew.yaml names it, and what each operator is
# made of (CycloneDX).
#
#   dist.sh VERSION CYCLONEDX-GOMOD

set -euo pipefail

version=$1
cyclonedx=$2
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
rm -rf dist
mkdir dist

# build PROGRAM OS ARCH
build() {
	GOOS=$2 GOARCH=$3 make -s build PROGRAMS="$1" VERSION="$version" BUILD_OUT=dist/build
	mv "dist/build/$1" "dist/$1-$2-$3"
	rmdir dist/build
}

for arch in amd64 arm64; do
	build slb-health-operator linux "$arch"
	hack/release/sbom.sh "$cyclonedx" "$version" "dist/slb-health-operator-linux-$arch"
done
for platform in linux/amd64 linux/arm64 darwin/arm64; do
	build slb-simulator "${platform%/*}" "${platform#*/}"
done
for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do
	GOOS=${platform%/*} GOARCH=${platform#*/} make -s build-plugin VERSION="$version" PLUGIN_OUT=dist/build
	archive=dist/kubectl-lbh_${version}_${platform/\//_}
	case $platform in
	windows/*) hack/release/plugin.sh dist/build/kubectl-lbh.exe "$archive.zip" ;;
	*) hack/release/plugin.sh dist/build/kubectl-lbh "$archive.tar.gz" ;;
	esac
	rm -r dist/build
done
ls -l dist
