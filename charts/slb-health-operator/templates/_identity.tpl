{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* A list of environment variables: the operator's identity, then extraEnv. */}}
{{- define "slb-health-operator.env" -}}
{{- with .root.Values.identity -}}
{{- if $.root.Values.requireCredentials }}
{{- else if eq .type "rrsa" }}
{{- if .rrsa.roleArn }}
- {name: ALIBABA_CLOUD_ROLE_ARN, value: {{ .rrsa.roleArn | quote }}}
- {name: ALIBABA_CLOUD_OIDC_PROVIDER_ARN, value: {{ .rrsa.oidcProviderArn | quote }}}
- {name: ALIBABA_CLOUD_OIDC_TOKEN_FILE, value: /var/run/secrets/tokens/oidc-token}
{{- end }}
{{- with .rrsa.stsRegion }}
- {name: ALIBABA_CLOUD_STS_REGION, value: {{ . | quote }}}
{{- end }}
{{- if eq (default "" $.root.Values.slb.network) "vpc" }}
- {name: ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED, value: "true"}
{{- end }}
{{- /* The node's role is another identity: without the add-on, the operator must not use it instead. */}}
- {name: ALIBABA_CLOUD_ECS_METADATA_DISABLED, value: "true"}
{{- else if eq .type "ecsRole" }}
{{- /* "false" selects this identity, also without a name. */}}
- {name: ALIBABA_CLOUD_ECS_METADATA_DISABLED, value: "false"}
{{- with .ecsRole.name }}
- {name: ALIBABA_CLOUD_ECS_METADATA, value: {{ . | quote }}}
{{- end }}
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

{{- define "slb-health-operator.mountsKey" -}}
{{- if and (eq .Values.identity.type "secret") (not .Values.requireCredentials) }}true{{ end -}}
{{- end -}}

{{- define "slb-health-operator.volumes" -}}
{{- if include "slb-health-operator.mountsKey" . }}
- name: credentials
  secret: {secretName: {{ .Values.identity.secret.name }}{{ if .Values.identity.secret.optional }}, optional: true{{ end }}}
{{- end }}
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
{{- if include "slb-health-operator.mountsKey" . }}
- {name: credentials, mountPath: /etc/slb-health-operator/credentials, readOnly: true}
{{- end }}
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
