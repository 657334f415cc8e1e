"""The compose file, as far as it can be looked at without a container engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from otel_autopilot.stack.components import COMPONENT

COLLECTOR = Path(__file__).parents[2] / "collector"
COMPOSE: dict[str, Any] = yaml.safe_load((COLLECTOR / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROVISIONING = COLLECTOR / "grafana" / "provisioning"

each_service = pytest.mark.parametrize("name", SERVICES)


@each_service
def test_images_are_official_and_of_one_version(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].rpartition(":")
    assert image in {"otel/opentelemetry-collector-contrib", "jaegertracing/jaeger", "prom/prometheus", "grafana/grafana"}
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), f"{name}: expected a release, got {tag!r}"


def test_the_collector_is_of_the_version_that_we_build() -> None:
    version = yaml.safe_load((COLLECTOR / "builder.yaml").read_text())["dist"]["version"]
    assert SERVICES["collector"]["image"].endswith(f":{version}")


@each_service
def test_ports_are_published_on_loopback_only_and_may_be_moved(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-(\d+)\}:\1", port), f"{name}: {port}"


@each_service
def test_each_container_has_no_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["CHOWN"] if name == "volumes" else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert service.get("user", "").startswith("0") == (name == "volumes")


@each_service
def test_all_share_the_namespace_of_the_one_that_does_nothing(name: str) -> None:
    service = SERVICES[name]
    if name == "pod":
        assert "network_mode" not in service
    elif name == "volumes":
        assert service["network_mode"] == "none"
    else:
        assert service["network_mode"] == "service:pod"
        assert "ports" not in service, "compose refuses ports on a namespace that another holds"
        assert service["depends_on"] == {"volumes": {"condition": "service_completed_successfully"}}


@each_service
def test_what_is_mounted_exists_and_is_read_only_unless_it_is_a_volume(name: str) -> None:
    for mount in SERVICES[name].get("volumes", []):
        if mount["type"] == "volume":
            assert mount["source"] in COMPOSE["volumes"], f"{name}: {mount}"
        else:
            assert (COLLECTOR / mount["source"]).is_dir(), f"{name}: {mount}"
            assert mount["read_only"] is True, f"{name}: {mount}"
            assert mount["bind"] == {"create_host_path": False}, f"{name}: {mount}"


@each_service
def test_the_configurations_that_are_named_are_those_of_the_stack_without_containers(name: str) -> None:
    named = re.findall(r"/etc/otelcol/([\w./-]+\.yaml)", " ".join(SERVICES[name].get("command", [])))
    assert all((COLLECTOR / file).is_file() for file in named)
    assert named == {"collector": ["local.yaml"], "jaeger": ["jaeger.yaml"], "prometheus": ["prometheus.yaml"]}.get(name, [])


@each_service
def test_each_variable_that_is_set_is_one_that_a_configuration_reads(name: str) -> None:
    texts = [
        file.read_text()
        for pattern in ("*.yaml", "fragments/**/*.yaml", "jaeger/*.yaml")
        for file in COLLECTOR.glob(pattern)
        if file.name != "compose.yaml"
    ]
    read = set(re.findall(r"\$\{env:(\w+)", "".join(texts))) | {"GOMEMLIMIT"}
    assert {variable for variable in SERVICES[name].get("environment", {}) if not variable.startswith("GF_")} <= read


@pytest.mark.parametrize("name", ["collector", "jaeger"])
def test_the_garbage_collector_works_before_the_limit_does(name: str) -> None:
    service = SERVICES[name]
    assert service["deploy"]["resources"]["limits"]["memory"] == "1G"
    assert service["environment"]["GOMEMLIMIT"] == f"{int(1024 * 0.8)}MiB"


def test_all_four_are_asked_for_their_health() -> None:
    asked = SERVICES["pod"]["healthcheck"]["test"][1]
    assert all(address in asked for address in ("13133/", "13134/status", "9090/-/ready", "3000/api/health"))


def test_grafana_s_data_sources_are_the_stack_s_and_refer_to_each_other() -> None:
    sources = {
        source["uid"]: source
        for source in yaml.safe_load((PROVISIONING / "datasources" / "autopilot.yaml").read_text())["datasources"]
    }
    assert {uid: source["url"] for uid, source in sources.items()} == {
        "prometheus": "http://127.0.0.1:9090",
        "jaeger": "http://127.0.0.1:16686",
    }
    assert sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"][0]["datasourceUid"] == "jaeger"
    assert sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"][0]["name"] == "trace_id"
    to_metrics = sources["jaeger"]["jsonData"]["tracesToMetrics"]
    assert to_metrics["datasourceUid"] == "prometheus"
    # Provisioning expands $NAME from the environment: what Grafana itself is to expand is written with two.
    assert all(not re.search(r"(?<!\$)\$(?!\$)", query["query"]) for query in to_metrics["queries"])


def test_dashboards_are_read_from_where_they_are_mounted() -> None:
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "autopilot.yaml").read_text())["providers"]
    targets = [mount["target"] for mount in SERVICES["grafana"]["volumes"]]
    assert provider["options"]["path"] in targets
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (COLLECTOR.parent / "dashboards" / "grafana" / Path(home).name).is_file()


def test_services_are_called_as_the_stack_calls_its_components() -> None:
    """`stack up` finds each component's health and addresses by the name of its service."""
    assert COMPONENT.keys() <= SERVICES.keys()
