{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* A list of environment variables: whom the operator is, then what else was asked for. */}}
{{- define "slb-health-operator.env" -}}
{{- with .root.Values.identity -}}
{{- if $.root.Values.requireCredentials }}
{{- else if eq .type "secret" }}
{{- range $variable, $key := dict "ALIBABA_CLOUD_ACCESS_KEY_ID" "accessKeyId" "ALIBABA_CLOUD_ACCESS_KEY_SECRET" "accessKeySecret" }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef: {name: {{ $.root.Values.identity.secret.name }}, key: {{ $key }}{{ if $.root.Values.identity.secret.optional }}, optional: true{{ end }}}
{{- end }}
- name: ALIBABA_CLOUD_SECURITY_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ .secret.name }}, key: securityToken, optional: true}
{{- else if and (eq .type "rrsa") .rrsa.roleArn }}
- {name: ALIBABA_CLOUD_ROLE_ARN, value: {{ .rrsa.roleArn | quote }}}
- {name: ALIBABA_CLOUD_OIDC_PROVIDER_ARN, value: {{ .rrsa.oidcProviderArn | quote }}}
- {name: ALIBABA_CLOUD_OIDC_TOKEN_FILE, value: /var/run/secrets/tokens/oidc-token}
{{- else if and (eq .type "ecsRole") .ecsRole.name }}
- {name: ALIBABA_CLOUD_ECS_METADATA, value: {{ .ecsRole.name | quote }}}
{{- end }}
{{- end }}
{{- if and .root.Values.namespaced (not .shard.namespaces) }}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
{{- end }}
{{- with .root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "slb-health-operator.mountsToken" -}}
{{- if and (eq .Values.identity.type "rrsa") .Values.identity.rrsa.roleArn (not .Values.requireCredentials) }}true{{ end -}}
{{- end -}}

{{- define "slb-health-operator.volumes" -}}
{{- if include "slb-health-operator.mountsToken" . }}
- name: oidc-token
  projected:
    sources:
    - serviceAccountToken:
        audience: {{ .Values.identity.rrsa.audience }}
        expirationSeconds: {{ int64 .Values.identity.rrsa.tokenExpirationSeconds }}
        path: oidc-token
{{- end }}
{{- with .Values.metrics.certSecret }}
- name: metrics-certificate
  secret: {secretName: {{ . }}}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "slb-health-operator.volumeMounts" -}}
{{- if include "slb-health-operator.mountsToken" . }}
- {name: oidc-token, mountPath: /var/run/secrets/tokens, readOnly: true}
{{- end }}
{{- if .Values.metrics.certSecret }}
- {name: metrics-certificate, mountPath: /etc/slb-health-operator/metrics, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
