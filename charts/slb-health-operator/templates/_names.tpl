{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{- define "slb-health-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "slb-health-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := default (ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name)) .Values.fullnameOverride -}}
{{- include "slb-health-operator.formerFullname" (dict "root" . "full" $full) | default $full -}}
{{- end -}}

{{/* Charts before 0.1.0 truncated it to 28 characters. An upgrade keeps these names: a RAM role trusts the ServiceAccount by
name, and a binding of the user names the metrics-reader role. */}}
{{- define "slb-health-operator.formerFullname" -}}
{{- $former := .full | trunc 28 | trimSuffix "-" -}}
{{- if and .root.Release.IsUpgrade (ne $former .full) -}}
{{- $namespace := include "slb-health-operator.namespace" .root -}}
{{- range $kind, $suffix := dict "ServiceAccount" "controller-manager" "Role" "leader-election-role" -}}
{{- $version := ternary "rbac.authorization.k8s.io/v1" "v1" (eq $kind "Role") -}}
{{- $found := lookup $version $kind $namespace (printf "%s-%s" $former $suffix) -}}
{{- if eq (dig "metadata" "annotations" "meta.helm.sh/release-name" "" $found) $.root.Release.Name -}}
{{- $_ := set $ "found" $former -}}
{{- end -}}
{{- end -}}
{{- default "" .found -}}
{{- end -}}
{{- end -}}

{{/* root, name: at most 63 characters, as a Service allows. The hash distinguishes truncated names. */}}
{{- define "slb-health-operator.objectName" -}}
{{- $full := include "slb-health-operator.fullname" .root -}}
{{- $longest := sub 62 (len .name) | int -}}
{{- if gt (len $full) $longest -}}
{{- $full = printf "%s-%s" ($full | trunc (int (sub $longest 9)) | trimSuffix "-" | trimSuffix ".") (sha256sum $full | trunc 8) -}}
{{- end -}}
{{- $full }}-{{ .name }}
{{- end -}}

{{- define "slb-health-operator.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* Values of an older chart, with --reuse-values, lack the name. */}}
{{- define "slb-health-operator.enabled" -}}
{{- if ne (toString .Values.enabled) "false" }}true{{ end -}}
{{- end -}}

{{- define "slb-health-operator.serviceAccountName" -}}
{{- default (include "slb-health-operator.objectName" (dict "root" . "name" "controller-manager")) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "slb-health-operator.metricsServiceName" -}}
{{- include "slb-health-operator.objectName" (dict "root" . "name" "controller-manager-metrics-service") -}}
{{- end -}}

{{/* Selector of the Service, policy and monitor: every pod of the release. */}}
{{- define "slb-health-operator.selectorLabels" -}}
control-plane: controller-manager
app.kubernetes.io/name: {{ include "slb-health-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
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
app.kubernetes.io/name: {{ include "slb-health-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* root, name (without the release's), namespace, labels, annotations: all but the first two are optional. */}}
{{- define "slb-health-operator.metadata" -}}
name: {{ include "slb-health-operator.objectName" . }}
{{- with .namespace }}
namespace: {{ . | quote }}
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
{{- $_ := set $shard "replicas" (include "slb-health-operator.replicas" $shard | default (include "slb-health-operator.replicas" $.Values) | default "2" | int64) -}}
{{- if not (hasKey $shard "resources") -}}
{{- $_ := set $shard "resources" $.Values.resources -}}
{{- end -}}
{{- $shards = append $shards $shard -}}
{{- end -}}
{{- toYaml $shards -}}
{{- end -}}

{{/* The number in a map: replicas is the former name of replicaCount. */}}
{{- define "slb-health-operator.replicas" -}}
{{- $count := ternary .replicaCount .replicas (kindIs "invalid" .replicas) -}}
{{- if not (kindIs "invalid" $count) }}{{ int64 $count }}{{ end -}}
{{- end -}}

{{/* install is the former name of crds.enabled: each of them can be false. */}}
{{- define "slb-health-operator.installsCRD" -}}
{{- $off := has "false" (list (toString .Values.crds.enabled) (toString .Values.crds.install)) -}}
{{- if not (or $off .Values.namespaced (not (include "slb-health-operator.enabled" .))) }}true{{ end -}}
{{- end -}}

{{/* A list of the namespaces that the shards serve; empty: all of them. */}}
{{- define "slb-health-operator.served" -}}
{{- $served := list -}}
{{- $all := false -}}
{{- range include "slb-health-operator.shards" . | fromYamlArray -}}
{{- $served = concat $served (default list .namespaces) -}}
{{- $all = or $all (not .namespaces) -}}
{{- end -}}
{{- ternary list ($served | uniq | sortAlpha) $all | toYaml -}}
{{- end -}}

{{/* Of values. Those of an older chart, with --reuse-values, lack the name. */}}
{{- define "slb-health-operator.hasGates" -}}
{{- if (.readinessGates).enabled }}true{{ end -}}
{{- end -}}

{{/* Of values: readiness gates need the load balancers of Services. */}}
{{- define "slb-health-operator.discoversServices" -}}
{{- if or .serviceDiscovery.enabled (include "slb-health-operator.hasGates" .) }}true{{ end -}}
{{- end -}}

{{/* Whether metrics are served outside the pod. */}}
{{- define "slb-health-operator.servesMetrics" -}}
{{- if and .Values.metrics.enabled (not .Values.namespaced) }}true{{ end -}}
{{- end -}}
