{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* Combinations of values that the schema cannot validate. */}}
{{- define "slb-health-operator.validate" -}}
{{- include "slb-health-operator.validateShards" . -}}
{{- include "slb-health-operator.validateIdentity" .Values.identity -}}
{{- if and (eq .Values.identity.type "rrsa") (eq (default "" .Values.slb.network) "vpc") (not .Values.identity.rrsa.stsRegion) (not .Values.requireCredentials) -}}
{{- fail "slb.network: vpc does not apply to STS, which RRSA needs: set identity.rrsa.stsRegion, such as cn-hangzhou" -}}
{{- end -}}
{{- with .Values -}}
{{- if not (or (kindIs "invalid" .replicas) (kindIs "invalid" .replicaCount)) -}}
{{- if not (has (int64 .replicaCount) (list (int64 2) (int64 .replicas))) -}}
{{- fail (printf "replicaCount is %v, and replicas, its former name, is %v: set only replicaCount, and replicas to null" .replicaCount .replicas) -}}
{{- end -}}
{{- end -}}
{{- if and (not .serviceAccount.create) (not .serviceAccount.name) -}}
{{- fail "serviceAccount.create is false: name the ServiceAccount in serviceAccount.name" -}}
{{- end -}}
{{- if and .slb.endpoint (eq (default "" .slb.network) "vpc") -}}
{{- fail "slb.endpoint replaces the regions' endpoints, so slb.network: vpc has no effect: set only one of them" -}}
{{- end -}}
{{- if and .serviceDiscovery.regionId (not (include "slb-health-operator.discoversServices" .)) -}}
{{- fail "serviceDiscovery.regionId requires serviceDiscovery.enabled: set both, or neither" -}}
{{- end -}}
{{- if and (eq (default "" .serviceDiscovery.monitor) "all") (not (include "slb-health-operator.discoversServices" .)) -}}
{{- fail "serviceDiscovery.monitor: all requires serviceDiscovery.enabled: set both, or neither" -}}
{{- end -}}
{{- if and .namespaced .serviceDiscovery.enabled (not .serviceDiscovery.regionId) -}}
{{- fail "serviceDiscovery: with namespaced, the operator cannot read nodes: set serviceDiscovery.regionId" -}}
{{- end -}}
{{- if and .namespaced (include "slb-health-operator.hasGates" .) -}}
{{- fail "readinessGates.enabled requires namespaced: false, because admission policies are cluster-scoped" -}}
{{- end -}}
{{- if and (include "slb-health-operator.hasGates" .) .readinessGates.inject (semverCompare "<1.36.0-0" $.Capabilities.KubeVersion.Version) -}}
{{- fail (printf "readinessGates.inject: Kubernetes %s does not serve MutatingAdmissionPolicy v1: set it to false and write the gates into the pod templates, or pass the version of the cluster by --kube-version" $.Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if and .namespaced .metrics.certSecret -}}
{{- fail "metrics.certSecret: with namespaced, metrics are served only inside the pod, without TLS" -}}
{{- end -}}
{{- if and .metrics.serviceMonitor.enabled (or .namespaced (not .metrics.enabled)) -}}
{{- fail "metrics.serviceMonitor.enabled requires metrics.enabled, and namespaced: false" -}}
{{- end -}}
{{- if and (.metrics.prometheusRule.slo).enabled (not .metrics.prometheusRule.enabled) -}}
{{- fail "metrics.prometheusRule.slo.enabled requires metrics.prometheusRule.enabled: set both, or neither" -}}
{{- end -}}
{{- with .metrics.serviceMonitor.authorization -}}
{{- if and .create .credentials -}}
{{- fail "metrics.serviceMonitor.authorization: credentials replace the token that the chart creates: set create: false" -}}
{{- end -}}
{{- if and .credentials (not (and .credentials.name .credentials.key)) -}}
{{- fail "metrics.serviceMonitor.authorization.credentials: set both name and key" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "slb-health-operator.validateShards" -}}
{{- if and .Values.shards (or .Values.watch.namespaces .Values.watch.selector .Values.leaderElectionId) -}}
{{- fail "shards: set namespaces, selector and leaderElectionId in each shard, not in watch and leaderElectionId" -}}
{{- end -}}
{{- $names := dict -}}
{{- $served := dict -}}
{{- range .Values.shards -}}
{{- if hasKey $names .name -}}
{{- fail (printf "shards: two are named %s" .name) -}}
{{- end -}}
{{- $_ := set $names .name true -}}
{{- if and (hasKey . "replicas") (hasKey . "replicaCount") -}}
{{- fail (printf "shards: %s has replicaCount, and replicas, its former name: set only replicaCount" .name) -}}
{{- end -}}
{{- $serves := printf "%v %v" (default (list) .namespaces | sortAlpha) (default "" .selector) -}}
{{- if hasKey $served $serves -}}
{{- fail (printf "shards: %s and %s serve the same objects: both would write them" (index $served $serves) .name) -}}
{{- end -}}
{{- $_ := set $served $serves .name -}}
{{- end -}}
{{- end -}}

{{- define "slb-health-operator.validateIdentity" -}}
{{- if eq .type "rrsa" -}}
{{- if and .rrsa.roleName (or .rrsa.roleArn .rrsa.oidcProviderArn) -}}
{{- fail "identity.rrsa: roleName is for the add-on, roleArn and oidcProviderArn are for clusters without it: set only one of the two" -}}
{{- end -}}
{{- if not (or .rrsa.roleName (and .rrsa.roleArn .rrsa.oidcProviderArn)) -}}
{{- fail "identity.rrsa: set roleName, or both roleArn and oidcProviderArn" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Lines about values with a former name. */}}
{{- define "slb-health-operator.deprecated" -}}
{{- with .Values }}
{{- if not (kindIs "invalid" .replicas) }}
replicas: set replicaCount
{{- end }}
{{- if not (kindIs "invalid" .crds.install) }}
crds.install: set crds.enabled
{{- end }}
{{- range $kind := list "serviceMonitor" "prometheusRule" }}
{{- if (index $.Values.metrics $kind).labels }}
metrics.{{ $kind }}.labels: set metrics.{{ $kind }}.additionalLabels
{{- end }}
{{- end }}
{{- range .shards }}
{{- if hasKey . "replicas" }}
replicas of the shard {{ .name }}: set replicaCount
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
