{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* The rules of config/prometheus, for this release's Service and for Leases with a name from values. */}}
{{- define "slb-health-operator.alerts" -}}
{{- $leases := list "slb-health-operator.*" -}}
{{- range include "slb-health-operator.shards" . | fromYamlArray -}}
{{- with .leaderElectionId -}}
{{- $leases = append $leases (replace "." "[.]" .) -}}
{{- end -}}
{{- end -}}
{{- include "slb-health-operator.rules" (dict "root" . "file" "files/alerts.yaml")
  | replace `job="slb-health-operator-controller-manager-metrics-service"` (printf "job=%q" (include "slb-health-operator.metricsServiceName" .))
  | replace `name=~"slb-health-operator.*"` (printf "name=~%q" ($leases | uniq | join "|")) -}}
{{- end -}}

{{/* The rules of config/prometheus/slo, with the objective from values. */}}
{{- define "slb-health-operator.sloRules" -}}
{{- include "slb-health-operator.rules" (dict "root" . "file" "files/slo-rules.yaml")
  | replace "vector(0.999)" (printf "vector(%v)" (default 0.999 .Values.metrics.prometheusRule.slo.objective)) -}}
{{- end -}}

{{/* A file of rules, with the folder of runbooks from values. */}}
{{- define "slb-health-operator.rules" -}}
{{- $runbooks := "https://github.com/lbhealth/slb-health-operator/blob/main/docs/runbooks/" -}}
{{- .root.Files.Get .file | replace $runbooks (default $runbooks .root.Values.metrics.prometheusRule.runbookBaseURL | trimSuffix "/" | printf "%s/") -}}
{{- end -}}
