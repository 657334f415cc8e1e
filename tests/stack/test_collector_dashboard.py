"""The Collector's dashboard, asked of the real Prometheus that has scraped the real Collector."""

from __future__ import annotations

import json
import os
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.stack.running import RunningStack

DASHBOARD = json.loads((Path(__file__).parents[2] / "dashboards" / "grafana" / "collector.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]

#: What Grafana puts in their place.
VARIABLES = {"$__rate_interval": "1m", "$__range": "5m", "$instance": ".*"}

#: Counters that appear with the first loss, and what only gateways and full limits have.
EMPTY_WHILE_ALL_IS_WELL = (
    "otelcol_exporter_send_failed_",
    "otelcol_exporter_enqueue_failed_",
    "otelcol_processor_memory_limiter_refused_",
    "otelcol_processor_tail_sampling_",
    "otelcol_connector_servicegraph_expired_edges",
    "otelcol_connector_servicegraph_dropped_spans",
    "otel_metric_overflow",
    "ALERTS",
)


@pytest.fixture(scope="module")
def fed(stack: RunningStack) -> RunningStack:
    """A Collector that has had each signal, and that Prometheus has seen twice since."""
    now = time.time_ns()
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "probe"}}]}
    span = {
        "traceId": os.urandom(16).hex(), "spanId": os.urandom(8).hex(), "name": "probe", "kind": 2,
        "startTimeUnixNano": str(now - 1_000_000), "endTimeUnixNano": str(now),
    }  # fmt: skip
    point = {"startTimeUnixNano": str(now - 1_000_000), "timeUnixNano": str(now), "asInt": "1"}
    metric = {
        "name": "probe.count",
        "unit": "{probe}",
        "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point]},
    }
    record = {"timeUnixNano": str(now), "body": {"stringValue": "probe"}}
    post(stack, "traces", {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]})
    post(stack, "metrics", {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]})
    post(stack, "logs", {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]})
    for expression in (
        "rate(otelcol_exporter_sent_spans[1m])", "rate(otelcol_exporter_sent_log_records[1m])",
        "rate(otelcol_exporter_sent_metric_points[1m])", "rate(traces_span_metrics_calls_total[1m])",
        "rate(otelcol_connector_servicegraph_total_edges[1m])",
    ):  # fmt: skip
        assert stack.query(expression), expression
    return stack


def post(stack: RunningStack, signal: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"{stack.otlp_http}/v1/{signal}", json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_prometheus_answers_every_expression_of_every_panel(fed: RunningStack) -> None:
    empty = []
    for expression in EXPRESSIONS:
        asked = expression
        for name, value in VARIABLES.items():
            asked = asked.replace(name, value)
        assert "$" not in asked, f"expected no other variable in {expression}"
        url = f"{fed.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': asked})}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # what it can't parse or evaluate is a 400 or 422
            if not json.load(answer)["data"]["result"]:
                empty.append(expression)
    unexpected = [expression for expression in empty if not any(part in expression for part in EMPTY_WHILE_ALL_IS_WELL)]
    assert not unexpected


def test_every_panel_explains_itself() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in PANELS:
        assert panel["title"]
        assert "Formula: " in panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        for target in panel["targets"]:
            assert "rate(" not in target["expr"] or "[$__rate_interval]" in target["expr"], panel["title"]


def test_no_panel_covers_another() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        own = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not own & cells, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells |= own
