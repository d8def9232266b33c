#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Writes what a program is made of beside it, as PROGRAM.cdx.json (CycloneDX): the
# modules that the linker recorded in it, with their digests and the licences of
# their sources. No serial number and no time, so that the same program has
# the same list.
#
#   sbom.sh CYCLONEDX-GOMOD VERSION PROGRAM

set -euo pipefail

# The build has downloaded the sources and compared them to go.sum, so this needs
# neither a proxy nor a checksum database. Its warnings about that are not shown.
if ! log=$(GOPROXY=off GOSUMDB=off "$1" bin -json -std -licenses -noserial -notimestamp -version "$2" -output "$3.cdx.json" "$3" 2>&1); then
	printf '%s\n' "$log" >&2
	exit 1
fi
echo "wrote $3.cdx.json"
