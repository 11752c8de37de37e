{{/* Labels of every object of the chart. Takes {root, component}. */}}
{{- define "shoal.labels" -}}
{{ include "shoal.selector" . }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* What tells the pods of one component. It never changes, since the selector of a Deployment cannot. */}}
{{- define "shoal.selector" -}}
app.kubernetes.io/name: shoal
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "shoal.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Objects that have no namespace are named after the namespace of the installation, so that there can be several. */}}
{{- define "shoal.clusterName" -}}
{{ printf "%s-%s" .name .root.Release.Namespace }}
{{- end }}

{{- define "shoal.apiKeySecret" -}}
{{ .Values.auth.existingSecret | default "shoal-api-keys" }}
{{- end }}
