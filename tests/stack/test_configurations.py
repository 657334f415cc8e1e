"""Every configuration in collector/, looked at by the very binary that is to run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from otel_autopilot.stack.build import binary_of

REPOSITORY = Path(__file__).parents[2]
COLLECTOR = REPOSITORY / "collector"

#: What somebody who uses an overlay sets. None of it is a secret, and nobody is asked for anything.
VENDORS = {
    "OTLP_VENDOR_ENDPOINT": "https://otlp.example.com",
    "OTLP_VENDOR_HEADER_NAME": "x-api-key",
    "OTLP_VENDOR_HEADER_VALUE": "key",
    "DD_API_KEY": "key",
    "NEW_RELIC_LICENSE_KEY": "key",
    "GRAFANA_CLOUD_OTLP_ENDPOINT": "https://otlp-gateway-prod-eu-west-0.grafana.net/otlp",
    "GRAFANA_CLOUD_AUTHORIZATION": "Basic aWQ6dG9rZW4=",
    "LOGS_OTLP_ENDPOINT": "http://127.0.0.1:3100/otlp",
    "KAFKA_USERNAME": "user",
    "KAFKA_PASSWORD": "password",
}

#: The configurations that each overlay fits.
BASES = {
    "datadog": ("local", "agent"),
    "grafana-cloud": ("local", "agent"),
    "kafka-consumer": ("gateway",),
    "kafka-producer": ("agent",),
    "logs-otlp": ("local", "agent"),
    "newrelic": ("local", "agent"),
    "otlp": ("local", "agent"),
    "prometheus-scrape": ("local",),
}


def run(binary: str, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    path = binary_of(binary)
    if not path.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{binary} is not built yet; run: make stack")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "JAEGER", "PROMETHEUS"))}
    return subprocess.run(
        [path, *arguments], cwd=COLLECTOR, env={**own, **variables}, capture_output=True, text=True, timeout=60, check=False
    )


def validate(*files: str, **variables: str) -> None:
    configurations = [argument for file in files for argument in ("--config", file)]
    done = run("otelcol", "validate", *configurations, **{"K8S_NODE_NAME": "node", **variables})
    assert done.returncode == 0, done.stderr
    unset = re.findall(r'references unset environment variable.*?"name": ?"(\w+)"', done.stderr)
    assert not unset, f"expected a default or a value for {', '.join(unset)}"


@pytest.mark.parametrize("platform", ["host", "kubernetes"])
@pytest.mark.parametrize("name", ["local", "agent", "gateway"])
def test_the_collector_takes_each_configuration(name: str, platform: str) -> None:
    validate(f"{name}.yaml", OTELCOL_PLATFORM=platform)


@pytest.mark.parametrize("resolver", ["dns", "static"])
def test_an_agent_finds_gateways_both_ways(resolver: str) -> None:
    validate("agent.yaml", OTELCOL_RESOLVER=resolver)


def test_each_overlay_has_a_base() -> None:
    assert sorted(file.stem for file in (COLLECTOR / "overlays").glob("*.yaml")) == sorted(BASES)


@pytest.mark.parametrize(("overlay", "base"), [(overlay, base) for overlay, bases in BASES.items() for base in bases])
def test_the_collector_takes_each_overlay(overlay: str, base: str) -> None:
    validate(f"{base}.yaml", f"overlays/{overlay}.yaml", **VENDORS)


@pytest.mark.parametrize("overlay", ["kafka-producer", "kafka-consumer"])
def test_a_kafka_without_password_is_possible_for_trying_out(overlay: str) -> None:
    validate(f"{BASES[overlay][0]}.yaml", f"overlays/{overlay}.yaml", KAFKA_SECURITY="none")


def test_two_vendors_at_once() -> None:
    validate("local.yaml", "overlays/newrelic.yaml", "overlays/grafana-cloud.yaml", **VENDORS)


@pytest.mark.parametrize("overlay", sorted(BASES))
def test_an_overlay_keeps_all_pipelines_of_its_base(overlay: str) -> None:
    """A list that an overlay restates would drop what the base gains later: only those that take a place may."""
    pipelines = yaml.safe_load((COLLECTOR / "overlays" / f"{overlay}.yaml").read_text())["service"]["pipelines"]
    replacing = {"prometheus-scrape", "kafka-producer", "kafka-consumer"}
    for base in BASES[overlay]:
        # The includes are only names here.
        theirs = yaml.safe_load((COLLECTOR / f"{base}.yaml").read_text())["service"]["pipelines"]
        assert (not set(pipelines) & set(theirs)) == (overlay not in replacing)


@pytest.mark.parametrize("file", sorted((COLLECTOR / "overlays").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_exporter_to_a_backend_keeps_what_it_can_not_send(file: Path) -> None:
    for name, exporter in (yaml.safe_load(file.read_text()).get("exporters") or {}).items():
        if name == "prometheus":  # it is asked, and sends nothing
            continue
        assert exporter["sending_queue"] == "${file:${env:OTELCOL_CONFIG_DIR:-.}/fragments/queue_by_bytes.yaml}"
        assert exporter["retry_on_failure"] == "${file:${env:OTELCOL_CONFIG_DIR:-.}/fragments/retry.yaml}"


@pytest.mark.parametrize("storage", sorted(file.stem for file in (COLLECTOR / "jaeger").glob("*.yaml")))
def test_jaeger_takes_each_storage(storage: str) -> None:
    done = run(
        "jaeger", "validate", "--config", "jaeger.yaml", JAEGER_STORAGE=storage, CASSANDRA_PASSWORD="x", CLICKHOUSE_PASSWORD="x"
    )
    assert done.returncode == 0, done.stderr


def test_prometheus_takes_its_configuration_with_all_rules() -> None:
    done = run("promtool", "check", "config", "--lint-fatal", "prometheus.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    for rules in (COLLECTOR / "alerts").glob("*.yaml"):
        assert f"alerts/{rules.name}" in done.stdout


@pytest.mark.parametrize("file", sorted((COLLECTOR / "alerts").glob("*.yaml")), ids=lambda file: file.stem)
def test_the_rules_have_no_lint(file: Path) -> None:
    done = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", sorted((COLLECTOR / "alerts" / "tests").glob("*_test.yaml")), ids=lambda file: file.stem)
def test_each_alert_fires_when_it_must_and_not_otherwise(file: Path) -> None:
    done = run("promtool", "test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", sorted((COLLECTOR / "alerts").glob("*.yaml")), ids=lambda file: file.stem)
def test_each_alert_says_what_to_do_and_where_it_is_written(file: Path) -> None:
    alerts = [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"] if "alert" in rule]
    tested = "".join(test.read_text() for test in (COLLECTOR / "alerts" / "tests").glob("*_test.yaml"))
    for alert in alerts:
        name, annotations = alert["alert"], alert["annotations"]
        assert alert["labels"]["severity"] in {"critical", "warning"}, name
        assert annotations["summary"], name
        assert annotations["description"], name
        assert f'alertname="{name}"' in tested, f"{name}: expected a test in which it fires"
        page, _, anchor = annotations["runbook"].partition("#")
        headings = re.findall(r"^#+ (.*)$", (REPOSITORY / page).read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in anchors, f"{name}: expected a section {anchor!r} in {page}"


def test_the_dashboard_asks_for_nothing_that_the_rules_do_not_know() -> None:
    """The Collector's metrics have one spelling; a name that is in the dashboard only is a slip or lacks an alert by intent."""
    dashboard = json.loads((REPOSITORY / "dashboards" / "grafana" / "collector.json").read_text())
    asked = set(re.findall(r"otelcol_\w+", json.dumps([panel.get("targets") for panel in dashboard["panels"]])))
    rules = set(re.findall(r"otelcol_\w+", (COLLECTOR / "alerts" / "collector.yaml").read_text()))
    only_shown = {
        "otelcol_connector_servicegraph_dropped_spans", "otelcol_connector_servicegraph_expired_edges",
        "otelcol_connector_servicegraph_total_edges", "otelcol_exporter_in_flight_requests", "otelcol_process_cpu_seconds",
        "otelcol_process_memory_rss", "otelcol_process_runtime_heap_alloc_bytes",
        "otelcol_processor_tail_sampling_global_count_traces_sampled",
        "otelcol_processor_tail_sampling_sampling_traces_on_memory",
    }  # fmt: skip
    assert asked - rules == only_shown
