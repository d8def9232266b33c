{{- define "gvList" -}}
# API reference

<!-- Generated from api/ by `make api-docs`: edit the comments there. -->

What the fields mean together is in [LoadBalancerHealth](spec/loadbalancerhealth.md).
{{ range . }}
{{ template "gvDetails" . }}
{{ end }}
{{- end -}}
