#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Packs a built kubectl-lbh as Krew's index wants it: the program, what completes
# it, and the licence. The same program makes the same archive.
#
#   plugin.sh PROGRAM ARCHIVE.tar.gz

set -euo pipefail

program=$1
archive=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

install -m 755 "$program" "$folder/kubectl-lbh"
install -m 755 "$root/cmd/kubectl-lbh/kubectl_complete-lbh" "$folder/"
install -m 644 "$root/LICENSE" "$folder/"
tar -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-0}" -cf - \
	LICENSE kubectl-lbh kubectl_complete-lbh | gzip -n >"$archive"
