{{/* Refuses mistakes that the schema cannot find. Each message has the mistake, the value and the cure. */}}

{{- define "quarterdeck.check" -}}
{{- if not (or .Values.bot.enabled .Values.exporter.enabled) -}}
{{- fail "The values install nothing. Set bot.enabled or exporter.enabled to true." -}}
{{- end -}}
{{- include "quarterdeck.refuseSecrets" (dict "path" "bot.config" "value" .Values.bot.config) -}}
{{- include "quarterdeck.refuseSecrets" (dict "path" "exporter.config" "value" .Values.exporter.config) -}}
{{- range $part := list "bot" "exporter" -}}
{{- $seen := list "store" "slack" -}}
{{- range (get $.Values $part).secretMounts -}}
{{- if has .name $seen -}}
{{- fail (printf "%s.secretMounts has the name “%s”, which is reserved. Choose another one: it is the name of a directory in /run/secrets/quarterdeck." $part .name) -}}
{{- end -}}
{{- $seen = append $seen .name -}}
{{- end -}}
{{- end -}}
{{- if .Values.bot.enabled -}}
{{- include "quarterdeck.checkBot" . -}}
{{- end -}}
{{- if .Values.exporter.enabled -}}
{{- include "quarterdeck.checkExporter" . -}}
{{- end -}}
{{- end -}}

{{- define "quarterdeck.checkBot" -}}
{{- $config := .Values.bot.config -}}
{{- include "quarterdeck.refuseOwned" (dict "path" "bot.config" "config" $config) -}}
{{- if not $config.engines -}}
{{- fail "bot.config.engines names no engine, and the bot's pod has no engine. Name the engines that the bot watches, such as [{url: tcp://docker7:2376, tls: {…}}]. To watch the nodes of this cluster, set exporter.enabled to true; without engines elsewhere, set bot.enabled to false." -}}
{{- end -}}
{{- range $index, $engine := $config.engines -}}
{{- if hasPrefix "unix://" (toString $engine.url) -}}
{{- fail (printf "bot.config.engines[%d].url is %s, but the bot's pod has no socket of an engine. Write the engine's network address, or watch the nodes with exporter.enabled." $index $engine.url) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.redis.enabled .Values.store.existingSecret -}}
{{- fail (printf "There are two stores: redis.enabled is true and store.existingSecret is “%s”. Set redis.enabled to false to use your own server." .Values.store.existingSecret) -}}
{{- end -}}
{{- if not (or .Values.redis.enabled .Values.store.existingSecret) -}}
{{- fail "The bot has no store. Set redis.enabled to true, or store.existingSecret to a Secret with the address of your Redis or Valkey." -}}
{{- end -}}
{{- with .Values.bot.ingress -}}
{{- if and .enabled (or (ne $.Values.bot.slack.mode "http") (not $.Values.bot.slack.existingSecret)) -}}
{{- fail "bot.ingress.enabled is true, but only Slack's HTTP mode needs an Ingress. Set bot.slack.mode to http and bot.slack.existingSecret, or bot.ingress.enabled to false." -}}
{{- end -}}
{{- if and .enabled (not .host) -}}
{{- fail "bot.ingress.host is empty. Set it to the public host name that Slack's requests are sent to." -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "quarterdeck.checkExporter" -}}
{{- include "quarterdeck.refuseOwned" (dict "path" "exporter.config" "config" .Values.exporter.config) -}}
{{- if hasKey .Values.exporter.config "engines" -}}
{{- fail "exporter.config.engines cannot be set: each pod watches the engine of its node. Use exporter.runtime and exporter.socket." -}}
{{- end -}}
{{- if hasKey .Values.exporter.config "slack" -}}
{{- fail "exporter.config.slack cannot be set: the exporter has no chat. Use bot.slack." -}}
{{- end -}}
{{- $directory := dir (include "quarterdeck.socket" .) -}}
{{- if has $directory (list "/" "/run" "/var/run" "/var") -}}
{{- fail (printf "exporter.socket is %s: its directory %s would be mounted, which contains more than the engine's socket. Configure the engine to use a separate directory for its socket." .Values.exporter.socket $directory) -}}
{{- end -}}
{{- end -}}

{{/* Refuses settings that the chart itself sets. Each message names the value to set instead. */}}
{{- define "quarterdeck.refuseOwned" -}}
{{- $bot := "Use bot.slack.existingSecret." -}}
{{- $instead := dict "state" "The state is on a volume of the pod." "store.url" "Use store.existingSecret." "store.url_file" "Use store.existingSecret." "metrics.listen" "The pods listen at port 9108." "slack.mode" "Use bot.slack.mode." "slack.listen" "The bot listens at port 3000." "slack.bot_token_file" $bot "slack.app_token_file" $bot "slack.signing_secret_file" $bot -}}
{{- range $key, $cure := $instead -}}
{{- $words := splitList "." $key -}}
{{- $section := ternary $.config (get $.config (first $words)) (eq (len $words) 1) -}}
{{- if kindIs "map" $section -}}
{{- if hasKey $section (last $words) -}}
{{- fail (printf "%s.%s cannot be set, because the chart sets it. %s" $.path $key $cure) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Refuses secrets: values are stored in the cluster in plain text, and `helm get values` shows them. */}}
{{- define "quarterdeck.refuseSecrets" -}}
{{- $path := .path -}}
{{- $secret := list "bot_token" "app_token" "signing_secret" "secret" "token" "password" "receive_token" "receive_password" -}}
{{- if kindIs "map" .value -}}
{{- range $key, $value := .value -}}
{{- if and (has $key $secret) (kindIs "string" $value) -}}
{{- fail (printf "%s.%s is a secret, and values are not secret. Put it into a Secret, mount that with secretMounts, and set %s_file to the path of the file. For Slack, use bot.slack.existingSecret." $path $key $key) -}}
{{- end -}}
{{- include "quarterdeck.refuseSecrets" (dict "path" (printf "%s.%s" $path $key) "value" $value) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value -}}
{{- include "quarterdeck.refuseSecrets" (dict "path" (printf "%s[%d]" $path $index) "value" $value) -}}
{{- end -}}
{{- else if kindIs "string" .value -}}
{{- if regexMatch "://[^/\\s@]*:[^/\\s@]+@|\\bxox[a-z]-|\\bxapp-" .value -}}
{{- fail (printf "%s contains a password or a token, and values are not secret. Put it into a Secret, mount that with secretMounts, and use the setting whose name ends in _file." $path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
