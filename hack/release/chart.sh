#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Packages the Helm chart of a version into a folder, for an image that is there
# already: the chart names it by the digest that was signed.
#
#   chart.sh HELM VERSION IMAGE DIGEST FOLDER     as in chart.sh helm v0.1.0 ghcr.io/… sha256:… dist

set -euo pipefail

helm=$1 version=$2 image=$3 digest=$4 folder=$5
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R "$(dirname "${BASH_SOURCE[0]}")/../../charts/slb-health-operator" "$copy/"

# put FILE KEY VALUE: the one line of KEY, which must be there.
put() {
	local file=$copy/slb-health-operator/$1
	[ "$(grep -cE "^ +$2: " "$file")" -eq 1 ] || {
		echo "$1 has not one line of $2" >&2
		exit 1
	}
	sed -i "s|^\( *$2:\) .*|\1 \"$3\"|" "$file"
}

put values.yaml repository "$image"
put Chart.yaml slb.lbhealth.dev/image-digest "$digest"
"$helm" package "$copy/slb-health-operator" --version "${version#v}" --app-version "$version" --destination "$folder"
