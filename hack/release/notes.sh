#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints what CHANGELOG.md says of a version, for the notes of its release. Fails
# when it says nothing: a release without a description is not ready.
#
#   notes.sh VERSION [CHANGELOG]     as in notes.sh v0.1.0

set -euo pipefail

version=$1
changelog=${2:-$(dirname "${BASH_SOURCE[0]}")/../../CHANGELOG.md}

# From below its heading to the next one; the links below are no part of it.
notes=$(awk -v heading="## [${version#v}]" '
	index($0, "## ") == 1 { found = index($0, heading) == 1; next }
	/^\[[^]]+\]: / { found = 0 }
	found
' "$changelog")
if ! grep -q '[^[:space:]]' <<<"$notes"; then
	echo "CHANGELOG.md has no section \"## [${version#v}]\", or an empty one: describe the release there" >&2
	exit 1
fi
sed '/./,$!d' <<<"$notes" # without the empty lines on top
