{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* Arguments, as everywhere in this file: root and shard. */}}
{{- define "slb-health-operator.pod" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ include "slb-health-operator.serviceAccountName" .root | quote }}
automountServiceAccountToken: true
terminationGracePeriodSeconds: {{ int64 $values.terminationGracePeriodSeconds }}
{{- with $values.hostNetwork }}
hostNetwork: true
{{- end }}
{{- with default (ternary "ClusterFirstWithHostNet" "" (eq (toString $values.hostNetwork) "true")) $values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with include "slb-health-operator.imagePullSecrets" .root }}
imagePullSecrets: {{- . | nindent 2 }}
{{- end }}
{{- range $field := list "priorityClassName" "nodeSelector" "tolerations" "affinity" }}
{{- with index $values $field }}
{{ $field }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
securityContext: {{- toYaml $values.podSecurityContext | nindent 2 }}
{{- with include "slb-health-operator.spread" . }}
topologySpreadConstraints: {{- . | trim | nindent 0 }}
{{- end }}
containers:
- name: manager
  image: {{ include "slb-health-operator.image" .root }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  command: [/slb-health-operator]
  args: {{- include "slb-health-operator.args" . | nindent 2 }}
  {{- with include "slb-health-operator.env" . }}
  env: {{- . | trim | nindent 2 }}
  {{- end }}
  ports:
  {{- if include "slb-health-operator.servesMetrics" .root }}
  - {name: metrics, containerPort: 8443}
  {{- end }}
  - {name: probes, containerPort: 8081}
  livenessProbe:
    httpGet: {path: /healthz, port: probes}
    initialDelaySeconds: 15
    periodSeconds: 20
  readinessProbe:
    httpGet: {path: /readyz, port: probes}
    initialDelaySeconds: 5
    periodSeconds: 10
  resources: {{- toYaml .shard.resources | nindent 4 }}
  securityContext: {{- toYaml $values.securityContext | nindent 4 }}
  {{- with include "slb-health-operator.volumeMounts" .root }}
  volumeMounts: {{- . | trim | nindent 2 }}
  {{- end }}
{{- with include "slb-health-operator.volumes" .root }}
volumes: {{- . | trim | nindent 0 }}
{{- end }}
{{- end -}}

{{- define "slb-health-operator.spread" -}}
{{- $own := dict "matchLabels" (include "slb-health-operator.shardLabels" . | fromYaml) -}}
{{- range .root.Values.topologySpreadConstraints }}
{{- $constraint := deepCopy . -}}
{{- if not (hasKey . "labelSelector") -}}
{{- $_ := set $constraint "labelSelector" $own -}}
{{- end }}
{{ toYaml (list $constraint) }}
{{- end }}
{{- end -}}

{{- define "slb-health-operator.args" -}}
{{- $values := .root.Values -}}
- --leader-elect
{{- if include "slb-health-operator.mountsKey" .root }}
- --credentials-path=/etc/slb-health-operator/credentials
{{- end }}
{{- range .shard.namespaces }}
- --watch-namespace={{ . }}
{{- end }}
{{- if and $values.namespaced (not .shard.namespaces) }}
- --watch-namespace=$(POD_NAMESPACE)
{{- end }}
{{- with .shard.selector }}
- {{ printf "--watch-selector=%s" . | quote }}
{{- end }}
{{- with .shard.leaderElectionId }}
- --leader-election-id={{ . }}
{{- end }}
{{- if not $values.metrics.enabled }}
- --metrics-bind-address=0
{{- else if $values.namespaced }}
- --metrics-bind-address=127.0.0.1:8080
- --metrics-secure=false
{{- else if $values.metrics.certSecret }}
- --metrics-cert-path=/etc/slb-health-operator/metrics
{{- end }}
{{- include "slb-health-operator.tuning" $values }}
{{- range $values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{/* The operator has its own default for null. Helm parses numbers as floats: int64 prints them without an exponent.
YAML parses off without quotes as the boolean false. */}}
{{- define "slb-health-operator.tuning" -}}
{{- range $flag, $value := dict "slb-network" .slb.network "slb-endpoint" .slb.endpoint "nlb-endpoint" (.nlb).endpoint "alb-endpoint" (.alb).endpoint "slb-qps" .slb.qps "slb-timeout" .slb.timeout "listener-details" (ternary "off" .listenerDetails (kindIs "bool" .listenerDetails)) "status-heartbeat" .status.heartbeat "zap-log-level" .log.level "zap-encoder" .log.format "zap-time-encoding" .log.timeEncoding "zap-stacktrace-level" .log.stacktraceLevel }}
{{- with $value }}
- {{ printf "--%s=%v" $flag . | quote }}
{{- end }}
{{- end }}
{{- range $flag, $value := dict "slb-burst" .slb.burst "concurrency" .concurrency "max-status-backends" .status.maxBackends }}
{{- with $value }}
- --{{ $flag }}={{ int64 . }}
{{- end }}
{{- end }}
{{- if not (kindIs "invalid" .fastInterval) }}
- --fast-interval={{ .fastInterval }}
{{- end }}
{{- if .requireCredentials }}
- --require-credentials
{{- end }}
{{- if include "slb-health-operator.discoversServices" . }}
- --service-discovery
{{- with .serviceDiscovery.monitor }}
- --monitor={{ . }}
{{- end }}
{{- with .serviceDiscovery.regionId }}
- {{ printf "--region-id=%s" . | quote }}
{{- end }}
{{- end }}
{{- if .backendNames.enabled }}
- --backend-names
{{- end }}
{{- if include "slb-health-operator.hasGates" . }}
- --readiness-gates
{{- with .readinessGates.unknownTimeout }}
- {{ printf "--readiness-gate-unknown-timeout=%v" . | quote }}
{{- end }}
{{- end }}
{{- end -}}
