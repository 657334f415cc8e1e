"""Agents and gateways: whole traces sampled, every span counted, gateways that come and go."""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from benchmarks.otlp_load import Batch, Load, Sender, batch
from tests.stack.figures import figure
from tests.stack.lab import Collector, Jaeger, Prometheus, free_ports, running, wait_until

pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("binaries")]

NAME = "otel-gateway"
TOKEN = "a-token-of-this-test"
#: How long a gateway waits for the rest of a trace here, in seconds.
DECISION_SECONDS = 6
SHARE_PERCENT = 20


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def security(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An authority, a certificate of its for gateways and agents, and the token of the agents."""
    folder = tmp_path_factory.mktemp("tls")
    authority = ["-subj", "/CN=authority", "-days", "2", "-keyout", folder / "ca.key", "-out", folder / "ca.crt"]
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", *authority)
    openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={NAME}", "-keyout", folder / "tls.key", "-out", folder / "tls.csr"
    )
    (folder / "names").write_text(f"subjectAltName=DNS:{NAME}")
    signed = ["-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "2", "-extfile", folder / "names"]
    openssl("x509", "-req", "-in", folder / "tls.csr", *signed, "-out", folder / "tls.crt")
    (folder / "token").write_text(TOKEN)
    return {
        "OTELCOL_TLS_CERT_FILE": str(folder / "tls.crt"), "OTELCOL_TLS_KEY_FILE": str(folder / "tls.key"),
        "OTELCOL_TLS_CA_FILE": str(folder / "ca.crt"), "OTELCOL_TOKEN_FILE": str(folder / "token"), "OTELCOL_GATEWAY_NAME": NAME,
    }  # fmt: skip


@dataclass(frozen=True)
class Tiers:
    """One agent, two gateways, and what is behind them."""

    agent: Collector
    gateways: list[Collector]
    jaeger: Jaeger
    prometheus: Prometheus


def gateway(folder: Path, number: int, jaeger: Jaeger, prometheus_url: str, **environment: str) -> Collector:
    return Collector(
        folder / f"gateway-{number}", "gateway.yaml", jaeger=jaeger.otlp, prometheus=prometheus_url,
        OTELCOL_INSTANCE_ID=f"gateway-{number}", OTELCOL_DECISION_WAIT=f"{DECISION_SECONDS}s", OTELCOL_DECISION_WAIT_AFTER_ROOT="2s",
        **environment,
    )  # fmt: skip


@pytest.fixture
def tiers(tmp_path: Path, security: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Tiers]:
    share = str(getattr(request, "param", 100))
    jaeger = Jaeger(tmp_path / "jaeger")
    prometheus = Prometheus(tmp_path / "prometheus")
    gateways = [
        gateway(tmp_path, number, jaeger, prometheus.url, OTELCOL_SAMPLING_PERCENTAGE=share, **security) for number in (1, 2)
    ]
    agent = Collector(
        tmp_path / "agent", "agent.yaml", OTELCOL_RESOLVER="static",
        OTELCOL_GATEWAYS=str([item.otlp for item in gateways]),
        OTELCOL_GATEWAYS_BY_SERVICE=str([item.by_service for item in gateways]), **security,
    )  # fmt: skip
    with running(prometheus, jaeger, *gateways, agent):
        yield Tiers(agent, gateways, jaeger, prometheus)


@pytest.mark.parametrize("tiers", [SHARE_PERCENT], indirect=True)
def test_every_span_is_counted_and_the_traces_that_matter_are_kept(tiers: Tiers) -> None:
    """Errors, slow, retried and rare traces are all kept, a share of the rest; what is counted doesn't depend on it."""
    kinds = {"failed": {"failed": True}, "slow": {"slow": True}, "retried": {"attempt": 2}, "rare": {"rare": True}}
    sender = Sender(tiers.agent.otlp)
    sent: dict[str, list[Batch]] = {kind: [batch(40, service="mail-a", **how)] for kind, how in kinds.items()}
    sent["ordinary"] = [batch(100, service=service) for service in ("mail-a", "mail-b", "mail-c") for _ in range(2)]
    for batches in sent.values():
        for item in batches:
            assert sender.send(item.content)
    spans = sum(item.count for batches in sent.values() for item in batches)

    counted = "sum(traces_span_metrics_calls_total)"
    wait_until(lambda: tiers.prometheus.value(counted) >= spans)
    assert tiers.prometheus.value(counted) == spans
    of_services = {
        row["metric"]["service_name"]: float(row["value"][1])
        for row in tiers.prometheus.query("sum by (service_name) (traces_span_metrics_calls_total)")
    }
    assert of_services == {"mail-a": 4 * 40 * 5 + 1000, "mail-b": 1000.0, "mail-c": 1000.0}

    matter = {trace: of for kind in kinds for item in sent[kind] for trace, of in item.spans.items()}
    assert not tiers.jaeger.missing(matter), "errors, slow, retried and rare ones are kept"
    ordinary = {trace: of for item in sent["ordinary"] for trace, of in item.spans.items()}
    time.sleep(DECISION_SECONDS + 3)
    found = {trace: tiers.jaeger.span_ids(trace) for trace in ordinary}
    kept = {trace for trace, ids in found.items() if ids}
    assert all(found[trace] == ordinary[trace] for trace in kept), "a trace is kept whole or not at all"
    # 600 draws at 20 %: 120, and five standard deviations either way.
    assert 71 <= len(kept) <= 169

    kept_spans = sum(map(len, matter.values())) + 5 * len(kept)
    in_kept = "sum(traces_kept_calls_total)"
    wait_until(lambda: tiers.prometheus.value(in_kept) >= kept_spans)
    assert tiers.prometheus.value(in_kept) == kept_spans
    exemplars = wait_until(lambda: tiers.prometheus.exemplars("traces_kept_duration_seconds_bucket"))
    assert exemplars
    assert all(tiers.jaeger.spans(exemplar["labels"]["trace_id"]) for exemplar in exemplars), "every exemplar opens"
    assert not tiers.prometheus.exemplars("traces_span_metrics_duration_seconds_bucket")
    # Each gateway has its own series, so that two never write the same.
    writers = {row["metric"].get("collector_instance_id") for row in tiers.prometheus.query("traces_kept_calls_total")}
    assert writers == {"gateway-1", "gateway-2"}
    services = Counter(
        (row["metric"]["service_name"], row["metric"]["collector_instance_id"])
        for row in tiers.prometheus.query("count by (service_name, collector_instance_id) (traces_span_metrics_calls_total)")
    )
    assert len(services) == 3, "the spans of a service are counted by one gateway"


def test_a_gateway_that_leaves_in_order_loses_nothing(tiers: Tiers) -> None:
    """SIGTERM under load: what it holds is decided and written; its agents wait until it is back."""
    with Load(tiers.agent.otlp) as load:
        time.sleep(4)
        assert tiers.gateways[0].stop(30)
        time.sleep(6)
        tiers.gateways[0].start()
        time.sleep(4)
    missing = tiers.jaeger.missing(load.accepted)
    figure(
        f"Gateway stopped: {sum(map(len, load.accepted.values())):,} spans accepted, {sum(missing.values())} missing, {load.refusals} refused"
    )
    assert not missing


def test_a_killed_gateway_loses_no_more_than_its_decision_wait(tiers: Tiers) -> None:
    """kill -9: what was undecided in its memory is gone, and nothing else."""
    with Load(tiers.agent.otlp) as load:
        time.sleep(10)
        before = dict(load.accepted)
        time.sleep(DECISION_SECONDS + 1)
        tiers.gateways[0].kill()
        at_the_kill = dict(load.accepted)
        time.sleep(5)
        tiers.gateways[0].start()
        time.sleep(4)
    missing = tiers.jaeger.missing(load.accepted, 30)
    held = {trace for trace in at_the_kill if trace not in before}
    lost = sum(missing.values())
    figure(
        f"Gateway killed: {sum(map(len, load.accepted.values())):,} spans accepted, {lost:,} missing, all of the last {DECISION_SECONDS} s"
    )
    assert missing.keys() <= held, "only what came within the decision wait before the kill"


def test_an_agent_goes_on_with_the_gateways_that_are_left(tmp_path: Path, security: dict[str, str]) -> None:
    """A gateway goes for good: by DNS the agent sees it, and the others take over; one that is new gets its share."""
    if os.geteuid() != 0:
        pytest.skip("a name of one's own needs root: /etc/hosts is replaced in a mount namespace")
    jaeger = Jaeger(tmp_path / "jaeger")
    prometheus = Prometheus(tmp_path / "prometheus")
    port, by_service = free_ports(2)
    gateways = []
    for number in (2, 3):
        item = gateway(
            tmp_path,
            number,
            jaeger,
            prometheus.url,
            OTELCOL_BIND_ADDRESS=f"127.0.0.{number}",
            OTELCOL_SAMPLING_PERCENTAGE="100",
            **security,
        )
        item.environment |= {"OTELCOL_OTLP_GRPC_PORT": str(port), "OTELCOL_BY_SERVICE_PORT": str(by_service)}
        item.health = item.health.replace("127.0.0.1", f"127.0.0.{number}")
        gateways.append(item)
    hosts = tmp_path / "hosts"

    def name(*addresses: int) -> None:
        hosts.write_text("127.0.0.1 localhost\n" + "".join(f"127.0.0.{last} {NAME}.test\n" for last in addresses))

    name(2, 3)
    agent = Collector(
        tmp_path / "agent", "agent.yaml", OTELCOL_RESOLVER="dns", OTELCOL_GATEWAY_HOST=f"{NAME}.test", OTELCOL_GATEWAY_PORT=str(port),
        OTELCOL_GATEWAY_BY_SERVICE_PORT=str(by_service), **security,
    )  # fmt: skip
    agent.command = ["unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh", *agent.command]
    with running(prometheus, jaeger, *gateways, agent):
        with Load(agent.otlp) as load:
            time.sleep(5)
            name(3)
            assert gateways[0].stop(30)
            time.sleep(15)
            gateways[0].start()
            name(2, 3)
            time.sleep(10)
        spans = sum(map(len, load.accepted.values()))
        missing = jaeger.missing(load.accepted)
        figure(f"Gateway gone and back, by DNS: {spans:,} spans accepted, {sum(missing.values())} missing, {load.refusals} refused")
        assert not missing
        # A gateway that ends takes with it what it counted since its last flush, and begins from 0: the counts go on, and nothing is
        # counted twice.
        counted = "sum(increase(traces_span_metrics_calls_total[5m]))"
        assert wait_until(lambda: prometheus.value(counted) > spans / 2)
        figure(f"Counted by span metrics (increase, which extrapolates): {prometheus.value(counted):,.0f}")


def test_who_has_no_certificate_or_no_token_is_refused(tiers: Tiers, security: dict[str, str]) -> None:
    content = batch(1).content
    method = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    ca, key, certificate = (Path(security[f"OTELCOL_TLS_{name}_FILE"]).read_bytes() for name in ("CA", "KEY", "CERT"))
    with_certificate = grpc.ssl_channel_credentials(ca, key, certificate)
    without = grpc.ssl_channel_credentials(ca)
    options = [("grpc.ssl_target_name_override", NAME)]
    for target in (tiers.gateways[0].otlp, tiers.gateways[0].by_service):
        for credentials, token, expected in (
            (without, TOKEN, grpc.StatusCode.UNAVAILABLE),
            (with_certificate, "another", grpc.StatusCode.UNAUTHENTICATED),
            (with_certificate, None, grpc.StatusCode.UNAUTHENTICATED),
            (with_certificate, TOKEN, None),
        ):
            with grpc.secure_channel(target, credentials, options) as channel:
                call = channel.unary_unary(method, request_serializer=lambda it: it, response_deserializer=lambda it: it)
                metadata = [("authorization", f"Bearer {token}")] if token else []
                if expected is None:
                    call(content, timeout=10, metadata=metadata)
                    continue
                with pytest.raises(grpc.RpcError) as refused:
                    call(content, timeout=5, metadata=metadata)
                assert refused.value.code() == expected
    assert not Sender(tiers.gateways[0].otlp, timeout_seconds=3).send(content), "without TLS"
    answer = subprocess.run(
        ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", f"{tiers.gateways[0].otlp_http.replace('http', 'https')}/v1/traces"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode != 0, "HTTP without a certificate ends in the handshake"
