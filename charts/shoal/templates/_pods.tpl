{{/* What the pods of the chart have in common: no right on their node, spread over it. Takes {root, component, values}. */}}
{{- define "shoal.podSettings" -}}
enableServiceLinks: false
{{- /* The sandbox's process is the first then: one that is told to end as it starts would never hear it as the first. */}}
shareProcessNamespace: true
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.topologySpread }}
topologySpreadConstraints:
  {{- range . }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "shoal.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- define "shoal.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Who the pod is. */}}
{{- define "shoal.identity" -}}
- name: SHOAL_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: SHOAL_LOG_LEVEL
  value: {{ .Values.logLevel }}
{{- end }}

{{/* By which certificate pods, gateways and operators know each other. */}}
{{- define "shoal.internalTls" -}}
- name: SHOAL_INTERNAL_TLS_CERT
  value: /etc/shoal/internal-tls/tls.crt
- name: SHOAL_INTERNAL_TLS_KEY
  value: /etc/shoal/internal-tls/tls.key
- name: SHOAL_INTERNAL_TLS_CA
  value: /etc/shoal/internal-tls/ca.crt
- name: SHOAL_INTERNAL_REQUIRE_ROLES
  value: "true"
{{- end }}
