#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Packs a built kubectl-lbh as Krew's index wants it: the program, its completion
# script and the licence. An archive for Windows is a zip. The same program makes
# the same archive.
#
#   plugin.sh PROGRAM ARCHIVE.tar.gz|ARCHIVE.zip

set -euo pipefail

program=$1
archive=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

case $archive in
*.zip) files=(LICENSE kubectl-lbh.exe kubectl_complete-lbh.cmd) ;;
*) files=(LICENSE kubectl-lbh kubectl_complete-lbh) ;;
esac
install -m 644 "$root/LICENSE" "$folder/"
install -m 755 "$program" "$folder/${files[1]}"
install -m 755 "$root/cmd/kubectl-lbh/${files[2]}" "$folder/"
case $archive in
*.zip)
	# zip is not on every machine that has Go.
	(cd "$folder" && GOOS='' GOARCH='' GOFLAGS='' go run "$root/hack/release/zip/main.go" "${files[@]}") >"$archive"
	;;
*)
	tar -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-0}" -cf - \
		"${files[@]}" | gzip -n >"$archive"
	;;
esac
