{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{- define "slb-health-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 28 allows for the longest suffix, -controller-manager-metrics-service, in a Service's 63. */}}
{{- define "slb-health-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 28 | trimSuffix "-" -}}
{{- end -}}

{{- define "slb-health-operator.serviceAccountName" -}}
{{- default (printf "%s-controller-manager" (include "slb-health-operator.fullname" .)) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "slb-health-operator.metricsServiceName" -}}
{{- include "slb-health-operator.fullname" . }}-controller-manager-metrics-service
{{- end -}}

{{/* Selector of the Service, policy and monitor: every pod of the release. */}}
{{- define "slb-health-operator.selectorLabels" -}}
control-plane: controller-manager
app.kubernetes.io/name: {{ include "slb-health-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The pods of one Deployment: those of one shard. */}}
{{- define "slb-health-operator.shardLabels" -}}
{{- include "slb-health-operator.selectorLabels" .root }}
{{- with .shard.name }}
slb.lbhealth.dev/shard: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "slb-health-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "slb-health-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* root, name (without the release's), namespace, labels, annotations: all but the first two are optional. */}}
{{- define "slb-health-operator.metadata" -}}
name: {{ include "slb-health-operator.fullname" .root }}-{{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
{{- include "slb-health-operator.tags" . }}
{{- end -}}

{{/* The chart's own labels override those of values, because selectors use them. */}}
{{- define "slb-health-operator.tags" }}
labels:
  {{- $own := include "slb-health-operator.labels" .root | fromYaml }}
  {{- mergeOverwrite (dict) .root.Values.commonLabels (default (dict) .labels) $own | toYaml | nindent 2 }}
{{- with mergeOverwrite (dict) .root.Values.commonAnnotations (default (dict) .annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A list of shards: one without a name if values set no shards. */}}
{{- define "slb-health-operator.shards" -}}
{{- $whole := dict "namespaces" .Values.watch.namespaces "selector" .Values.watch.selector "leaderElectionId" .Values.leaderElectionId -}}
{{- $shards := list -}}
{{- range default (list $whole) .Values.shards -}}
{{- $shard := deepCopy . -}}
{{- range $field := list "replicas" "resources" -}}
{{- if not (hasKey $shard $field) -}}
{{- $_ := set $shard $field (index $.Values $field) -}}
{{- end -}}
{{- end -}}
{{- $shards = append $shards $shard -}}
{{- end -}}
{{- toYaml $shards -}}
{{- end -}}

{{/* Whether metrics are served outside the pod. */}}
{{- define "slb-health-operator.servesMetrics" -}}
{{- if and .Values.metrics.enabled (not .Values.namespaced) }}true{{ end -}}
{{- end -}}

{{/* The signed digest belongs to the tag of the release. */}}
{{- define "slb-health-operator.image" -}}
{{- $signed := ternary "" (index .Chart.Annotations "slb.lbhealth.dev/image-digest") (ne .Values.image.tag "") -}}
{{- $digest := default $signed .Values.image.digest -}}
{{- .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- with $digest }}@{{ . }}{{ end -}}
{{- end -}}
