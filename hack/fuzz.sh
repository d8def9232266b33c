#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs every fuzz target of the module, one by one, because `go test` takes one at a
# time, and says at the end what each did. An input that a target fails on is
# in testdata/fuzz beside it: fix the code and commit the file, and `make test`
# includes it from then on.
#
#   FUZZTIME  for each target, as -fuzztime takes it (30s)
#   FUZZ      a regular expression that selects targets (all)

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=${FUZZTIME:-30s}
selected=${FUZZ:-.}

report=$(mktemp)
log=$(mktemp)
trap 'rm -f "$report" "$log"' EXIT

targets() {
	grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . |
		sed -E 's|^\./(.*)/[^/]*:func (.*)$|./\1 \2|' | sort | awk -v pattern="$selected" '$2 ~ pattern'
}

# run PACKAGE TARGET: adds a line to the report.
run() {
	local result=ok last
	printf '\n=== %s %s\n' "$1" "$2"
	go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" "$1" 2>&1 | tee "$log" || result=FAILED
	last=$(grep -E '^fuzz: elapsed: .*execs: ' "$log" | tail -n 1) || true
	printf '%s %s %s %s %s\n' "$2" \
		"$(sed -nE 's/.*execs: ([0-9]+).*/\1/p' <<<"${last:-execs: 0}")" \
		"$(sed -nE 's/.*new interesting: ([0-9]+).*/\1/p' <<<"${last:-new interesting: 0}")" \
		"$result" "$1" >>"$report"
	[ "$result" = ok ]
}

all=$(targets)
[ -n "$all" ] || {
	echo "no fuzz target matches FUZZ=$selected" >&2
	exit 1
}
failed=0
while read -r package target; do
	run "$package" "$target" </dev/null || failed=1
done <<<"$all"

printf '\n%-20s %12s %12s  %-7s %s\n' target executions 'new corpus' result package
while read -r target executions corpus result package; do
	printf '%-20s %12s %12s  %-7s %s\n' "$target" "$executions" "$corpus" "$result" "$package"
done <"$report"
exit "$failed"
