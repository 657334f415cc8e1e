"""Every error that otel_autopilot raises on purpose.

    AutopilotError
    ├── SettingsError          a setting, flag or file of settings is wrong (exit code 2)
    ├── SourceError            a SOURCE can't be read as mail (exit code 2)
    ├── CollectorError         a Collector configuration can't be read (exit code 2)
    ├── StageError             a stage could not do its work on one email
    │   ├── EmailError         the bytes can't be taken as an email
    │   ├── IngestionError     a part can't be turned into text
    │   │   ├── PdfError
    │   │   │   ├── PdfEncrypted
    │   │   │   ├── PdfTruncated
    │   │   │   ├── PdfMalformed
    │   │   │   ├── PdfImageOnly
    │   │   │   └── PdfEmpty
    │   ├── DigestError
    │   └── DeliveryError
    ├── WorkError              work in a child process was ended for the sake of the rest
    │   ├── WorkTimeout        it took longer than its limit
    │   ├── WorkCrashed        the process died
    │   └── WorkLimit          it passed a limit on memory, pages or bytes
    ├── EngineError            the durable engine can't start or can't take a run
    │   ├── EngineLocked       another process runs on the same data
    │   └── SchemaError        stored data has a version this release can't read
    ├── StoreError             the embedded trace store can't be used
    ├── QueryError             a parameter of a query is wrong, or what it names isn't stored (exit code 2)
    │   └── NotStored          there is no trace or span by that id
    └── StackError             the local backends can't be started, watched or stopped
        ├── BuildError         a backend can't be built: a tool is missing, or the build failed
        └── PortBusy           another program has a port that a backend needs

Messages say what was expected, what came, where, and what to do. They never quote mail content.
"""

from __future__ import annotations


class AutopilotError(Exception):
    """Base of the tree; catching it catches everything this package raises on purpose."""


class SettingsError(AutopilotError):
    """A setting, a flag or a settings file is wrong."""


class SourceError(AutopilotError):
    """A SOURCE given by the user doesn't exist or holds no mail."""


class CollectorError(AutopilotError):
    """A Collector configuration, or a file that it includes, can't be read."""


class StageError(AutopilotError):
    """A stage could not do its work on one email.

    ``retryable`` says whether another attempt may succeed (a refused connection) or not (a broken PDF);
    ``rejected`` says that policy refused the email, rather than that something broke.
    """

    stage: str = ""
    retryable: bool = False
    rejected: bool = False


class EmailError(StageError):
    """The bytes can't be taken as an email, or policy refuses them."""

    stage = "email"


class IngestionError(StageError):
    """A part of an email can't be turned into text."""

    stage = "ingestion"


class PdfError(IngestionError):
    """A PDF can't be read."""


class PdfEncrypted(PdfError):
    """The PDF needs a password."""


class PdfTruncated(PdfError):
    """The PDF ends before its trailer: part of the file is missing."""


class PdfMalformed(PdfError):
    """The file says it is a PDF and isn't one that can be read."""


class PdfImageOnly(PdfError):
    """The PDF has pages with pictures and no text on them."""


class PdfEmpty(PdfError):
    """The PDF has pages on which there is nothing to be found: blank, damaged inside, or unpacking to nothing."""


class DigestError(StageError):
    """No digest could be made."""

    stage = "digest"


class DeliveryError(StageError):
    """A digest could not be delivered to any of its targets."""

    stage = "delivery"


class WorkError(AutopilotError):
    """Work in a child process was ended so that nothing else is harmed."""


class WorkTimeout(WorkError):
    """The work took longer than its limit in seconds."""


class WorkCrashed(WorkError):
    """The process that did the work died."""


class WorkLimit(WorkError):
    """The work passed a limit on memory, pages or bytes."""


class EngineError(AutopilotError):
    """The durable engine can't start or can't take a run."""


class EngineLocked(EngineError):
    """Another process runs the engine on the same data directory."""


class SchemaError(EngineError):
    """Stored data has a schema version that this release can't read or migrate."""


class StoreError(AutopilotError):
    """The embedded trace store can't be used."""


class QueryError(AutopilotError):
    """A parameter of a query can't be taken; ``parameter`` is its name."""

    def __init__(self, parameter: str, expected: str, got: object) -> None:
        shown = repr(got)
        super().__init__(f"{parameter}: expected {expected}, got {shown if len(shown) <= 100 else shown[:99] + '…'}")
        self.parameter = parameter


class NotStored(QueryError):
    """There is nothing in the store by that id."""


class StackError(AutopilotError):
    """The local backends (Collector, Jaeger, Prometheus) can't be started, watched or stopped."""


class BuildError(StackError):
    """A backend can't be built: a tool is missing, or the build failed."""


class PortBusy(StackError):
    """Another program has a port that a backend needs."""
