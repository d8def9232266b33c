#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Looks for known vulnerabilities in what the code really calls.
#
#   vulncheck.sh GOVULNCHECK [FOLDER]
#
# Ends with 0 when there is none, with 1 when there is one or the check itself
# fails, and with 75 when it was not run, because the database of vulnerabilities
# does not answer: that is neither a pass nor a fault of the code. VULNDB names
# another database (http://, https:// or file://).

set -euo pipefail

readonly not_run=75 # EX_TEMPFAIL of sysexits.h

govulncheck=$1
folder=${2:-$(dirname "${BASH_SOURCE[0]}")/../..}
cd "$folder"

run() { "$govulncheck" ${VULNDB:+-db "$VULNDB"} "$@"; }

# The exit code of a scan does not tell a database that is out of reach from
# code that does not compile, so the database is asked first, for its date.
answer=$(run -version 2>&1) || true
if ! grep -q '^DB updated: ' <<<"$answer"; then
	echo "vulncheck: NOT RUN: the database of vulnerabilities does not answer: ${VULNDB:-$(sed -n 's/^DB: //p' <<<"$answer")}"
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
