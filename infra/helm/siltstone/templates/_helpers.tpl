{{/* Names */}}
{{- define "siltstone.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "siltstone.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "siltstone.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "siltstone.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "siltstone.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "siltstone.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "siltstone.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end }}

{{- define "siltstone.selector" -}}
app.kubernetes.io/name: {{ include "siltstone.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "siltstone.labels" -}}
{{ include "siltstone.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Agents run as a StatefulSet where a client's address of one is made from its pod's name; else as a Deployment, which replaces a pod
     whose node is gone without waiting for somebody to say that it is. */}}
{{- define "siltstone.agentKind" -}}
{{- if has .Values.agent.advertise.mode (list "hostname" "loadBalancer") -}}StatefulSet{{- else -}}Deployment{{- end -}}
{{- end }}

{{/* The workloads of agents: one, or one for each zone. A JSON object with a list, as templates can give back text only. */}}
{{- define "siltstone.agentGroups" -}}
{{- $base := printf "%s-agent" (include "siltstone.fullname" .) -}}
{{- $groups := list -}}
{{- if eq .Values.agent.zone.source "perZone" -}}
{{- range .Values.agent.zone.zones -}}
{{- $groups = append $groups (dict "name" (printf "%s-%s" $base . | trunc 52 | trimSuffix "-") "zone" .) -}}
{{- end -}}
{{- else -}}
{{- $groups = append $groups (dict "name" $base "zone" "") -}}
{{- end -}}
{{- dict "groups" $groups | toJson -}}
{{- end }}

{{/* What can be seen to be wrong before anything is installed, beyond what values.schema.json says. */}}
{{- define "siltstone.validate" -}}
{{- $zone := .Values.agent.zone -}}
{{- if and (eq $zone.source "podLabel") (not $zone.older) (semverCompare "<1.35.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "agent.zone.source podLabel: Kubernetes %s does not copy zones to pods by itself (1.35 does), so that all agents would be without a zone, silently. Use perZone, or none, or switch the feature gate PodTopologyLabelsAdmission on and say agent.zone.older=true" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if and (eq $zone.source "perZone") (empty $zone.zones) -}}
{{- fail "agent.zone.source perZone: name the zones in agent.zone.zones" -}}
{{- end -}}
{{- if and (ne $zone.source "perZone") (not (empty $zone.zones)) -}}
{{- fail "agent.zone.zones is for agent.zone.source perZone" -}}
{{- end -}}
{{- $file := .Values.metadata.foundationdb.clusterFile -}}
{{- if hasPrefix "fdb:" .Values.metadata.url -}}
{{- if not (or $file.configMap $file.secret) -}}
{{- fail "metadata.url is FoundationDB's: metadata.foundationdb.clusterFile.configMap or .secret must name the cluster file" -}}
{{- end -}}
{{- else if or $file.configMap $file.secret -}}
{{- fail "metadata.foundationdb.clusterFile is given, but metadata.url is not FoundationDB's" -}}
{{- end -}}
{{- if and $file.configMap $file.secret -}}
{{- fail "metadata.foundationdb.clusterFile: a configMap or a secret, not both" -}}
{{- end -}}
{{- if and .Values.trust.configMap .Values.trust.secret -}}
{{- fail "trust: a configMap or a secret, not both" -}}
{{- end -}}
{{- if and (eq .Values.agent.advertise.mode "loadBalancer") (empty .Values.agent.advertise.loadBalancer.domain) -}}
{{- fail "agent.advertise.mode loadBalancer: agents are known as POD.DOMAIN, so agent.advertise.loadBalancer.domain must be given" -}}
{{- end -}}
{{- if and .Values.agent.advertise.inside (eq .Values.agent.advertise.mode "podIP") -}}
{{- fail "agent.advertise.inside: with mode podIP the first listener is for clients in the cluster already" -}}
{{- end -}}
{{- $peer := .Values.agent.peer -}}
{{- if and $peer.tlsSecret (not $peer.name) -}}
{{- fail "agent.peer.tlsSecret: agents reach each other by address, so agent.peer.name must be a name that the certificate holds" -}}
{{- end -}}
{{- if and (or $peer.tlsSecret $peer.name) (not $peer.enabled) -}}
{{- fail "agent.peer.tlsSecret and .name are for agent.peer.enabled" -}}
{{- end -}}
{{- $scaling := .Values.agent.autoscaling -}}
{{- if and $scaling.enabled (gt (int $scaling.min) (int $scaling.max)) -}}
{{- fail "agent.autoscaling: min is more than max" -}}
{{- end -}}
{{- $own := list "listen.kafka" "listen.http" "listen.advertised" "listen.others" "listen.others_advertised" "peer.listen" "peer.advertised" "peer.certificate" "peer.key" "peer.authority" "peer.name" "node.id" "node.zone" "metadata.url" "metadata.password" "store.url" "store.region" "store.endpoint" "store.allow_http" "store.access_key_id" "store.secret_access_key" "store.session_token" "cluster.shards" "compactor.enabled" "shutdown.timeout" "shutdown.drain" "data" -}}
{{- range $where, $settings := dict "settings" .Values.settings "agent.settings" .Values.agent.settings "compactor.settings" .Values.compactor.settings -}}
{{- range $name, $value := $settings -}}
{{- if has $name $own -}}
{{- fail (printf "%s: %s is set by the chart from a value of its own" $where $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
