"""Configurations as people find them in articles: each mistake is found, at its line, and nothing twice.

In faulty_collectors/ the lines say what is to be found in them: `# finds: RULE, RULE`. Files with the same number are one
configuration, a base and its overlay.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

from otel_autopilot.collector.check import check

FILES = sorted((Path(__file__).parent / "faulty_collectors").glob("*.yaml"))
CASES = [list(files) for _, files in itertools.groupby(FILES, lambda path: path.name[:2])]


def expected(path: Path) -> Counter[tuple[str, int, str]]:
    found: Counter[tuple[str, int, str]] = Counter()
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        for rules in re.findall(r"# finds: (.*)", line):
            found.update((path.name, number, rule) for rule in rules.split(", "))
    return found


@pytest.mark.parametrize("files", CASES, ids=lambda files: files[-1].stem)
def test_each_mistake_is_found_once_at_its_line(files: list[Path]) -> None:
    findings = check([str(path) for path in files], variables={})
    assert Counter((Path(each.file).name, each.line, each.rule) for each in findings) == sum(map(expected, files), Counter())


def test_messages_say_what_to_do() -> None:
    messages = {f"{Path(each.file).name[:2]} {each.message}" for files in CASES for each in check([*map(str, files)], variables={})}
    assert {
        "01 jaeger is gone from the Collector: use otlp_grpc, as Jaeger takes OTLP",
        "02 the exporter otlp is called otlp_grpc now: rename it to otlp_grpc",
        "05 the policy x of tail_sampling can't be of type composite inside another: take it out of there",
        "05 the policy http of tail_sampling is of type string_attribute: put its settings under `string_attribute:`",
        "06 otlp_http gives up what it can't send: set retry_on_failure.enabled: true and max_elapsed_time: 0",
        "06 otlp_http stores its queue in file_storage/otc, which is not in service.extensions: add it there",
        "10 kafka speaks to kafka.prod:9092 without TLS: set tls.ca_file, or tls: {} for the system's authorities",
        "11 pipeline traces names batchh, which is not defined: is batch meant?",
        "11 pipeline metrics names promethues, which is not defined: define it under exporters, or take the name away",
    } <= messages
