#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks that generated files are what the generators make of the sources, that
# every go.mod is tidy, and that no program was committed. Generates into a copy, so the checkout stays as it is.
#
#   verify.sh FOLDER-OF-BUILT-TOOLS

set -euo pipefail

tools=$1
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
failed=0

cd "$root"
tar -cf - --exclude ./.git --exclude ./bin . | tar -xf - -C "$copy"
make -C "$copy" TOOLS="$tools" generate manifests api-docs chart >"$copy/.generate.log" 2>&1 || {
	cat "$copy/.generate.log"
	exit 1
}
rm -f "$copy/.generate.log"
if diff -ru --exclude=.git --exclude=bin . "$copy"; then
	echo "generated files are up to date"
else
	echo "generated files differ: run make generate manifests api-docs chart, and commit the result" >&2
	failed=1
fi

while IFS= read -r mod; do
	if (cd "$(dirname "$mod")" && GOWORK=off go mod tidy -diff); then
		echo "$mod is tidy"
	else
		echo "$mod is not tidy: run make tidy, and commit the result" >&2
		failed=1
	fi
done < <(find . -name go.mod -not -path './bin/*' | sort)

if git rev-parse -q --verify HEAD >/dev/null 2>&1; then # as in a checkout, and not in an archive
	# Git counts no lines of what is no text.
	binaries=$(git diff --numstat "$(git hash-object -t tree /dev/null)" HEAD | awk -F '\t' '$1 == "-" {print $3}')
	if [ -n "$binaries" ]; then
		echo "these are no texts: git rm --cached them: $binaries" >&2
		failed=1
	fi
fi
exit "$failed"
