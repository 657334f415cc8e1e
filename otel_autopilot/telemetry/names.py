"""Every span, attribute and metric that we emit, in one file: the schema that ``docs/telemetry.md`` is written from.

Names follow the OpenTelemetry semantic conventions 1.44 where those have one; the rest is our own namespace ``autopilot.``.
Message-IDs, subjects, addresses and file names are personal data: what stands for them here is a keyed pseudonym.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Version of the semantic conventions that names are taken from.
SEMCONV_SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

#: Scope name of our tracer, meter and logger.
SCOPE = "otel_autopilot"

#: The stages, in order.
STAGES = ("email", "ingestion", "digest", "delivery")


@dataclass(frozen=True)
class Attribute:
    """One attribute of a span or metric. ``safe`` values (numbers, our own enums, hashes) skip the pattern redaction."""

    name: str
    type: Literal["string", "int", "double", "boolean", "string[]"]
    brief: str
    safe: bool = True
    own: bool = True


@dataclass(frozen=True)
class SpanName:
    """One span: its name, kind, when it appears and what it carries."""

    name: str
    kind: Literal["INTERNAL", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"]
    brief: str
    attributes: tuple[Attribute, ...] = ()


@dataclass(frozen=True)
class Metric:
    """One instrument."""

    name: str
    instrument: Literal["histogram", "counter", "updowncounter", "gauge"]
    unit: str
    brief: str
    attributes: tuple[Attribute, ...] = ()

    @property
    def in_prometheus(self) -> str:
        """Its name in Prometheus, which appends units and kinds to what comes by OTLP (``UnderscoreEscapingWithSuffixes``).

        A histogram's series have ``_bucket``, ``_count`` and ``_sum`` behind it.
        """
        unit = "_ratio" if self.unit == "1" and self.instrument == "gauge" else _PROMETHEUS_UNITS.get(self.unit, "")
        return self.name.replace(".", "_") + unit + ("_total" if self.instrument == "counter" else "")


#: What Prometheus calls our units; those in braces are left out.
_PROMETHEUS_UNITS = {"s": "_seconds", "By": "_bytes"}


# --- identity ---------------------------------------------------------------------------------------------------------
RUN_ID = Attribute("autopilot.run.id", "string", "Id of the run: one email through one workflow.")
STAGE = Attribute("autopilot.stage", "string", "email, ingestion, digest or delivery.")
WORKFLOW = Attribute("autopilot.workflow", "string", "Name of the workflow that the routing rules chose.")
OUTCOME = Attribute("autopilot.outcome", "string", "success, failed or rejected; of a stage also lost.")
RUN_STATE = Attribute("autopilot.run.state", "string", "State of the run, as the run store has it.")
ATTEMPT = Attribute("autopilot.attempt", "int", "1 for the first try of a stage, 2 for the next, ...")
RARE = Attribute(
    "autopilot.rare", "boolean", "True where emails of this kind are seldom (under 1 % of the latest 1,000); sampling keeps them."
)
ATTEMPT_LOST = Attribute("autopilot.attempt.lost", "boolean", "True on the span of an attempt whose process died.")
QUEUE_DURATION = Attribute("autopilot.stage.queue.duration", "double", "Seconds between the stage being ready and its start.")
EXECUTOR = Attribute("autopilot.executor.id", "string", "Which process of a deployment did the work.")
ERROR_TYPE = Attribute("error.type", "string", "Class of the error, or a low-cardinality code.", own=False)

# --- email ------------------------------------------------------------------------------------------------------------
EMAIL_SOURCE = Attribute("autopilot.email.source", "string", "smtp, file, maildir, mbox or api.")
EMAIL_MESSAGE_ID = Attribute("autopilot.email.message_id", "string", "Pseudonym of the Message-ID.")
EMAIL_SENDER = Attribute("autopilot.email.sender", "string", "Pseudonym of the sender's address.")
EMAIL_SIZE = Attribute("autopilot.email.size", "int", "Bytes of the mail as received.")
EMAIL_PARTS = Attribute("autopilot.email.parts", "int", "Parts in the MIME tree that were used.")
EMAIL_ATTACHMENTS = Attribute("autopilot.email.attachments", "int", "Attachments kept.")
EMAIL_FORWARDED = Attribute("autopilot.email.forwarded", "int", "Messages attached to the mail.")
EMAIL_SKIPPED = Attribute("autopilot.email.skipped", "string[]", "Reasons why parts were not used.")
EMAIL_DEFECTS = Attribute("autopilot.email.defects", "string[]", "Names of what was broken in the mail and survived.")
EMAIL_AUTOMATIC = Attribute("autopilot.email.automatic", "string", "Why the mail must not be answered (RFC 3834).")
EMAIL_TRUSTED = Attribute("autopilot.email.trusted", "boolean", "Sender allow-listed and verified.")
EMAIL_RULE = Attribute("autopilot.email.rule", "string", "Routing rule that matched.", safe=False)
EMAIL_CONFLICT = Attribute("autopilot.email.message_id.conflict", "boolean", "Same Message-ID seen with other content.")

# --- ingestion --------------------------------------------------------------------------------------------------------
DOCUMENT_PART = Attribute("autopilot.document.part", "string", "Number of the MIME part.")
DOCUMENT_KIND = Attribute("autopilot.document.kind", "string", "text, html or pdf.")
DOCUMENT_SIZE = Attribute("autopilot.document.size", "int", "Bytes of the part.")
DOCUMENT_CHARACTERS = Attribute("autopilot.document.characters", "int", "Characters of text found.")
DOCUMENT_PAGES = Attribute("autopilot.document.pages", "int", "Pages of the PDF.")
DOCUMENT_TABLES = Attribute("autopilot.document.tables", "int", "Tables kept.")
DOCUMENT_LINKS = Attribute("autopilot.document.links", "int", "Links kept.")
PDF_FIRST_PAGE = Attribute("autopilot.pdf.page.first", "int", "First page of this piece, from 1.")
PDF_LAST_PAGE = Attribute("autopilot.pdf.page.last", "int", "Last page of this piece.")

# --- digest -----------------------------------------------------------------------------------------------------------
DIGEST_METHOD = Attribute("autopilot.digest.method", "string", "extractive or model.")
DIGEST_SENTENCES = Attribute("autopilot.digest.sentences", "int", "Sentences considered.")
DIGEST_KEY_POINTS = Attribute("autopilot.digest.key_points", "int", "Key points chosen.")
DIGEST_FALLBACK = Attribute("autopilot.digest.fallback", "string", "Why the model was not used: the error's class.")

# --- delivery ---------------------------------------------------------------------------------------------------------
DELIVERY_TARGET = Attribute("autopilot.delivery.target", "string", "folder, maildir, smtp or webhook.")
DELIVERY_RECIPIENT = Attribute("autopilot.delivery.recipient", "string", "Pseudonym of the recipient.")
DELIVERY_OUTCOME = Attribute("autopilot.delivery.outcome", "string", "delivered, failed, suppressed or uncertain.")
DELIVERY_TRY = Attribute("autopilot.delivery.try", "int", "1 for the first try at a target, 2 for the next, ...")
SMTP_CODE = Attribute("autopilot.smtp.response.status_code", "int", "Reply code of the SMTP server.")
SERVER_ADDRESS = Attribute("server.address", "string", "Host of the server.", safe=False, own=False)
SERVER_PORT = Attribute("server.port", "int", "Port of the server.", own=False)
HTTP_STATUS = Attribute("http.response.status_code", "int", "HTTP status code.", own=False)
BREAKER_STATE = Attribute("autopilot.breaker.state", "string", "closed, open or half-open.")

_RUN = (RUN_ID, WORKFLOW)
_ATTEMPT = (*_RUN, STAGE, ATTEMPT, OUTCOME, QUEUE_DURATION, EXECUTOR, ERROR_TYPE)

EMAIL_PIPELINE = SpanName(
    "email pipeline", "CONSUMER", "The only root: first byte received to last delivery accepted.",
    (*_RUN, OUTCOME, RUN_STATE, EMAIL_SOURCE, EMAIL_MESSAGE_ID, EMAIL_SENDER, EMAIL_SIZE, EMAIL_CONFLICT, RARE, ERROR_TYPE),
)  # fmt: skip
STAGE_SPANS = {
    stage: SpanName(stage, "INTERNAL", f"One attempt at the {stage} stage.", (*_ATTEMPT, ATTEMPT_LOST)) for stage in STAGES
}
# What the stages did. Each stage's package uses the names of its own section.
EMAIL_PARSE = SpanName(
    "email.parse",
    "INTERNAL",
    "MIME parsing.",
    (EMAIL_PARTS, EMAIL_ATTACHMENTS, EMAIL_FORWARDED, EMAIL_SKIPPED, EMAIL_DEFECTS, EMAIL_AUTOMATIC),
)
EMAIL_ROUTE = SpanName("email.route", "INTERNAL", "Routing rules.", (EMAIL_RULE, WORKFLOW))
EMAIL_VERIFY = SpanName("email.verify", "INTERNAL", "DKIM verification of an allow-listed sender.", (EMAIL_TRUSTED,))
SMTP_RECEIVE = SpanName(
    "smtp receive", "SERVER", "One mail taken by the gateway: a trace of its own, linked.", (EMAIL_SIZE, SMTP_CODE)
)
_DOCUMENT = (DOCUMENT_PART, DOCUMENT_KIND, DOCUMENT_SIZE, DOCUMENT_CHARACTERS, DOCUMENT_TABLES, DOCUMENT_LINKS, ERROR_TYPE)
TEXT_EXTRACT = SpanName("text.extract", "INTERNAL", "Plain text read.", _DOCUMENT)
HTML_EXTRACT = SpanName("html.extract", "INTERNAL", "HTML turned into readable text.", _DOCUMENT)
PDF_EXTRACT = SpanName("pdf.extract", "INTERNAL", "PDF turned into text.", (*_DOCUMENT, DOCUMENT_PAGES))
PDF_PAGES = SpanName("pdf.pages", "INTERNAL", "A piece of consecutive pages.", (PDF_FIRST_PAGE, PDF_LAST_PAGE, DOCUMENT_CHARACTERS))
DIGEST_SUMMARIZE = SpanName(
    "digest.summarize",
    "INTERNAL",
    "Sentences scored and chosen.",
    (DIGEST_METHOD, DIGEST_SENTENCES, DIGEST_KEY_POINTS, DIGEST_FALLBACK),
)
DIGEST_RENDER = SpanName("digest.render", "INTERNAL", "Markdown, HTML and plain text written.")
_TRY = (DELIVERY_TARGET, DELIVERY_RECIPIENT, DELIVERY_OUTCOME, DELIVERY_TRY, BREAKER_STATE, SERVER_ADDRESS, SERVER_PORT, ERROR_TYPE)
SMTP_SEND = SpanName("smtp send", "CLIENT", "One try at an SMTP server.", (*_TRY, SMTP_CODE))
WEBHOOK_SEND = SpanName("webhook send", "CLIENT", "One try at a webhook.", (*_TRY, HTTP_STATUS))
FILE_WRITE = SpanName("file write", "INTERNAL", "Digest written to a folder or Maildir.", _TRY)

SPANS: tuple[SpanName, ...] = (
    EMAIL_PIPELINE, *STAGE_SPANS.values(), EMAIL_PARSE, EMAIL_ROUTE, EMAIL_VERIFY, SMTP_RECEIVE, TEXT_EXTRACT, HTML_EXTRACT,
    PDF_EXTRACT, PDF_PAGES, DIGEST_SUMMARIZE, DIGEST_RENDER, SMTP_SEND, WEBHOOK_SEND, FILE_WRITE,
)  # fmt: skip

# --- metrics ----------------------------------------------------------------------------------------------------------
STAGE_DURATION = Metric("autopilot.stage.duration", "histogram", "s", "Work of one attempt at a stage.", (STAGE, OUTCOME, WORKFLOW))
STAGE_QUEUE_DURATION = Metric("autopilot.stage.queue.duration", "histogram", "s", "Ready until started.", (STAGE, WORKFLOW))
EMAIL_DURATION = Metric("autopilot.email.duration", "histogram", "s", "First byte to last delivery.", (OUTCOME, WORKFLOW))
EMAILS_RECEIVED = Metric("autopilot.emails.received", "counter", "{email}", "Emails taken, from the run store.", (WORKFLOW,))
EMAILS_DELIVERED = Metric(
    "autopilot.emails.delivered", "counter", "{email}", "Emails that ended well, from the run store.", (WORKFLOW,)
)
EMAILS_FAILED = Metric(
    "autopilot.emails.failed", "counter", "{email}", "Emails that ended badly, from the run store.", (WORKFLOW, OUTCOME)
)
EMAILS_OVERDUE = Metric("autopilot.emails.overdue", "gauge", "{email}", "Unfinished emails past their limit.", (WORKFLOW,))
OLDEST_UNFINISHED = Metric(
    "autopilot.emails.oldest_unfinished.age", "gauge", "s", "Age of the oldest unfinished email; 0 when there is none."
)

METRICS: tuple[Metric, ...] = (
    STAGE_DURATION, STAGE_QUEUE_DURATION, EMAIL_DURATION, EMAILS_RECEIVED, EMAILS_DELIVERED, EMAILS_FAILED, EMAILS_OVERDUE,
    OLDEST_UNFINISHED,
)  # fmt: skip

# --- runtime ----------------------------------------------------------------------------------------------------------
CPU_MODE = Attribute("cpu.mode", "string", "user, system, nice, idle, iowait, interrupt or steal.", own=False)
CONTEXT_SWITCH_TYPE = Attribute("process.context_switch.type", "string", "voluntary or involuntary.", own=False)
FAULT_TYPE = Attribute("system.paging.fault.type", "string", "major or minor.", own=False)
DISK_DIRECTION = Attribute("disk.io.direction", "string", "read or write.", own=False)
NETWORK_DIRECTION = Attribute("network.io.direction", "string", "transmit or receive.", own=False)
MEMORY_STATE = Attribute("system.memory.state", "string", "used, free, cached or buffers.", own=False)
GC_GENERATION = Attribute("cpython.gc.generation", "int", "0, 1 or 2.", own=False)

PROCESS_CPU_TIME = Metric("process.cpu.time", "counter", "s", "CPU seconds of the process.", (CPU_MODE,))
PROCESS_CPU_UTILIZATION = Metric(
    "process.cpu.utilization", "gauge", "1", "CPU time since the last look, per second and CPU available.", (CPU_MODE,)
)
PROCESS_MEMORY_USAGE = Metric("process.memory.usage", "updowncounter", "By", "Physical memory in use.")
PROCESS_MEMORY_VIRTUAL = Metric("process.memory.virtual", "updowncounter", "By", "Virtual memory committed.")
PROCESS_THREAD_COUNT = Metric("process.thread.count", "updowncounter", "{thread}", "Threads of the process.")
PROCESS_FILE_DESCRIPTORS = Metric(
    "process.unix.file_descriptor.count", "updowncounter", "{file_descriptor}", "Open file descriptors of the process."
)
PROCESS_CONTEXT_SWITCHES = Metric(
    "process.context_switches", "counter", "{context_switch}", "Context switches of the process.", (CONTEXT_SWITCH_TYPE,)
)
PROCESS_PAGING_FAULTS = Metric("process.paging.faults", "counter", "{fault}", "Page faults of the process.", (FAULT_TYPE,))
PROCESS_UPTIME = Metric("process.uptime", "gauge", "s", "Time since the process began.")
PROCESS_DISK_IO = Metric(
    "process.disk.io", "counter", "By", "Bytes the process had read from or written to disks.", (DISK_DIRECTION,)
)
SYSTEM_CPU_TIME = Metric("system.cpu.time", "counter", "s", "CPU seconds of the machine.", (CPU_MODE,))
SYSTEM_CPU_UTILIZATION = Metric(
    "system.cpu.utilization", "gauge", "1", "Share of the machine's CPU time since the last look.", (CPU_MODE,)
)
SYSTEM_MEMORY_USAGE = Metric("system.memory.usage", "updowncounter", "By", "Memory of the machine by state.", (MEMORY_STATE,))
SYSTEM_MEMORY_UTILIZATION = Metric(
    "system.memory.utilization", "gauge", "1", "Share of the machine's memory by state.", (MEMORY_STATE,)
)
SYSTEM_DISK_IO = Metric("system.disk.io", "counter", "By", "Bytes read from and written to the machine's disks.", (DISK_DIRECTION,))
SYSTEM_NETWORK_IO = Metric(
    "system.network.io", "counter", "By", "Bytes through the machine's network interfaces.", (NETWORK_DIRECTION,)
)
GC_COLLECTIONS = Metric("cpython.gc.collections", "counter", "{collection}", "Collections of a generation.", (GC_GENERATION,))
GC_COLLECTED = Metric("cpython.gc.collected_objects", "counter", "{object}", "Objects collected.", (GC_GENERATION,))
GC_UNCOLLECTABLE = Metric(
    "cpython.gc.uncollectable_objects", "counter", "{object}", "Objects found uncollectable.", (GC_GENERATION,)
)
EVENT_LOOP_LAG = Metric("autopilot.event_loop.lag", "histogram", "s", "How late the event loop ran a callback that was due.")

METRICS += (
    PROCESS_CPU_TIME, PROCESS_CPU_UTILIZATION, PROCESS_MEMORY_USAGE, PROCESS_MEMORY_VIRTUAL, PROCESS_THREAD_COUNT,
    PROCESS_FILE_DESCRIPTORS, PROCESS_CONTEXT_SWITCHES, PROCESS_PAGING_FAULTS, PROCESS_UPTIME, PROCESS_DISK_IO, SYSTEM_CPU_TIME,
    SYSTEM_CPU_UTILIZATION, SYSTEM_MEMORY_USAGE, SYSTEM_MEMORY_UTILIZATION, SYSTEM_DISK_IO, SYSTEM_NETWORK_IO, GC_COLLECTIONS,
    GC_COLLECTED, GC_UNCOLLECTABLE, EVENT_LOOP_LAG,
)  # fmt: skip

# --- logs -------------------------------------------------------------------------------------------------------------
CODE_FUNCTION = Attribute("code.function.name", "string", "Module and function that logged.", own=False)
CODE_FILE = Attribute("code.file.path", "string", "Source file that logged.", own=False)
CODE_LINE = Attribute("code.line.number", "int", "Line that logged.", own=False)
THREAD_ID = Attribute("thread.id", "int", "Thread that logged.", own=False)
THREAD_NAME = Attribute("thread.name", "string", "Its name.", safe=False, own=False)
LOGGER_NAME = Attribute("logger.name", "string", "Name of the logger: the module that logged.", own=False)
EXCEPTION_TYPE = Attribute("exception.type", "string", "Class of the exception that was logged.", own=False)
EXCEPTION_MESSAGE = Attribute("exception.message", "string", "Its text.", safe=False, own=False)
EXCEPTION_STACKTRACE = Attribute("exception.stacktrace", "string", "Where it was raised.", safe=False, own=False)

#: Attributes of every log record, and those of one with an exception.
LOG_ATTRIBUTES = (CODE_FUNCTION, CODE_FILE, CODE_LINE, THREAD_ID, THREAD_NAME, LOGGER_NAME)
LOG_EXCEPTION_ATTRIBUTES = (EXCEPTION_TYPE, EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE)
