{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* The rules of config/prometheus, for this release's Service and for Leases with a name from values. */}}
{{- define "slb-health-operator.alerts" -}}
{{- $leases := list "slb-health-operator.*" -}}
{{- range include "slb-health-operator.shards" . | fromYamlArray -}}
{{- with .leaderElectionId -}}
{{- $leases = append $leases (replace "." "[.]" .) -}}
{{- end -}}
{{- end -}}
{{- $runbooks := "https://github.com/lbhealth/slb-health-operator/blob/main/docs/runbooks/" -}}
{{- .Files.Get "files/alerts.yaml"
  | replace `job="slb-health-operator-controller-manager-metrics-service"` (printf "job=%q" (include "slb-health-operator.metricsServiceName" .))
  | replace $runbooks (default $runbooks .Values.metrics.prometheusRule.runbookBaseURL | trimSuffix "/" | printf "%s/")
  | replace `name=~"slb-health-operator.*"` (printf "name=~%q" ($leases | uniq | join "|")) -}}
{{- end -}}
