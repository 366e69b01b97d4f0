{{- define "cogo.labels" -}}
app.kubernetes.io/name: cogo
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "cogo.selector" -}}
app.kubernetes.io/name: cogo
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* One container of a process: root, component, command, ports, resources. */}}
{{- define "cogo.container" -}}
name: {{ .component }}
image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag }}"
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ toJson .command }}
envFrom:
  - configMapRef:
      name: {{ .root.Release.Name }}-settings
  - secretRef:
      name: {{ .root.Values.secretName }}
securityContext:
  allowPrivilegeEscalation: false
  runAsNonRoot: true
  runAsUser: 10001
{{- with .resources }}
resources: {{ toJson . }}
{{- end }}
volumeMounts:
  - name: files
    mountPath: /var/lib/cogo
  - name: shared-memory
    mountPath: /dev/shm
{{- end }}

{{- define "cogo.volumes" -}}
- name: files
  emptyDir: {}
- name: shared-memory
  emptyDir:
    medium: Memory
    sizeLimit: {{ .Values.worker.sharedMemory }}
{{- end }}
