"""Each rule finds its mistake at its line, and leaves alone what only looks like one."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_autopilot.collector.rules import RULES
from tests.unit.collector_cases import CLEAN, findings, line_of

IN = "processors: [memory_limiter, resource_detection, transform/personal, redaction]"
JAEGER_TLS = "    tls: {insecure: true}\n    sending_queue: *queue"
STATEMENT = '      - replace_pattern(span.name, "[^ ]+@[^ ]+", "****")\n'
TO_JAEGER = "exporters: [otlp_grpc/jaeger, span_metrics/kept, debug]"

#: Rule, what to replace in the clean configuration, by what, and the text whose line is to be named.
SEEDED = [
    ("memory-limiter-missing", IN, "processors: [redaction, resource_detection]", "    traces/in:"),
    ("memory-limiter-first", IN, "processors: [resource_detection, memory_limiter, transform/personal, redaction]", "[resource_d"),
    ("memory-limiter-unusable", "    check_interval: 1s\n", "", "  memory_limiter:"),
    ("memory-limiter-unusable", "    check_interval: 1s", "    check_interval: 0s", "  memory_limiter:"),
    ("memory-limiter-unusable", "    limit_percentage: 80\n", "", "  memory_limiter:"),
    ("processor-order", IN, "processors: [memory_limiter, transform/personal, resource_detection, redaction]", "processors: [m"),
    ("processor-order", "processors: [tail_sampling]", "processors: [tail_sampling, k8s_attributes]", "processors: [tail"),
    ("processor-order", "processors: [tail_sampling]", "processors: [batch, tail_sampling]", "processors: [batch"),
    ("processor-order", "processors: [tail_sampling]", "processors: [redaction, filter]", "processors: [redaction, f"),
    ("batch-processor", "processors: [tail_sampling]", "processors: [tail_sampling, batch]", "  batch:"),
    ("deprecated-name", "  otlp_http/prometheus:", "  otlphttp/prometheus:", "  otlphttp/prometheus:"),
    ("deprecated-name", "  service_graph:", "  servicegraph:", "  servicegraph:"),
    ("removed-component", "  debug:", "  logging:", "  logging:"),
    ("telemetry-address-gone", "      level: normal", "      address: 127.0.0.1:8888", "      address:"),
    ("telemetry-metric-names", "host: 127.0.0.1, port: 8888", "host: 127.0.0.1, without_units: false", "without_units"),
    ("bind-all", "endpoint: 127.0.0.1:4317", "endpoint: 0.0.0.0:4317", "0.0.0.0"),
    ("bind-all", "endpoint: 127.0.0.1:4317", 'endpoint: "[::]:4317"', "[::]"),
    ("bind-all", "endpoint: 127.0.0.1:4317", 'endpoint: ":4317"', '":4317"'),
    ("bind-all", "endpoint: 127.0.0.1:4317", "endpoint: ${env:TEST_UNSET:-0.0.0.0}:4317", "TEST_UNSET"),
    ("bind-all", "host: 127.0.0.1, port", 'host: "0.0.0.0", port', '"0.0.0.0"'),
    ("insecure-tls", JAEGER_TLS, JAEGER_TLS.replace("insecure", "insecure_skip_verify"), "insecure_skip_verify"),
    ("insecure-transport", ":-localhost:24317", ":-jaeger:24317", JAEGER_TLS),
    ("insecure-transport", "http://127.0.0.1:9090", "http://prometheus:9090", "http://prometheus"),
    ("plain-text-secret", "Bearer ${env:TEST_TOKEN}", "Bearer abcdef", "Bearer abcdef"),
    ("plain-text-secret", "Bearer ${env:TEST_TOKEN}", "Bearer ${env:TEST_TOKEN:-abcdef}", ":-abcdef"),
    ("plain-text-secret", "Bearer ${env:TEST_TOKEN}", "Bearer x\n      X-Api-Key: abc", "X-Api-Key"),
    ("plain-text-secret", "http://127.0.0.1:9090", "http://user:pass@127.0.0.1:9090", "user:pass"),
    ("plain-text-secret", "      level: normal", "      x: {headers: [{name: Authorization, value: abc}]}", "value: abc"),
    ("plain-text-secret", "9090/api/v1/otlp", "9090/api/v1/otlp?x=1&api_key=abcdef", "api_key"),
    ("plain-text-secret", "9090/api/v1/otlp", "9090/api/v1/otlp?token=${env:TEST_TOKEN:-abcdef}", "?token"),
    ("plain-text-secret", "    directory: queue", "    datasource: host=db user=otel password=hunter2 sslmode=require", "hunter2"),
    ("plain-text-secret", "    directory: queue", "    datasource: Server=db;User Id=otel;Pwd = hunter2;", "hunter2"),
    ("plain-text-secret", "    directory: queue", "    x: [{authorization: {type: Bearer, credentials: abcdef}}]", "abcdef"),
    ("missing-file", JAEGER_TLS, JAEGER_TLS.replace("insecure: true", "ca_file: /nowhere/ca.crt"), "/nowhere/ca.crt"),
    ("missing-file", "Bearer ${env:TEST_TOKEN}", "${file:/nowhere/token}", "/nowhere/token"),
    ("queue-without-storage", "    sending_queue: *queue\n", "", "  otlp_grpc/jaeger:"),
    ("queue-without-storage", "      storage: file_storage", "      storage: file_storage/other", "storage: file_storage/other"),
    ("queue-without-storage", "  extensions: [file_storage]", "  extensions: []", "      storage: file_storage"),
    (
        "queue-disabled",
        "    sending_queue: *queue\n    retry_on_failure:\n      <<: *retry",
        "    sending_queue: {enabled: false}",
        "    sending_queue: {enabled: false}",
    ),
    ("queue-disabled", TO_JAEGER, "exporters: [load_balancing]", "  load_balancing:"),
    ("queue-not-blocking", "    sending_queue: *queue", "    sending_queue: {storage: file_storage}", "{storage: file"),
    ("retry-gives-up", "      <<: *retry", "      max_elapsed_time: 10m", "    retry_on_failure:\n      max"),
    ("retry-gives-up", "    retry_on_failure:\n      <<: *retry\n", "", "  otlp_grpc/jaeger:"),
    (
        "sampling-before-span-metrics",
        "exporters: [span_metrics, service_graph, forward/sampling]",
        "exporters: [forward/sampling]",
        "processors: [tail_sampling]",
    ),
    ("sampling-before-span-metrics", "    namespace: traces.kept\n", "", "processors: [tail_sampling]"),
    (
        "exemplars-of-unsampled-traces",
        "      unit: s\n",
        "      unit: s\n    exemplars:\n      enabled: true\n",
        "      enabled: true",
    ),
    ("unknown-policy", "type: status_code", "type: rare", "type: rare"),
    ("unknown-policy", "type: latency", "type: composite", "type: composite"),
    ("unknown-policy", "        type: status_code\n", "", "name: errors"),
    ("policy-names", "name: slow-and-rare", "name: errors", "name: errors\n        type: and"),
    ("policy-names", "name: slow-and-rare", 'name: ""', '- name: ""'),
    ("policy-settings-missing", "type: latency", "type: probabilistic", "- name: slow\n"),
    ("policy-settings-missing", "type: status_code", "type: latency", "- name: errors"),
    (
        "tail-sampling-keeps-all",
        "      - name: errors\n",
        "      - {name: all, type: always_sample}\n      - name: errors\n",
        "name: all",
    ),
    ("unbounded-series", "    aggregation_cardinality_limit: 10000\n    metrics", "    metrics", "  span_metrics:"),
    ("unbounded-series", "    metrics_expiration: 15m\n", "", "  span_metrics:"),
    ("unbounded-series", "    resource_metrics_key_attributes: [service.name]\n    dim", "    dim", "  span_metrics:"),
    (
        "unbounded-series",
        "key_attributes: [service.name]\n    dim",
        "key_attributes: [telemetry.sdk.name]\n    dim",
        "[telemetry.sdk",
    ),
    ("unbounded-series", "max_items: 5000", "max_items: 0", "max_items: 0"),
    ("unbounded-dimension", "autopilot.stage", "autopilot.run.id", "autopilot.run.id"),
    ("unbounded-dimension", "autopilot.stage", "url.full", "url.full"),
    ("unbounded-dimension", "autopilot.stage", "email.message_id", "email.message_id"),
    ("span-metrics-unit", "      unit: s\n", "      unit: ms\n", "unit: ms"),
    ("span-metrics-unit", "    histogram: {unit: s}\n", "", "  span_metrics/kept:"),
    ("accepted-before-stored", "      receivers: [otlp/hop]", "      receivers: [otlp/hop, otlp]", "receivers: [otlp/hop, otlp]"),
    ("undefined-component", TO_JAEGER, "exporters: [otlp_grpc/jaeger, span_metrics/kept, debug, nobody]", "nobody"),
    ("undefined-component", "  extensions: [file_storage]", "  extensions: [file_storage, zpages]", "zpages"),
    ("undefined-component", TO_JAEGER, "", "    traces/sampled:"),
    ("undefined-component", JAEGER_TLS, "    auth: {authenticator: bearertokenauth}\n" + JAEGER_TLS, "bearertokenauth"),
    ("unused-component", "  redaction:\n", "  attributes/unused:\n  redaction:\n", "attributes/unused"),
    ("unused-component", "extensions:\n", "extensions:\n  zpages:\n", "  zpages:"),
    (
        "one-sided-connector",
        "exporters: [span_metrics, service_graph, forward",
        "exporters: [span_metrics, forward",
        "  service_graph:",
    ),
    ("redaction-fails-open", "    error_mode: propagate", "    error_mode: ignore", "error_mode: ignore"),
    ("redaction-fails-open", "    error_mode: propagate\n", "", "  transform/personal:"),
    ("redaction-does-nothing", "    blocked_values: ['[^ ]+@[^ ]+', '://[^:]+:[^@]+@']\n", "", "  redaction:"),
    (
        "transform-mixed-contexts",
        STATEMENT,
        STATEMENT + '      - replace_pattern(spanevent.name, "[^ ]+@[^ ]+", "****")\n',
        "spanevent.name",
    ),
    (
        "transform-mixed-contexts",
        STATEMENT,
        '      - statements:\n          - set(span.name, resource.attributes["a"])\n          - set(span.name, "b") where spanevent.name == "c"\n',
        "spanevent.name",
    ),
    (
        "transform-mixed-contexts",
        STATEMENT,
        STATEMENT + '    metric_statements:\n      - set(datapoint.attributes["a"], "b")\n      - set(metric.unit, "c")\n',
        "datapoint.attributes",
    ),
    ("detailed-debug", "verbosity: basic", "verbosity: detailed", "verbosity: detailed"),
    ("suppression-without-reason", "verbosity: basic", "verbosity: basic # lint: allow detailed-debug", "lint: allow"),
    ("unused-suppression", "verbosity: basic", "verbosity: basic # lint: allow detailed-debug because of nothing", "lint: allow"),
]

#: Components that seeded pipelines may name.
SPARE = {
    "processors": "  batch:\n  k8s_attributes:\n  filter:\n    traces: {span: ['IsRootSpan()']}\n",
    "exporters": """\
  load_balancing:
    protocol: {otlp: {sending_queue: {enabled: false}}}
    resolver: {static: {hostnames: ["127.0.0.1:4317"]}}
""",
}


def test_the_clean_configuration_has_no_finding(tmp_path: Path) -> None:
    assert findings(tmp_path, CLEAN) == []


@pytest.mark.parametrize(("rule", "before", "after", "at"), SEEDED)
def test_a_seeded_mistake_is_found_at_its_line(tmp_path: Path, rule: str, before: str, after: str, at: str) -> None:
    assert before in CLEAN
    text = CLEAN.replace(before, after, 1)
    for section, spare in SPARE.items():
        text = text.replace(f"\n{section}:\n", f"\n{section}:\n{spare}", 1)
    assert (rule, line_of(text, at)) in {(finding.rule, finding.line) for finding in findings(tmp_path, text)}


def test_every_rule_has_a_seeded_mistake_and_is_documented() -> None:
    elsewhere = {"lost-component", "verbatim-include"}  # tests/unit/test_collector_files.py
    seeded = {rule for rule, *_ in SEEDED} - {"suppression-without-reason", "unused-suppression"}
    assert seeded | elsewhere == set(RULES)
    page = (Path(__file__).parents[2] / "docs" / "collector-lint.md").read_text(encoding="utf-8")
    assert {rule for rule in {*RULES, "suppression-without-reason", "unused-suppression"} if f"`{rule}`" not in page} == set()
    assert all(rule.__doc__ for rule in RULES.values())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # A filter that asks for what the processor in front of it sets.
        (IN, "processors: [memory_limiter, resource_detection, filter/host, transform/personal, redaction]"),
        # Redaction after sampling.
        ("processors: [tail_sampling]", "processors: [tail_sampling, redaction]"),
        # The address of the pod, whatever it is.
        ("endpoint: 127.0.0.1:4317", "endpoint: ${env:MY_POD_IP}:4317"),
        # A token from a variable or with an empty default.
        ("Bearer ${env:TEST_TOKEN}", "Bearer ${env:TEST_TOKEN:-}"),
        ("http://127.0.0.1:9090", "http://user:${env:PASSWORD}@127.0.0.1:9090"),
        ("9090/api/v1/otlp", "9090/api/v1/otlp?api_key=${env:TEST_TOKEN}&x=1"),
        ("    directory: queue", "    datasource: host=db password=${env:TEST_PASSWORD} sslmode=require"),
        ("    directory: queue", "    datasource: host=db password=${env:TEST_PASSWORD:-} sslmode=require"),
        ("    directory: queue", "    regex: password=hunter2"),
        ("    directory: queue", "    datasource: host=db use_token=true"),
        ("    directory: queue", "    match: '.*[?&]token=([^&]+).*'"),
        ("    directory: queue", "    x: {authorization: {credentials: '${env:TEST_TOKEN}'}}"),
        # A certificate where a variable says.
        (
            "endpoint: http://127.0.0.1:9090/api/v1/otlp",
            "endpoint: https://prometheus\n    tls: {ca_file: '${env:TEST_CA:-/x}/ca.crt'}",
        ),
        # Statements in the context that is always there, in groups of their own, about what a text names, or for one event at a time.
        (STATEMENT, STATEMENT + '      - set(resource.attributes["a"], "spanevent.name") where span.name != ""\n'),
        (
            STATEMENT,
            "      - {context: span, statements: ['set(span.name, \"a\")']}\n      - {statements: ['set(spanevent.name, span.name)']}\n",
        ),
        (
            STATEMENT,
            '      - {conditions: [spanevent.name == "a"], statements: [\'set(span.name, "b")\', \'set(spanevent.name, "c")\']}\n',
        ),
        # Blocks for ever instead of queueing.
        ("    sending_queue: *queue", "    sending_queue: {enabled: false}"),
    ],
)
def test_what_only_looks_like_a_mistake_is_left_alone(tmp_path: Path, before: str, after: str) -> None:
    text = CLEAN.replace(before, after, 1)
    if "filter/host" in after:
        text = text.replace(
            "processors:\n", 'processors:\n  filter/host:\n    traces: {span: [\'resource.attributes["host.name"] == "x"\']}\n', 1
        )
    assert findings(tmp_path, text) == []


@pytest.mark.parametrize("settings", ["tls: {client_ca_file: '${env:TEST_CA}'}", "auth: {authenticator: file_storage}"])
def test_a_gateway_that_asks_for_a_certificate_or_a_token_may_sample_what_it_receives(tmp_path: Path, settings: str) -> None:
    text = CLEAN.replace("127.0.0.1:4317\n", f"127.0.0.1:4317\n        {settings}\n", 1)
    text = text.replace("[otlp/hop]", "[otlp/hop, otlp]")
    rules = {finding.rule for finding in findings(tmp_path, text)}
    assert rules == {"memory-limiter-missing"}  # and not accepted-before-stored


def test_a_policy_may_be_of_a_type_that_an_extension_brings(tmp_path: Path) -> None:
    text = CLEAN.replace("type: status_code", "type: rare_policy").replace("extensions: [file", "extensions: [rare_policy, file")
    assert findings(tmp_path, text.replace("\nextensions:\n", "\nextensions:\n  rare_policy:\n")) == []


def test_span_metrics_behind_a_sampled_forward_connector_are_found(tmp_path: Path) -> None:
    text = CLEAN.replace("exporters: [span_metrics, service_graph, forward/sampling]", "exporters: [forward/sampling]")
    text = text.replace("span_metrics/kept, debug]", "span_metrics/kept, debug, span_metrics, service_graph]")
    found = [finding.message for finding in findings(tmp_path, text) if finding.rule == "sampling-before-span-metrics"]
    assert [message.split()[0] for message in found] == ["service_graph", "span_metrics", "span_metrics/kept"]


@pytest.mark.parametrize(
    ("base", "overlay", "at"),
    [
        ("", "traces/out: {processors: [tail_sampling]}", "1.yaml:3"),
        ("", "traces/out: {exporters: [forward/sampling]}\n    traces/sampled: {exporters: [span_metrics]}", "1.yaml:4"),
        ("", "traces/hop: {receivers: [otlp/hop], processors: [tail_sampling], exporters: [span_metrics]}", ""),
        ("processors: [tail_sampling]", "metrics: {exporters: [otlp_http/prometheus]}", "0.yaml:"),
    ],
)
def test_a_sampler_in_front_of_span_metrics_is_found_where_it_was_put_there(
    tmp_path: Path, base: str, overlay: str, at: str
) -> None:
    text = CLEAN
    if base:
        text = CLEAN.replace(
            "      exporters: [span_metrics, service_graph, forward/sampling]", "      exporters: [forward/sampling]"
        )
        text = text.replace("span_metrics/kept, debug]", "span_metrics/kept, debug, span_metrics, service_graph]")
        at += str(line_of(text, base))
    found = findings(tmp_path, text, f"service:\n  pipelines:\n    {overlay}\n", merge_all=True)
    places = {f"{Path(each.file).name}:{each.line}" for each in found if each.rule == "sampling-before-span-metrics"}
    assert places == ({at} if at else set())


def test_the_keys_that_are_advised_tell_environments_apart(tmp_path: Path) -> None:
    keys = "[service.name, service.namespace, deployment.environment.name, telemetry.sdk.language, telemetry.sdk.name]"
    for attributes in ("[]", "[service.namespace]"):
        found = findings(
            tmp_path, CLEAN.replace("key_attributes: [service.name]\n    dim", f"key_attributes: {attributes}\n    dim")
        )
        assert [each.rule for each in found] == ["unbounded-series"]
        assert keys in found[0].message
    assert findings(tmp_path, CLEAN.replace("key_attributes: [service.name]\n    dim", f"key_attributes: {keys}\n    dim")) == []
    unknown = CLEAN.replace("key_attributes: [service.name]\n    dim", "key_attributes: ['${env:TEST_KEY}']\n    dim")
    assert findings(tmp_path, unknown) == []


def test_an_exporter_of_cumulative_metrics_alone_needs_no_queue_on_disk(tmp_path: Path) -> None:
    delta = CLEAN.replace(
        "    metrics_expiration: 15m\n",
        "    metrics_expiration: 15m\n    aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA\n",
        1,
    )
    assert findings(tmp_path, CLEAN) == []
    rules = {finding.rule for finding in findings(tmp_path, delta)}
    assert rules == {"queue-without-storage", "queue-not-blocking", "retry-gives-up"}


@pytest.mark.parametrize(
    "exporter",
    "datadog splunk_hec elasticsearch opensearch clickhouse coralogix signalfx azure_monitor azuremonitor google_cloud googlecloud "
    "pulsar otel_arrow otelarrow honeycombmarker of_our_own/x otlp_grpc".split(),
)
def test_an_exporter_queues_in_memory_unless_it_is_known_not_to(tmp_path: Path, exporter: str) -> None:
    text = CLEAN.replace("span_metrics/kept, debug]", f"span_metrics/kept, debug, {exporter}]")
    for settings in ("", "endpoint: https://backend.test"):
        found = findings(tmp_path, text.replace("  debug:\n", f"  {exporter}: {{{settings}}}\n  debug:\n"))
        said = [(each.line, each.message) for each in found if each.rule == "queue-without-storage"]
        advice = "queues in memory by default: set sending_queue.storage to a file_storage extension"
        assert said == [(line_of(text, "  debug:\n"), f"{exporter} {advice}")]
    stored = "{sending_queue: {storage: file_storage, block_on_overflow: true}, retry_on_failure: {max_elapsed_time: 0}}"
    assert findings(tmp_path, text.replace("  debug:\n", f"  {exporter}: {stored}\n  debug:\n")) == []


@pytest.mark.parametrize("exporter", "nop file/x prometheus awss3 aws_s3 aws_xray rabbitmq jaeger_storage_exporter".split())
def test_an_exporter_that_is_local_or_has_no_queue_needs_no_storage(tmp_path: Path, exporter: str) -> None:
    text = CLEAN.replace("span_metrics/kept, debug]", f"span_metrics/kept, debug, {exporter}]")
    assert findings(tmp_path, text.replace("  debug:\n", f"  {exporter}:\n  debug:\n")) == []


def test_nothing_is_said_of_an_exporter_whose_settings_are_unknown(tmp_path: Path) -> None:
    text = CLEAN.replace("span_metrics/kept, debug]", "span_metrics/kept, debug, datadog]")
    assert findings(tmp_path, text.replace("  debug:\n", "  datadog: ${yaml:{}}\n  debug:\n")) == []


def test_a_comment_with_a_reason_allows_a_finding_on_its_line_or_below(tmp_path: Path) -> None:
    same = CLEAN.replace("verbosity: basic", "verbosity: detailed # lint: allow detailed-debug because it runs on my machine")
    above = CLEAN.replace(
        "    verbosity: basic", "    # lint: allow detailed-debug because it runs\n    # on my machine\n    verbosity: detailed"
    )
    assert findings(tmp_path, same) == findings(tmp_path, above) == []
    unreasoned = same.partition(" because")[0] + "\n" + same.partition("machine\n")[2]
    assert {finding.rule for finding in findings(tmp_path, unreasoned)} == {"detailed-debug", "suppression-without-reason"}


def test_a_comment_where_a_variable_decides_is_not_called_unused(tmp_path: Path) -> None:
    text = CLEAN.replace(
        "verbosity: basic", "verbosity: ${env:TEST_VERBOSITY:-basic} # lint: allow detailed-debug because it is asked for"
    )
    assert findings(tmp_path, text) == findings(tmp_path, text, variables={"TEST_VERBOSITY": "detailed"}) == []
