{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* Whether the chart creates the account that Prometheus scrapes with. Values of an older chart, with --reuse-values,
lack the name. */}}
{{- define "slb-health-operator.createsScraper" -}}
{{- with .Values.metrics.serviceMonitor -}}
{{- if and .enabled (ne (toString (default dict .authorization).create) "false") }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/* root, name: the name of an object as its metadata has it. */}}
{{- define "slb-health-operator.nameOf" -}}
{{- (include "slb-health-operator.metadata" . | fromYaml).name -}}
{{- end -}}

{{/* The Secret and key with the token to scrape with; nothing if a scrape class has it. */}}
{{- define "slb-health-operator.scrapeCredentials" -}}
{{- if include "slb-health-operator.createsScraper" . -}}
{name: {{ include "slb-health-operator.nameOf" (dict "root" . "name" "metrics-scraper-token") }}, key: token}
{{- else -}}
{{- with .Values.metrics.serviceMonitor.authorization.credentials -}}
{name: {{ .name | quote }}, key: {{ .key | quote }}}
{{- end -}}
{{- end -}}
{{- end -}}
