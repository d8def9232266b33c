{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* A list of namespaces to have rights in; "" is the cluster. */}}
{{- define "slb-health-operator.grantedIn" -}}
{{- $in := list "" -}}
{{- if .Values.namespaced -}}
{{- $in = list -}}
{{- range include "slb-health-operator.shards" . | fromYamlArray -}}
{{- $in = concat $in (default (list (include "slb-health-operator.namespace" $)) .namespaces) -}}
{{- end -}}
{{- end -}}
{{- $in | uniq | toYaml -}}
{{- end -}}

{{/* roleRef and subjects: a role for the operator's ServiceAccount. */}}
{{- define "slb-health-operator.grant" }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ include "slb-health-operator.objectName" . }}
subjects:
- kind: ServiceAccount
  name: {{ include "slb-health-operator.serviceAccountName" .root | quote }}
  namespace: {{ include "slb-health-operator.namespace" .root | quote }}
{{- end -}}
