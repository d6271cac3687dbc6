{{/* The content of quarterdeck.yaml: the settings in the values, and the settings that the chart adds. */}}

{{- define "quarterdeck.botConfig" -}}
{{- $own := dict "state" "/var/lib/quarterdeck" "metrics" (dict "listen" ":9108") "store" (dict "url_file" (printf "/run/secrets/quarterdeck/store/%s" (include "quarterdeck.storeKey" .))) -}}
{{- with .Values.bot.slack -}}
{{- if not .existingSecret -}}
{{- $_ := set $own "slack" "off" -}}
{{- else if eq .mode "http" -}}
{{- $_ := set $own "slack" (dict "mode" "http" "listen" ":3000" "bot_token_file" (printf "/run/secrets/quarterdeck/slack/%s" .keys.botToken) "signing_secret_file" (printf "/run/secrets/quarterdeck/slack/%s" .keys.signingSecret)) -}}
{{- else -}}
{{- $_ := set $own "slack" (dict "mode" "socket" "bot_token_file" (printf "/run/secrets/quarterdeck/slack/%s" .keys.botToken) "app_token_file" (printf "/run/secrets/quarterdeck/slack/%s" .keys.appToken)) -}}
{{- end -}}
{{- end -}}
{{- toYaml (mergeOverwrite (include "quarterdeck.withKeys" .Values.bot.config | fromJson) $own) -}}
{{- end -}}

{{- define "quarterdeck.socket" -}}
{{- default (ternary "/run/crio/crio.sock" "/run/containerd/containerd.sock" (eq .Values.exporter.runtime "crio")) .Values.exporter.socket -}}
{{- end -}}

{{- define "quarterdeck.exporterConfig" -}}
{{- $allow := .Values.exporter.allow -}}
{{- if .Values.exporter.podLogs -}}
{{- $allow = append $allow "container.logs" -}}
{{- end -}}
{{- $engine := dict "kind" "cri" "url" (printf "unix://%s" (include "quarterdeck.socket" .)) "allow" (uniq $allow) -}}
{{- $own := dict "state" "/var/lib/quarterdeck" "metrics" (dict "listen" ":9108") "slack" "off" "store" (dict "max_megabytes" .Values.exporter.store.maxMegabytes) "engines" (list $engine) -}}
{{- toYaml (mergeOverwrite (include "quarterdeck.withKeys" .Values.exporter.config | fromJson) $own) -}}
{{- end -}}

{{/* The same value as JSON. Helm reads the keys `on` and `off` as true and false; this template restores them. */}}
{{- define "quarterdeck.withKeys" -}}
{{- if kindIs "map" . -}}
{{- $map := dict -}}
{{- range $key, $value := . -}}
{{- $name := default $key (get (dict "true" "on" "false" "off") $key) -}}
{{- $_ := set $map $name (include "quarterdeck.withKeys" $value | printf "[%s]" | fromJsonArray | first) -}}
{{- end -}}
{{- toJson $map -}}
{{- else if kindIs "slice" . -}}
{{- $list := list -}}
{{- range . -}}
{{- $list = append $list (include "quarterdeck.withKeys" . | printf "[%s]" | fromJsonArray | first) -}}
{{- end -}}
{{- toJson $list -}}
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}

{{/* The ports of all addresses in a configuration, as a list in JSON: tcp://docker7:2376 has 2376. */}}
{{- define "quarterdeck.portsOf" -}}
{{- $ports := list -}}
{{- $usual := dict "http" 80 "https" 443 "ssh" 22 -}}
{{- range regexFindAll "[a-z]+://[^/\"\\s\\\\]+" (toJson .) -1 -}}
{{- $scheme := regexFind "^[a-z]+" . -}}
{{- $port := trimPrefix ":" (regexFind ":[0-9]+$" .) -}}
{{- if $port -}}
{{- $ports = append $ports (int $port) -}}
{{- else if hasKey $usual $scheme -}}
{{- $ports = append $ports (get $usual $scheme) -}}
{{- end -}}
{{- end -}}
{{- toJson ($ports | uniq) -}}
{{- end -}}

{{/* Egress to the name servers. In some clusters they listen at port 5353. */}}
{{- define "quarterdeck.egressToNames" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
    - {port: 5353, protocol: UDP}
    - {port: 5353, protocol: TCP}
{{- end -}}

{{/* Egress to a list of ports, at any address. */}}
{{- define "quarterdeck.egressToPorts" -}}
{{- $ports := list -}}
{{- range . -}}
{{- $ports = append $ports (int .) -}}
{{- end -}}
- ports:
    {{- range $ports | uniq }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end -}}
