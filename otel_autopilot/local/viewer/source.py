"""What the viewer's answers come from: the store, and what this process knows besides."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from otel_autopilot.local.queries import Queries
from otel_autopilot.local.questions import Question
from otel_autopilot.local.receiver.embedded import EmbeddedReceiver
from otel_autopilot.local.receiver.lease import holder
from otel_autopilot.settings import Settings
from otel_autopilot.telemetry import diagnostics, pseudonyms
from otel_autopilot.telemetry.health import alive, read_reports
from otel_autopilot.telemetry.setup import current


class Source:
    """Answers questions: what the store says, and beside it the settings in force and the receiver of this process, if any.

    ``budget_seconds`` is how long a search may take before its answer says how far it came.
    """

    def __init__(self, settings: Settings, receiver: EmbeddedReceiver | None = None, *, budget_seconds: float = 1.0) -> None:
        self.settings = settings
        self._receiver = receiver
        self._queries = Queries(settings.traces_db, budget_seconds=budget_seconds)

    @classmethod
    def of(cls, settings: Settings, *, budget_seconds: float) -> Source:
        """For a process that emits nothing: it knows the pseudonyms, so that what a person knows is found."""
        if settings.data_dir.is_dir():
            pseudonyms.use(pseudonyms.load_pseudonyms(settings.data_dir, settings.pseudonym_key_file))
        return cls(settings, budget_seconds=budget_seconds)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._queries.close()

    def ask(self, question: Question, given: Mapping[str, Any]) -> dict[str, Any]:
        """The answer; raises QueryError and StoreError."""
        answer = question.answer(self._queries, given)
        if question.name == "state":
            answer |= self._state()
        elif question.name == "health":
            answer |= self._health()
            answer["store"] |= {
                "retention_days": self.settings.retention_trace_days,
                "retention_bytes": self.settings.retention_trace_bytes,
            }
        return answer

    def _state(self) -> dict[str, Any]:
        """What ``state`` says besides the store: who receives, and where Jaeger is."""
        where = self._receiver.where() if self._receiver is not None else holder(self.settings.data_dir)
        return {"receiver": where, "jaeger_url": self.settings.jaeger_url}

    def _health(self) -> dict[str, Any]:
        """What ``health`` says besides the store: this process, what others reported or left behind, the receiver's counts."""
        processes = []
        telemetry = current()
        if telemetry is not None:
            signals = {"spans": telemetry.spans, "metrics": telemetry.metrics, "logs": telemetry.logs}
            processes.append(
                {
                    "service": self.settings.service_name, "instance": None, "pid": os.getpid(), "source": "this process",
                    "written_unix_nano": None, "signals": {name: count.to_json() for name, count in signals.items()},
                    "warnings": list(diagnostics.warnings()),
                }
            )  # fmt: skip
        received: dict[str, Any] | None = None
        if self._receiver is not None and self._receiver.receiving:
            received = {"pid": os.getpid(), "written_unix_nano": None, "signals": self._receiver.receiver.counts()}
        for one in read_reports(self.settings.data_dir):
            if one["pid"] == os.getpid() and not one["ended"]:
                continue
            lives = alive(one)
            if one["signals"]:
                told = {key: one[key] for key in ("service", "pid", "written_unix_nano", "signals", "warnings")}
                processes.append({"instance": None, "source": "reported" if lives else "left behind", **told})
            if lives and received is None and one["receiver"] is not None:
                received = {"pid": one["pid"], "written_unix_nano": one["written_unix_nano"], "signals": one["receiver"]}
        return {"processes": processes, "receiver": received}
