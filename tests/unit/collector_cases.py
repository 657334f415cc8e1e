"""A Collector configuration that the linter has nothing to say of, to seed mistakes into."""

from __future__ import annotations

from pathlib import Path

from otel_autopilot.collector.check import check
from otel_autopilot.collector.findings import Finding

CLEAN = """\
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:4317
  otlp/hop:
    protocols:
      grpc:
        endpoint: 127.0.0.1:14317
processors:
  memory_limiter:
    check_interval: 1s
    limit_percentage: 80
  resource_detection:
    detectors: [env, system]
  transform/personal:
    error_mode: propagate
    trace_statements:
      - replace_pattern(span.name, "[^ ]+@[^ ]+", "****")
  redaction:
    allow_all_keys: true
    blocked_values: ['[^ ]+@[^ ]+', '://[^:]+:[^@]+@']
  tail_sampling:
    policies:
      - name: errors
        type: status_code
        status_code: {status_codes: [ERROR]}
      - name: slow-and-rare
        type: and
        and:
          and_sub_policy:
            - name: slow
              type: latency
              latency: {threshold_ms: 5000}
            - name: rare
              type: boolean_attribute
              boolean_attribute: {key: rare, value: true}
exporters:
  otlp_grpc/hop:
    endpoint: 127.0.0.1:14317
    tls: {insecure: true}
    sending_queue: &queue
      storage: file_storage
      block_on_overflow: true
    retry_on_failure: &retry
      max_elapsed_time: 0
  otlp_grpc/jaeger:
    endpoint: ${env:TEST_JAEGER:-localhost:24317}
    headers:
      Authorization: Bearer ${env:TEST_TOKEN}
    tls: {insecure: true}
    sending_queue: *queue
    retry_on_failure:
      <<: *retry
  otlp_http/prometheus:
    endpoint: http://127.0.0.1:9090/api/v1/otlp
  debug:
    verbosity: basic
connectors:
  forward/sampling:
  span_metrics:
    histogram:
      unit: s
    aggregation_cardinality_limit: 10000
    metrics_expiration: 15m
    resource_metrics_key_attributes: [service.name]
    dimensions:
      - name: autopilot.stage
  span_metrics/kept:
    namespace: traces.kept
    exemplars: {enabled: true}
    histogram: {unit: s}
    aggregation_cardinality_limit: 10000
    series_expiration: 15m
    resource_metrics_key_attributes: [service.name]
  service_graph:
    store: {ttl: 10s, max_items: 5000}
extensions:
  file_storage:
    directory: queue
service:
  extensions: [file_storage]
  telemetry:
    metrics:
      level: normal
      readers:
        - pull:
            exporter:
              prometheus: {host: 127.0.0.1, port: 8888}
  pipelines:
    traces/in:
      receivers: [otlp]
      processors: [memory_limiter, resource_detection, transform/personal, redaction]
      exporters: [otlp_grpc/hop]
    traces/out:
      receivers: [otlp/hop]
      exporters: [span_metrics, service_graph, forward/sampling]
    traces/sampled:
      receivers: [forward/sampling]
      processors: [tail_sampling]
      exporters: [otlp_grpc/jaeger, span_metrics/kept, debug]
    metrics:
      receivers: [span_metrics, span_metrics/kept, service_graph]
      exporters: [otlp_http/prometheus]
"""

#: Variables of the tests; nothing of the machine's own.
NO_VARIABLES: dict[str, str] = {}


def findings(tmp_path: Path, *texts: str, merge_all: bool = False, variables: dict[str, str] = NO_VARIABLES) -> list[Finding]:
    """What is found in configurations given as text, as files called 0.yaml, 1.yaml and so on."""
    files = []
    for index, text in enumerate(texts):
        path = tmp_path / f"{index}.yaml"
        path.write_text(text, encoding="utf-8")
        files.append(str(path))
    return check(files, merge_all=merge_all, variables=variables)


def line_of(text: str, part: str) -> int:
    """The line, counted from 1, that holds this text first."""
    return text[: text.index(part)].count("\n") + 1
