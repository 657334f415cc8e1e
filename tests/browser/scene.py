"""What the viewer's tests look at: a morning of a mail pipeline, with everything in it that a page has to show."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from otel_autopilot.local.model import EventRecord, LinkRecord, LogRecordRow, MetricPoint, SpanRecord
from otel_autopilot.local.store import TraceStore
from otel_autopilot.telemetry.names import STAGES

MS = 1_000_000
SECOND = 1_000 * MS
CUMULATIVE = "AGGREGATION_TEMPORALITY_CUMULATIVE"
ERROR = "STATUS_CODE_ERROR"
REFUSED = "SMTP 451 4.7.1 try again later"
#: Would run where it became HTML, turn the line around where it became text, and ring and colour a terminal.
HOSTILE = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>\u202egnp.exe\u0007\x1b[31m"
BOUNDS = [0.005, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]


@dataclass
class Trace:
    """A trace in the making; times are nanoseconds from its start."""

    number: int
    start: int
    service: str = "otel-autopilot"
    version: str = "0.1.0"
    spans: list[SpanRecord] = field(default_factory=list)
    logs: list[LogRecordRow] = field(default_factory=list)

    @property
    def id(self) -> str:
        """As the address of its page has it."""
        return f"{0xA0000000000000000000000000000000 + self.number:032x}"

    @property
    def run(self) -> str:
        """The run's id."""
        return f"{0xB0000000000000000000000000000000 + self.number * 0x1000000000000000000000:032x}"

    def add(self, name: str, parent: str | None, start: float, end: float, **more: Any) -> str:
        """Add a span; returns its id."""
        failed = more.pop("failed", "")
        service = more.pop("service", self.service)
        span = SpanRecord(
            trace_id=self.id, span_id=f"{0x1000 + len(self.spans):016x}", parent_span_id=parent, name=name,
            kind=more.pop("kind", "SPAN_KIND_INTERNAL"), start_unix_nano=self.start + int(start), end_unix_nano=self.start + int(end),
            status_code=ERROR if failed else "STATUS_CODE_UNSET", status_message=failed,
            resource={"service.name": service, "service.version": self.version, "service.instance.id": f"{service}-1", "process.pid": 4711},
            **more,
        )  # fmt: skip
        self.spans.append(span)
        return span.span_id

    def log(self, body: str, severity: int, at: float, span: str) -> None:
        """Add a log record."""
        words = {9: "INFO", 13: "WARN", 17: "ERROR"}
        self.logs.append(
            LogRecordRow(
                self.start + int(at),
                severity,
                words.get(severity, "FATAL"),
                body,
                self.id,
                span,
                resource={"service.name": self.service},
            )
        )


@dataclass
class Scene:
    """The traces that tests open, by what they are examples of."""

    normal: Trace
    failed: Trace
    retried: Trace
    lost: Trace
    under_way: Trace
    huge: Trace
    hostile: Trace
    scheduled: Trace
    emails: int


def email(number: int, start: int, kind: str = "normal", pace: float = 1.0, version: str = "0.1.0") -> Trace:
    """One email: normal, failed, retried, lost or under_way."""
    trace = Trace(number, start, version=version)
    facts = {"autopilot.run.id": trace.run, "autopilot.workflow": "email-digest" if number % 4 else "invoice-intake"}
    root = f"{0x1000:016x}"
    outcome = "failed" if kind == "failed" else "success"
    trace.add("email pipeline", None, 0, 0, kind="SPAN_KIND_CONSUMER", attributes={**facts, "autopilot.outcome": outcome})
    at = 2 * MS * pace

    def stage(name: str, work: float, wait: float, attempt: int = 1, failed: str = "", **attributes: Any) -> tuple[str, float]:
        nonlocal at
        at += wait
        begin, at = at, at + work
        found = {
            "autopilot.stage": name, "autopilot.attempt": attempt, "autopilot.stage.queue.duration": wait / SECOND,
            "autopilot.outcome": "failed" if failed else "success",
        }  # fmt: skip
        return trace.add(name, root, begin, at, failed=failed, attributes={**facts, **found, **attributes}), begin

    span, begin = stage("email", 14 * MS * pace, 0.6 * MS, **{"autopilot.email.size": 48_213, "autopilot.email.attachments": 2})
    trace.add("email.parse", span, begin + MS, begin + 10 * MS * pace)
    trace.log("accepted from sender p1_7f3ac1", 9, begin + 3 * MS, span)
    attempt = 1
    if kind == "lost":
        stage("ingestion", 800 * MS, 30 * MS, failed="the process that worked on it died", **{"autopilot.attempt.lost": True})
        attempt, at = 2, at + 4 * SECOND
    span, begin = stage("ingestion", 420 * MS * pace, 60 * MS * pace, attempt)
    for part in range(2):
        inner = begin + (12 + 30 * part) * MS * pace
        inner_id = trace.add(
            "pdf.extract", span, inner, inner + (210 + 130 * part) * MS * pace, service="pdf-worker",
            attributes={"autopilot.document.pages": 120 + part},
        )  # fmt: skip
        trace.log("extracted the text of an attachment", 9, inner + 20 * MS, inner_id)
    span, begin = stage("digest", 260 * MS * pace, 20 * MS * pace, **{"autopilot.digest.key_points": 7})
    inner_id = trace.add(
        "digest.summarize", span, begin + 61 * MS * pace, begin + 240 * MS * pace,
        events=(EventRecord("cache miss", trace.start + int(begin + 70 * MS * pace), {"cache.key": "sha256:1f"}),),
    )  # fmt: skip
    trace.log("the model answered slowly", 13, begin + 80 * MS, inner_id)
    if kind == "under_way":
        trace.spans = trace.spans[1:]
        return trace
    tries = {"failed": 3, "retried": 2}.get(kind, 1)
    for number_of_try in range(1, tries + 1):
        wrong = REFUSED if kind == "failed" or number_of_try < tries else ""
        wait = 15 * MS if number_of_try == 1 else 400 * MS * number_of_try
        span, begin = stage("delivery", 180 * MS * pace, wait, number_of_try, wrong)
        exception = EventRecord(
            "exception",
            trace.start + int(begin + 150 * MS),
            {"exception.type": "SMTPResponseException", "exception.message": REFUSED},
        )
        code = {"autopilot.smtp.response.status_code": 451 if wrong else 250}
        inner_id = trace.add(
            "smtp send", span, begin + 4 * MS, at - 4 * MS, kind="SPAN_KIND_CLIENT", failed=wrong, attributes=code, events=(exception,) if wrong else ()
        )  # fmt: skip
        if wrong:
            trace.log(f"delivery refused: {REFUSED}", 17, begin + 160 * MS, inner_id)
    _end_root(trace, at + 2 * MS, "the delivery failed after 3 attempts" if kind == "failed" else "")
    return trace


def _end_root(trace: Trace, end: float, failed: str) -> None:
    status = ERROR if failed else "STATUS_CODE_UNSET"
    trace.spans[0] = replace(trace.spans[0], end_unix_nano=trace.start + int(end), status_code=status, status_message=failed)


def huge(number: int, start: int, spans: int = 10_000) -> Trace:
    """A trace of so many spans: four stages, pages in them, steps in those; each 97th page fails."""
    trace = Trace(number, start)
    facts = {"autopilot.run.id": trace.run, "autopilot.workflow": "email-digest"}
    root = trace.add(
        "email pipeline", None, 0, 60 * SECOND, kind="SPAN_KIND_CONSUMER", attributes={**facts, "autopilot.outcome": "success"}
    )
    pages = (spans - 5) // 40
    for place, stage in enumerate(STAGES):
        begin = place * 15 * SECOND
        parent = trace.add(
            stage, root, begin, begin + 14 * SECOND, attributes={**facts, "autopilot.stage": stage, "autopilot.attempt": 1}
        )
        length = 14 * SECOND / pages
        for page in range(pages):
            at = begin + page * length
            inner = trace.add(f"page {page}", parent, at, at + 0.95 * length, failed="a bad page" if page % 97 == 5 else "")
            for step in range(9):
                trace.add(("decode", "layout", "text")[step % 3], inner, at + step * length / 10, at + (step + 1) * length / 11)
    return trace


def hostile(number: int, start: int) -> Trace:
    """Values that would run, hide or flood a page that trusted them; and a chain of spans 60 deep."""
    trace = Trace(number, start, service=f"<b>service</b>{'x' * 300}")
    facts = {"autopilot.run.id": trace.run, "autopilot.workflow": "\u202eworkflow", "autopilot.outcome": "failed"}
    root = trace.add(f"email pipeline {HOSTILE}", None, 0, 100 * MS, attributes=facts, failed=HOSTILE * 20)
    values = {HOSTILE: HOSTILE, "big": "megabyte " * 110_000, "list": [1, 2.5, HOSTILE], "javascript": "javascript:alert(1)"}
    inner = trace.add(
        "A" * 5_000, root, MS, 40 * MS, attributes=values, events=(EventRecord(HOSTILE, start + 5 * MS, {HOSTILE: HOSTILE}),),
        links=(LinkRecord("f" * 32, "e" * 16, {}),),
    )  # fmt: skip
    trace.log(HOSTILE * 100, 21, 6 * MS, inner)
    parent = root
    for depth in range(60):
        parent = trace.add(f"deep {depth}", parent, depth * MS, (depth + 30) * MS)
    return trace


def scheduled(number: int, start: int, mails: list[Trace]) -> Trace:
    """A digest of several emails, linked with them."""
    trace = Trace(number, start)
    links = tuple(LinkRecord(mail.id, mail.spans[0].span_id, {}) for mail in mails)
    root = trace.add("scheduled digest", None, 0, 300 * MS, links=links)
    trace.add("digest.gather", root, MS, 200 * MS)
    return trace


def points(mails: list[Trace], now: int) -> list[MetricPoint]:
    """Durations as a histogram with exemplars, and what a process used, once a minute of the last hour."""
    found: list[MetricPoint] = []
    resource = {"service.name": "otel-autopilot", "service.instance.id": "otel-autopilot-1", "process.pid": 4711}
    counts, total = [0] * (len(BOUNDS) + 1), 0.0
    start = now - 3_600 * SECOND
    for minute in range(60):
        moment = start + minute * 60 * SECOND
        fresh = [mail for mail in mails if moment - 60 * SECOND < mail.start <= moment]
        for mail in fresh:
            seconds = (mail.spans[0].end_unix_nano - mail.start) / SECOND
            counts[sum(seconds > bound for bound in BOUNDS)] += 1
            total += seconds
        exemplars = tuple(
            {"value": (mail.spans[0].end_unix_nano - mail.start) / SECOND, "time_unix_nano": mail.start, "trace_id": mail.id, "span_id": mail.spans[0].span_id, "attributes": {}}
            for mail in fresh[:1]
        )  # fmt: skip
        found.append(
            MetricPoint(
                "autopilot.email.duration", "histogram", moment, start, "s", "From the first byte received to the last delivery accepted",
                CUMULATIVE, distribution={"count": sum(counts), "sum": total, "min": 0.01, "max": 60.0, "bounds": BOUNDS, "bucket_counts": list(counts)},
                exemplars=exemplars, attributes={"autopilot.outcome": "success"}, resource=resource,
            )
        )  # fmt: skip
        wave = 1 + (minute % 7) / 7
        for name, kind, unit, value, attributes in (
            ("process.cpu.time", "sum", "s", minute * 20.0 * wave, {}),
            ("process.memory.usage", "sum", "By", int(90e6 * wave), {}),
            ("process.thread.count", "sum", "{thread}", 9 + minute % 5, {}),
            ("process.disk.io", "sum", "By", minute * 4_000_000, {"disk.io.direction": "write"}),
        ):
            found.append(
                MetricPoint(
                    name, kind, moment, start, unit, "", CUMULATIVE, monotonic=name in ("process.cpu.time", "process.disk.io"),
                    value=value, attributes=attributes, resource=resource,
                )
            )  # fmt: skip
    return found


def fill(path: Path, emails: int = 400) -> Scene:
    """Store a morning of mail, the same each time but for its hour; returns what to look at."""
    chance, now = random.Random(7), time.time_ns()
    mails: list[Trace] = []
    kinds = ["normal"] * 17 + ["retried", "failed", "lost"]
    at = now - 200 * SECOND
    for number in range(emails):
        old = number > emails // 2
        mails.append(
            email(
                100 + number, at, chance.choice(kinds), chance.lognormvariate(0.2 if old else 0, 0.5), "0.1.0" if old else "0.2.0"
            )
        )
        at -= int(chance.expovariate(1 / 25) * SECOND)
    shown = [
        email(place, now - (60 + place) * SECOND, kind) for place, kind in enumerate(("normal", "failed", "retried", "lost"), 1)
    ]
    going = email(5, now - 3 * SECOND, "under_way")
    large, evil = huge(6, now - 150 * SECOND), hostile(7, now - 160 * SECOND)
    digest = scheduled(8, now - 40 * SECOND, shown)
    everything = [*mails, *shown, going, large, evil, digest]
    store = TraceStore.open(path)
    store.add_spans([span for trace in everything for span in trace.spans])
    store.add_logs([log for trace in everything for log in trace.logs])
    store.add_points(points(mails, now))
    store.close()
    return Scene(*shown, going, large, evil, digest, len(everything) - 1)
