{{- define "waypoint.name" -}}
{{- .Values.name | default .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "waypoint.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "waypoint.name" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end }}

{{/* Of what is not in a namespace, or in another one. */}}
{{- define "waypoint.clusterName" -}}
{{- printf "%s-%s" (include "waypoint.name" .) .Release.Namespace -}}
{{- end }}

{{- define "waypoint.selectorLabels" -}}
gateway.networking.k8s.io/gateway-name: {{ include "waypoint.name" . }}
{{- end }}

{{/* What is said of the Gateway itself, and passed on from there to all that belongs to it. */}}
{{- define "waypoint.ownLabels" -}}
{{- $own := dict "istio.io/waypoint-for" .Values.gateway.waypointFor }}
{{- with .Values.revision }}{{ $_ := set $own "istio.io/rev" . }}{{ end }}
{{- toYaml (merge $own .Values.labels) }}
{{- end }}

{{- define "waypoint.labels" -}}
{{- $labels := include "waypoint.podLabels" . | fromYaml }}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version) }}
{{- $_ := set $labels "app.kubernetes.io/version" .Chart.AppVersion }}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .Release.Service }}
{{- toYaml $labels }}
{{- end }}

{{/* Those that do not change with the chart's version: a pod would be replaced for nothing. */}}
{{- define "waypoint.podLabels" -}}
{{- $labels := dict "app.kubernetes.io/name" .Chart.Name "app.kubernetes.io/instance" .Release.Name }}
{{- $_ := set $labels "gateway.networking.k8s.io/gateway-class-name" .Values.gateway.className }}
{{- $labels = merge $labels (include "waypoint.selectorLabels" . | fromYaml) }}
{{- toYaml (merge $labels (include "waypoint.ownLabels" . | fromYaml)) }}
{{- end }}

{{/* `waypoint.metadata` with a dictionary: root, name, and labels and annotations of that object alone. */}}
{{- define "waypoint.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- $labels := include "waypoint.labels" .root | fromYaml }}
  {{- toYaml (merge (deepCopy (.labels | default dict)) $labels) | nindent 2 }}
{{- with (merge (deepCopy (.annotations | default dict)) .root.Values.annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "waypoint.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end }}

{{- define "waypoint.caAddress" -}}
{{- if .Values.caAddress -}}
{{- .Values.caAddress -}}
{{- else if and .Values.revision (ne .Values.revision "default") -}}
istiod-{{ .Values.revision }}.{{ .Values.global.istioNamespace }}.svc:15012
{{- else -}}
istiod.{{ .Values.global.istioNamespace }}.svc:15012
{{- end -}}
{{- end }}

{{- define "waypoint.host" -}}
{{- printf "%s.%s.svc.%s" (include "waypoint.name" .) .Release.Namespace .Values.clusterDomain -}}
{{- end }}

{{- define "waypoint.probe" -}}
httpGet:
  path: /healthz/ready
  port: 15021
  scheme: HTTP
periodSeconds: {{ .period }}
failureThreshold: {{ .failures }}
successThreshold: 1
timeoutSeconds: 1
{{- end }}
