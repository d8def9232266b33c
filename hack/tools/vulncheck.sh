#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Looks for known vulnerabilities in what the code really calls.
#
#   vulncheck.sh GOVULNCHECK [FOLDER]
#
# Ends with 0 when there is none, with 1 when there is one or the check itself
# fails, and with 75 when it was not run, because the database of vulnerabilities
# does not respond: that is neither a pass nor a fault of the code. VULNDB names
# another database (http://, https:// or file://).

set -euo pipefail

readonly not_run=75 # EX_TEMPFAIL of sysexits.h

govulncheck=$1
folder=${2:-$(dirname "${BASH_SOURCE[0]}")/../..}
cd "$folder"

run() { "$govulncheck" ${VULNDB:+-db "$VULNDB"} "$@"; }

# A scan has the same exit code when the database is unreachable and when the code
# does not compile, so this reads the date of the database first.
version=$(run -version 2>&1) || true
if ! grep -q '^DB updated: ' <<<"$version"; then
	echo "vulncheck: NOT RUN: the database of vulnerabilities does not respond: ${VULNDB:-$(sed -n 's/^DB: //p' <<<"$version")}"
	exit "$not_run"
fi

code=0
run ./... || code=$?
case $code in
0) echo "vulncheck: no known vulnerability is called" ;;
3) echo "vulncheck: FAILED: the code calls what is known to be vulnerable: see above, and update" >&2 ;;
*) echo "vulncheck: FAILED: govulncheck ended with $code" >&2 ;;
esac
[ "$code" -eq 0 ]
