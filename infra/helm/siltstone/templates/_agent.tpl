{{/* What clients are told to connect to: see agent.advertise.mode. */}}
{{- define "siltstone.advertised" -}}
{{- $advertise := .root.Values.agent.advertise -}}
{{- if eq $advertise.mode "podIP" -}}
$(POD_IP):9092
{{- else if eq $advertise.mode "hostIP" -}}
$(HOST_IP):{{ $advertise.hostPort }}
{{- else if eq $advertise.mode "hostname" -}}
$(POD_NAME).{{ .group.name }}.{{ .root.Release.Namespace }}.svc.{{ $advertise.clusterDomain }}:9092
{{- else -}}
$(POD_NAME).{{ $advertise.loadBalancer.domain }}:{{ $advertise.loadBalancer.port }}
{{- end -}}
{{- end }}

{{- define "siltstone.agent.env" -}}
{{- $agent := .root.Values.agent -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
{{- if eq $agent.advertise.mode "hostIP" }}
- name: HOST_IP
  valueFrom:
    fieldRef:
      fieldPath: status.hostIP
{{- end }}
- name: SILTSTONE_LISTEN__KAFKA
  value: 0.0.0.0:9092
- name: SILTSTONE_LISTEN__ADVERTISED
  value: {{ include "siltstone.advertised" . | quote }}
{{- if $agent.advertise.inside }}
- name: SILTSTONE_LISTEN__OTHERS
  value: inside=0.0.0.0:9094
- name: SILTSTONE_LISTEN__OTHERS_ADVERTISED
  value: inside=$(POD_IP):9094
{{- end }}
{{- if $agent.peer.enabled }}
- name: SILTSTONE_PEER__LISTEN
  value: 0.0.0.0:{{ $agent.peer.port }}
- name: SILTSTONE_PEER__ADVERTISED
  value: $(POD_IP):{{ $agent.peer.port }}
{{- if $agent.peer.tlsSecret }}
- name: SILTSTONE_PEER__CERTIFICATE
  value: /etc/siltstone/peer-tls/tls.crt
- name: SILTSTONE_PEER__KEY
  value: /etc/siltstone/peer-tls/tls.key
- name: SILTSTONE_PEER__AUTHORITY
  value: /etc/siltstone/peer-tls/ca.crt
- name: SILTSTONE_PEER__NAME
  value: {{ $agent.peer.name }}
{{- end }}
{{- end }}
{{- if eq $agent.zone.source "podLabel" }}
- name: SILTSTONE_NODE__ZONE
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['topology.kubernetes.io/zone']
{{- else if eq $agent.zone.source "perZone" }}
- name: SILTSTONE_NODE__ZONE
  value: {{ .group.zone | quote }}
{{- end }}
- name: SILTSTONE_COMPACTOR__ENABLED
  value: "false"
- name: SILTSTONE_SHUTDOWN__TIMEOUT
  value: {{ printf "%ds" (int $agent.shutdownSeconds) }}
{{- if ne (int $agent.drainSeconds) 5 }}
- name: SILTSTONE_SHUTDOWN__DRAIN
  value: {{ printf "%ds" (int $agent.drainSeconds) }}
{{- end }}
{{- with $agent.shards }}
- name: SILTSTONE_CLUSTER__SHARDS
  value: {{ . | toString | quote }}
{{- end }}
{{ include "siltstone.env" (dict "root" .root "settings" $agent.settings) | trim }}
{{- end }}

{{/* The pods of agents, of whatever kind of workload. Takes a dict of root and group. */}}
{{- define "siltstone.agent.pod" -}}
{{- $root := .root -}}
{{- $agent := $root.Values.agent -}}
metadata:
  labels:
    {{- include "siltstone.selector" $root | nindent 4 }}
    app.kubernetes.io/component: agent
    siltstone/group: {{ .group.name }}
    {{- with $agent.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $agent.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "siltstone.serviceAccount" $root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  # The pause, three steps of a drain, the two halves of a stop, and some to spare: then SIGKILL, which is safe too.
  terminationGracePeriodSeconds: {{ add $agent.preStopSeconds (mul 3 $agent.drainSeconds) (mul 2 $agent.shutdownSeconds) 15 }}
  securityContext:
    {{- include "siltstone.podSecurity" $root | nindent 4 }}
  {{- with include "siltstone.placement" $agent | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "siltstone.agent.affinity" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  topologySpreadConstraints:
    {{- if ne $agent.zone.source "perZone" }}
    {{- include "siltstone.spread" (dict "root" $root "key" "topology.kubernetes.io/zone" "when" $agent.spread.zone "group" .group) | nindent 4 }}
    {{- end }}
    {{- include "siltstone.spread" (dict "root" $root "key" "kubernetes.io/hostname" "when" $agent.spread.host "group" .group) | nindent 4 }}
  containers:
    - name: agent
      image: {{ include "siltstone.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: [agent]
      env:
        {{- include "siltstone.agent.env" . | nindent 8 }}
      ports:
        - name: kafka
          containerPort: 9092
          {{- if eq $agent.advertise.mode "hostIP" }}
          hostPort: {{ $agent.advertise.hostPort }}
          {{- end }}
        - name: http
          containerPort: 9644
        {{- if $agent.advertise.inside }}
        - name: inside
          containerPort: 9094
        {{- end }}
        {{- if $agent.peer.enabled }}
        - name: peer
          containerPort: {{ $agent.peer.port }}
        {{- end }}
      {{- include "siltstone.probes" $root | nindent 6 }}
      {{- if gt (int $agent.preStopSeconds) 0 }}
      lifecycle:
        preStop:
          sleep:
            seconds: {{ $agent.preStopSeconds }}
      {{- end }}
      resources:
        {{- toYaml $agent.resources | nindent 8 }}
      securityContext:
        {{- include "siltstone.containerSecurity" $root | nindent 8 }}
      {{- with include "siltstone.agent.mounts" $root | trim }}
      volumeMounts:
        {{- . | nindent 8 }}
      {{- end }}
  {{- with include "siltstone.agent.volumes" $root | trim }}
  volumes:
    {{- . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "siltstone.agent.mounts" -}}
{{ include "siltstone.mounts" . }}
{{- if and .Values.agent.peer.enabled .Values.agent.peer.tlsSecret }}
- name: peer-tls
  mountPath: /etc/siltstone/peer-tls
  readOnly: true
{{- end }}
{{- end }}

{{- define "siltstone.agent.volumes" -}}
{{ include "siltstone.volumes" . }}
{{- if and .Values.agent.peer.enabled .Values.agent.peer.tlsSecret }}
- name: peer-tls
  secret:
    secretName: {{ .Values.agent.peer.tlsSecret }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{/* A group of one zone runs in that zone and nowhere else. */}}
{{- define "siltstone.agent.affinity" -}}
{{- $affinity := .root.Values.agent.affinity -}}
{{- if .group.zone -}}
{{- $term := dict "matchExpressions" (list (dict "key" "topology.kubernetes.io/zone" "operator" "In" "values" (list .group.zone))) -}}
{{- $node := dict "requiredDuringSchedulingIgnoredDuringExecution" (dict "nodeSelectorTerms" (list $term)) -}}
{{- $affinity = mergeOverwrite (deepCopy $affinity) (dict "nodeAffinity" $node) -}}
{{- end -}}
{{- with $affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "siltstone.spread" -}}
- topologyKey: {{ .key }}
  maxSkew: 1
  whenUnsatisfiable: {{ .when }}
  nodeTaintsPolicy: Honor
  labelSelector:
    matchLabels:
      {{- include "siltstone.selector" .root | nindent 6 }}
      app.kubernetes.io/component: agent
      siltstone/group: {{ .group.name }}
  {{- if eq (include "siltstone.agentKind" .root) "Deployment" }}
  # Each version of the pods is spread by itself, so that a rolling update ends as even as it began.
  matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
