{{- define "controller.name" -}}
{{- .Values.name | default (printf "%s-controller" .Release.Name) | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "controller.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "controller.name" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end }}

{{/* What waypoints read the cluster by: one ClusterRole for all of them, whose subjects the controller keeps. */}}
{{- define "controller.waypointRole" -}}
{{- $name := include "controller.name" . -}}
{{- if hasSuffix "-controller" $name -}}
{{- trimSuffix "-controller" $name -}}
{{- else -}}
{{- printf "%s-waypoints" $name -}}
{{- end -}}
{{- end }}

{{- define "controller.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end }}

{{- define "controller.labels" -}}
{{- $labels := include "controller.selectorLabels" . | fromYaml }}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version) }}
{{- $_ := set $labels "app.kubernetes.io/version" .Chart.AppVersion }}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .Release.Service }}
{{- toYaml (merge $labels .Values.labels) }}
{{- end }}

{{/* With a dictionary: root, name, namespace, and labels and annotations of that object alone. */}}
{{- define "controller.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- toYaml (merge (deepCopy (.labels | default dict)) (include "controller.labels" .root | fromYaml)) | nindent 2 }}
{{- with (merge (deepCopy (.annotations | default dict)) .root.Values.annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "controller.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end }}

