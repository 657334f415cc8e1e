"""A stack that runs, as tests see it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: How long telemetry may take from the Collector to where it is looked for, in seconds.
ARRIVAL_SECONDS = 60.0


@dataclass(frozen=True)
class RunningStack:
    """Where its parts are, and questions to them."""

    otlp_grpc: str
    otlp_http: str
    jaeger: str
    prometheus: str

    @classmethod
    def at(cls, components: Iterable[Mapping[str, Any]]) -> RunningStack:
        """From the components that ``stack up --json`` prints."""
        return cls(**{port: url for component in components for port, url in component["addresses"].items()})

    def trace(self, trace_id: str, spans: int = 0) -> list[dict[str, Any]]:
        """The spans of a trace as Jaeger's ``/api/traces/{id}`` has them, once there are so many, or after a while."""
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while True:
            found = [span for trace in _data(f"{self.jaeger}/api/traces/{trace_id}") for span in trace["spans"]]
            if len(found) >= spans or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def query(self, expression: str, count: int = 1) -> list[dict[str, Any]]:
        """What a PromQL expression gives, once it gives so many samples, or after a while."""
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while True:
            found: list[dict[str, Any]] = _data(f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")[
                "result"
            ]
            if len(found) >= count or time.monotonic() > deadline:
                return found
            time.sleep(0.2)


def _data(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return []
        raise
