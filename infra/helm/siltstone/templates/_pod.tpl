{{/* A setting's environment variable: in Kafka's own names dots become one underscore, elsewhere two. */}}
{{- define "siltstone.variable" -}}
{{- if hasPrefix "kafka." . -}}
SILTSTONE_KAFKA__{{ trimPrefix "kafka." . | replace "." "_" | upper }}
{{- else -}}
SILTSTONE_{{ . | replace "." "__" | upper }}
{{- end -}}
{{- end }}

{{- define "siltstone.env.plain" -}}
- name: {{ include "siltstone.variable" .name }}
  value: {{ .value | toString | quote }}
{{- end }}

{{- define "siltstone.env.secret" -}}
- name: {{ include "siltstone.variable" .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end }}

{{/* What agents and compactors are both told. Takes a dict of root and the settings of the kind. */}}
{{- define "siltstone.env" -}}
{{- $values := .root.Values -}}
{{- $plain := dict "metadata.url" $values.metadata.url "store.url" $values.store.url "listen.http" "0.0.0.0:9644" -}}
{{- with $values.store.region }}{{ $_ := set $plain "store.region" . }}{{ end -}}
{{- with $values.store.endpoint }}{{ $_ := set $plain "store.endpoint" . }}{{ end -}}
{{- if $values.store.allowHttp }}{{ $_ := set $plain "store.allow_http" "true" }}{{ end -}}
{{- $plain = merge (dict) .settings $values.settings $plain -}}
{{- range $name, $value := $plain }}
{{ include "siltstone.env.plain" (dict "name" $name "value" $value) }}
{{- end }}
{{- with $values.metadata.password }}{{ if .secret }}
{{ include "siltstone.env.secret" (dict "name" "metadata.password" "secret" .secret "key" .key) }}
{{- end }}{{ end }}
{{- with $values.store.credentials }}{{ if .secret }}
{{ include "siltstone.env.secret" (dict "name" "store.access_key_id" "secret" .secret "key" .accessKeyId) }}
{{ include "siltstone.env.secret" (dict "name" "store.secret_access_key" "secret" .secret "key" .secretAccessKey) }}
{{- if .sessionToken }}
{{ include "siltstone.env.secret" (dict "name" "store.session_token" "secret" .secret "key" .sessionToken) }}
{{- end }}{{ end }}{{ end }}
{{- if $values.metadata.foundationdb.tlsSecret }}
- name: FDB_TLS_CERTIFICATE_FILE
  value: /etc/siltstone/fdb-tls/tls.crt
- name: FDB_TLS_KEY_FILE
  value: /etc/siltstone/fdb-tls/tls.key
- name: FDB_TLS_CA_FILE
  value: /etc/siltstone/fdb-tls/ca.crt
{{- with $values.metadata.foundationdb.tlsVerifyPeers }}
- name: FDB_TLS_VERIFY_PEERS
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- if or $values.trust.configMap $values.trust.secret }}
- name: SSL_CERT_FILE
  value: /etc/siltstone/trust/{{ $values.trust.key }}
{{- end }}
{{- end }}

{{- define "siltstone.volumes" -}}
{{- with .Values.metadata.foundationdb }}
{{- if .clusterFile.configMap }}
- name: fdb
  configMap:
    name: {{ .clusterFile.configMap }}
    items:
      - key: {{ .clusterFile.key }}
        path: fdb.cluster
{{- else if .clusterFile.secret }}
- name: fdb
  secret:
    secretName: {{ .clusterFile.secret }}
    items:
      - key: {{ .clusterFile.key }}
        path: fdb.cluster
{{- end }}
{{- if .tlsSecret }}
- name: fdb-tls
  secret:
    secretName: {{ .tlsSecret }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- if .Values.trust.configMap }}
- name: trust
  configMap:
    name: {{ .Values.trust.configMap }}
{{- else if .Values.trust.secret }}
- name: trust
  secret:
    secretName: {{ .Values.trust.secret }}
{{- end }}
{{- end }}

{{- define "siltstone.mounts" -}}
{{- with .Values.metadata.foundationdb }}
{{- if or .clusterFile.configMap .clusterFile.secret }}
- name: fdb
  mountPath: /etc/siltstone/fdb
  readOnly: true
{{- end }}
{{- if .tlsSecret }}
- name: fdb-tls
  mountPath: /etc/siltstone/fdb-tls
  readOnly: true
{{- end }}
{{- end }}
{{- if or .Values.trust.configMap .Values.trust.secret }}
- name: trust
  mountPath: /etc/siltstone/trust
  readOnly: true
{{- end }}
{{- end }}

{{/* Security of pod and container: the image's own user, no rights, nothing to write to. */}}
{{- define "siltstone.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "siltstone.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Restart by /health, route by /ready. A start waits for the stores: 20 s for the bucket, 10 s for the metadata. */}}
{{- define "siltstone.probes" -}}
startupProbe:
  httpGet:
    path: /health
    port: http
  periodSeconds: 2
  failureThreshold: 45
livenessProbe:
  httpGet:
    path: /health
    port: http
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /ready
    port: http
  periodSeconds: 3
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}

{{/* What a pod's spec says of where it may run. Takes the values of its kind. */}}
{{- define "siltstone.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}
