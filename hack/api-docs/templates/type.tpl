{{- define "type" -}}
{{- if markdownShouldRenderType . }}
### {{ .Name }}

{{ .Doc }}
{{ if .IsAlias }}
A {{ markdownRenderTypeLink .UnderlyingType }}{{ range .Validation }}; {{ . }}{{ end }}.
{{ end }}
{{- if .References }}
In: {{ range $i, $r := .SortedReferences }}{{ if $i }}, {{ end }}{{ markdownRenderTypeLink $r }}{{ end }}.
{{ end }}
{{- if .Members }}
| field | type | default | meaning |
| --- | --- | --- | --- |
{{- if .GVK }}
| `apiVersion` | string | | `{{ .GVK.Group }}/{{ .GVK.Version }}` |
| `kind` | string | | `{{ .GVK.Kind }}` |
{{- end }}
{{- range .Members }}
| `{{ .Name }}` | {{ markdownRenderType .Type }} | {{ with .Default }}`{{ . }}`{{ end }} | {{ template "type_members" . }} |
{{- end }}
{{ end }}
{{- end }}
{{- end -}}
