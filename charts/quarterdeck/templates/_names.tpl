{{/* The names, labels and images of all objects. */}}

{{- define "quarterdeck.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 48 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 48 characters, so that the longest ending still fits into a name of 63. */}}
{{- define "quarterdeck.fullname" -}}
{{- $name := include "quarterdeck.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- end -}}

{{/* The labels of one part. Call: include "quarterdeck.labels" (list . "bot") */}}
{{- define "quarterdeck.labels" -}}
{{- $root := first . -}}
{{ include "quarterdeck.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The labels that select the pods of one part. */}}
{{- define "quarterdeck.selector" -}}
{{- $root := first . -}}
app.kubernetes.io/name: {{ include "quarterdeck.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end -}}

{{- define "quarterdeck.image" -}}
{{- $tag := ternary (printf "@%s" .Values.image.digest) (printf ":%s" (default .Chart.AppVersion .Values.image.tag)) (ne .Values.image.digest "") -}}
{{ .Values.image.repository }}{{ $tag }}
{{- end -}}

{{- define "quarterdeck.redisImage" -}}
{{- with .Values.redis.image -}}
{{ .repository }}{{ ternary (printf "@%s" .digest) (printf ":%s" .tag) (ne .digest "") }}
{{- end -}}
{{- end -}}

{{- define "quarterdeck.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "quarterdeck.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{/* The Secret with the address of the store, and its key. */}}
{{- define "quarterdeck.storeSecret" -}}
{{- if .Values.redis.enabled -}}
{{ default (printf "%s-redis" (include "quarterdeck.fullname" .)) .Values.redis.existingSecret }}
{{- else -}}
{{ .Values.store.existingSecret }}
{{- end -}}
{{- end -}}

{{- define "quarterdeck.storeKey" -}}
{{ ternary "url" .Values.store.key .Values.redis.enabled }}
{{- end -}}
