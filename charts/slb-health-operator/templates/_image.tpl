{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* The signed digest belongs to the tag of the release. */}}
{{- define "slb-health-operator.image" -}}
{{- $signed := ternary "" (index .Chart.Annotations "slb.lbhealth.dev/image-digest") (ne .Values.image.tag "") -}}
{{- $digest := default $signed .Values.image.digest -}}
{{- include "slb-health-operator.repository" . }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- with $digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* A first part with a dot or a port is the registry, which global.imageRegistry replaces. */}}
{{- define "slb-health-operator.repository" -}}
{{- $repository := .Values.image.repository -}}
{{- with (.Values.global).imageRegistry -}}
{{- $repository = printf "%s/%s" . (regexReplaceAll "^(localhost|[^/]*[.:][^/]*)/" $repository "") -}}
{{- end -}}
{{- $repository -}}
{{- end -}}

{{/* A list. Other charts have names instead of objects in global.imagePullSecrets. */}}
{{- define "slb-health-operator.imagePullSecrets" -}}
{{- $secrets := list -}}
{{- range concat (default list (.Values.global).imagePullSecrets) (default list .Values.imagePullSecrets) -}}
{{- $secrets = append $secrets (ternary (dict "name" .) . (kindIs "string" .)) -}}
{{- end -}}
{{- with $secrets | uniq -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* A checkout has no image of its own version. */}}
{{- define "slb-health-operator.lacksImage" -}}
{{- if and (eq .Chart.AppVersion "v0.0.0-dev") (not .Values.image.tag) (not .Values.image.digest) }}true{{ end -}}
{{- end -}}
