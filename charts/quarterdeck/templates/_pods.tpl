{{/* Templates that all pods share. */}}

{{/* The settings of every pod. Call: include "quarterdeck.pod" (list . .Values.bot) */}}
{{- define "quarterdeck.pod" -}}
{{- $root := first . -}}
{{- $part := last . -}}
serviceAccountName: {{ include "quarterdeck.serviceAccountName" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* The security context of every container: that of the Pod Security level “restricted”. */}}
{{- define "quarterdeck.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Creates the state directory, which only the process may write to. The volume itself is writable for everybody. */}}
{{- define "quarterdeck.stateContainer" -}}
- name: state
  image: {{ include "quarterdeck.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  # The image has no shell.
  command: [python3, -I, -S, -c, "import os; os.makedirs('/volume/state', mode=0o700, exist_ok=True)"]
  securityContext:
    {{- include "quarterdeck.containerSecurity" . | nindent 4 }}
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {memory: 64Mi}
  volumeMounts:
    - {name: state, mountPath: /volume}
{{- end -}}

{{/* The mounts and volumes of every process: the configuration, the state, /tmp, and the Secrets. */}}
{{- define "quarterdeck.mounts" -}}
- {name: config, mountPath: /etc/quarterdeck, readOnly: true}
- {name: state, mountPath: /var/lib/quarterdeck, subPath: state}
- {name: tmp, mountPath: /tmp}
{{- range .secretMounts }}
- {name: {{ printf "secret-%s" .name }}, mountPath: {{ printf "/run/secrets/quarterdeck/%s" .name }}, readOnly: true}
{{- end }}
{{- end -}}

{{/* Call: include "quarterdeck.volumes" (list .Values.bot CONFIGMAP SIZE-OF-STATE) */}}
{{- define "quarterdeck.volumes" -}}
{{- $part := first . -}}
- name: config
  configMap:
    name: {{ index . 1 }}
- name: state
  emptyDir:
    sizeLimit: {{ last . }}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- range $part.secretMounts }}
- name: secret-{{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{/* Alive: the process answers. Ready: commands work, or the engine is watched. */}}
{{- define "quarterdeck.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 10
  # The process itself waits up to 5 seconds for the answers of its parts.
  timeoutSeconds: 7
  failureThreshold: 2
{{- end -}}

{{- define "quarterdeck.scrapeAnnotations" -}}
{{- if .Values.monitoring.scrapeAnnotations }}
prometheus.io/scrape: "true"
prometheus.io/port: "9108"
prometheus.io/path: /metrics
{{- end }}
{{- end -}}
