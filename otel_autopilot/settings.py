"""One typed model of every setting of the application.

Precedence: flag > ``OTEL_*`` > ``AUTOPILOT_*`` > settings file (TOML) > default. `Settings.load` remembers where each value
came from, for ``otel-autopilot doctor``.
"""

from __future__ import annotations

import difflib
import json
import os
import stat
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from otel_autopilot.errors import SettingsError

#: Standard variables and the settings they set.
OTEL_VARIABLES = {
    "OTEL_SERVICE_NAME": "service_name",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "collector",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "collector_protocol",
}


#: Flags that are called otherwise than their setting.
FLAGS = {"jaeger_url": "jaeger"}
#: Variables of ours that are not settings.
OTHER_VARIABLES = frozenset({"AUTOPILOT_CONFIG_FILE", "AUTOPILOT_OTELCOL", "AUTOPILOT_JAEGER", "AUTOPILOT_PROMETHEUS"})


def _xdg(variable: str, fallback: str) -> Path:
    base = os.environ.get(variable)
    return Path(base) if base else Path.home() / fallback


def settings_file() -> Path:
    """The settings file that is read when it exists: ``$AUTOPILOT_CONFIG_FILE``, else below ``$XDG_CONFIG_HOME``."""
    named = os.environ.get("AUTOPILOT_CONFIG_FILE")
    return Path(named).expanduser() if named else _xdg("XDG_CONFIG_HOME", ".config") / "otel-autopilot" / "config.toml"


class _OtelVariables(PydanticBaseSettingsSource):
    """Values of the standard ``OTEL_*`` variables."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002  # as in the base
        for variable, name in OTEL_VARIABLES.items():
            if name == field_name and os.environ.get(variable):
                return os.environ[variable], name, False
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        return {name: os.environ[variable] for variable, name in OTEL_VARIABLES.items() if os.environ.get(variable)}


class Settings(BaseSettings):
    """Every setting, its unit and its default. An unknown key in the settings file is an error.

    In a variable, a list is written ``a,b`` or as JSON (where an item holds a comma); a leading ``~`` of a path is the home.
    An empty variable counts as not set.
    """

    model_config = SettingsConfigDict(
        env_prefix="AUTOPILOT_", extra="forbid", frozen=True, env_ignore_empty=True, enable_decoding=False
    )

    data_dir: Path = Field(
        default_factory=lambda: _xdg("XDG_DATA_HOME", ".local/share") / "otel-autopilot",
        description="Where mail, runs and traces are kept (mode 0700).",
    )
    work_dir: Path | None = Field(None, description="Where mail and runs are kept, apart from telemetry; default: data_dir.")
    service_name: str = Field("otel-autopilot", description="service.name of everything emitted.")
    collector: str | None = Field(
        None, description="OTLP endpoint; when set, telemetry goes there instead of to the embedded store."
    )
    collector_protocol: Literal["grpc", "http/protobuf"] = Field("grpc", description="OTLP protocol.")

    jaeger_url: str | None = Field(
        None, description="Jaeger's UI and API, for links and to see what arrived; default: the Collector's host, port 16686."
    )
    jaeger_wait_seconds: float = Field(90.0, gt=0, description="How long `trace` waits for more of its spans to be in Jaeger.")

    http_host: str = Field("127.0.0.1", description="Address of the API.")
    http_port: int = Field(8025, ge=0, le=65535, description="Port of the API; 0 takes a free one.")
    http_max_body_bytes: int = Field(80_000_000, gt=0, description="Largest request body.")
    http_allowed_hosts: tuple[str, ...] = Field((), description="Host names besides loopback that the API answers to.")
    api_token_file: Path | None = Field(
        None, description="File with the bearer token; needed when the API is bound beyond loopback."
    )

    view_port: int = Field(8026, ge=0, le=65535, description="Port of `view`, on the API's address; 0 takes a free one.")
    otlp_grpc_port: int = Field(
        4317, ge=0, le=65535, description="Port of the receiver for OTLP over gRPC, on loopback; 0: a free one."
    )
    otlp_http_port: int = Field(
        4318, ge=0, le=65535, description="Port of the receiver for OTLP over HTTP, on loopback; 0: a free one."
    )
    otlp_max_items_per_second: int | None = Field(
        None, gt=0, description="Spans, log records and metric points that the receiver takes in a second; default: no limit."
    )

    smtp_host: str = Field("127.0.0.1", description="Address of the SMTP gateway.")
    smtp_port: int = Field(2525, ge=0, le=65535, description="Port of the SMTP gateway; 0 takes a free one.")
    smtp_max_bytes: int = Field(80_000_000, gt=0, description="Largest mail accepted.")
    smtp_tls_certificate: Path | None = Field(None, description="PEM certificate chain; switches STARTTLS on.")
    smtp_tls_key: Path | None = Field(None, description="PEM key of the certificate.")
    smtp_users_file: Path | None = Field(
        None,
        description="Lines `user:scrypt-hash` (made by `python -m otel_autopilot.pipeline.email.passwords USER`); switches AUTH on.",
    )
    smtp_require_auth: bool = Field(False, description="Refuse MAIL before AUTH.")
    smtp_recipients: tuple[str, ...] = Field(
        (), description="Addresses or @domains the gateway takes mail for; empty: any on loopback, none elsewhere."
    )

    watch: tuple[Path, ...] = Field((), description="Folders or Maildirs that `serve` watches.")
    routes_file: Path | None = Field(None, description="YAML file of routing rules.")
    trusted_senders: tuple[str, ...] = Field((), description="Addresses or @domains whose verified mail may carry a parent trace.")
    trace_header_domains: tuple[str, ...] = Field((), description="Domains that outgoing mail may carry traceparent to.")

    deliver_to: tuple[str, ...] = Field((), description="Targets: a folder, maildir:PATH, smtp://host:port or https://...")
    reply_to_sender: bool = Field(False, description="Send the digest back to the sender.")
    allowed_recipients: tuple[str, ...] = Field(
        (), description="Addresses or @domains of senders who may be answered with a digest."
    )
    digest_from: str = Field("digest@localhost", description="From address of digest mail.")
    digest_recipients: tuple[str, ...] = Field((), description="Who gets the digest from an smtp:// target.")
    replies_per_recipient_per_hour: int = Field(20, gt=0, description="Most answers to one recipient within an hour.")
    smtp_user: str | None = Field(None, description="User for AUTH at an smtp:// target.")
    smtp_password_file: Path | None = Field(None, description="File with its password.")
    webhook_secret_file: Path | None = Field(None, description="File with the secret that signs webhook bodies.")
    delivery_attempts: int = Field(4, ge=1, le=20, description="Tries per target, with exponential backoff.")
    delivery_timeout_seconds: float = Field(30.0, gt=0, description="Limit of one try.")

    worker_processes: int = Field(2, ge=1, le=64, description="Warm processes for parsing, PDF and summaries.")
    worker_memory_bytes: int = Field(1_000_000_000, gt=50_000_000, description="Address space each may add to its own.")
    worker_timeout_seconds: float = Field(60.0, gt=0, description="Limit of one piece of work.")
    pdf_max_bytes: int = Field(100_000_000, gt=0, description="Largest PDF read.")
    pdf_max_pages: int = Field(10_000, gt=0, description="Most pages read.")

    digest_key_points: int = Field(7, ge=1, le=50, description="Most key points in a digest.")
    model_url: str | None = Field(None, description="Base URL of an OpenAI-compatible API; unset: extractive digests.")
    model_name: str = Field("gpt-4o-mini", description="Model asked for.")
    model_key_file: Path | None = Field(None, description="File with its API key.")
    model_timeout_seconds: float = Field(20.0, gt=0, description="Then the extractive digest is used.")

    max_concurrent_runs: int = Field(50, ge=1, description="Runs worked on at once.")
    stage_attempts: int = Field(3, ge=1, le=20, description="Attempts at a stage that fails in a way that may pass.")
    drain_seconds: float = Field(
        20.0, ge=0, description="How long SIGTERM waits for runs in flight; the rest resume at the next start."
    )
    executor_id: str | None = Field(
        None, description="Stable name of this process among those on one database; default: made once in data_dir."
    )
    late_after_seconds: float = Field(300.0, gt=0, description="An unfinished email older than this counts as bad.")

    pseudonym_key_file: Path | None = Field(None, description="Key of the pseudonyms; default: made (0600) in data_dir.")
    retention_mail_days: float = Field(30.0, gt=0, description="Mail content and digests are erased after this.")
    retention_trace_days: float = Field(14.0, gt=0, description="Stored telemetry is erased after this.")
    retention_trace_bytes: int = Field(5_000_000_000, gt=1_000_000, description="Oldest telemetry is erased above this size.")

    log_level: str = Field("INFO", description="Level, or `module=LEVEL` pairs separated by commas.")
    log_file: Path | None = Field(None, description="JSON lines, rotated; default: stderr, for people.")

    @field_validator("collector", "jaeger_url")
    @classmethod
    def _is_endpoint(cls, value: str | None) -> str | None:
        """Refuse what nothing could be sent to."""
        if value is None:
            return None
        try:
            url = urlsplit(value if "://" in value else f"http://{value}")
            port = url.port
            whole = url.scheme in ("http", "https") and bool(url.hostname) and ("://" in value or port is not None)
        except ValueError:
            whole = False
        if not whole:
            raise ValueError("expected http://HOST:PORT, https://HOST:PORT or HOST:PORT")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _from_text(cls, value: Any, info: ValidationInfo) -> Any:
        """Split lists and expand ``~``, wherever the value comes from."""
        field = cls.model_fields[str(info.field_name)]
        if get_origin(field.annotation) is tuple:
            items = _split(value) if isinstance(value, str) else value
            return tuple(map(_at_home, items)) if isinstance(items, list | tuple) else items
        return _at_home(value) if field.annotation is Path or Path in get_args(field.annotation) else value

    @property
    def directory(self) -> Path:
        """Where mail and runs are kept."""
        return self.work_dir or self.data_dir

    @property
    def traces_db(self) -> Path:
        """The embedded trace store."""
        return self.data_dir / "telemetry.db"

    @property
    def runs_db(self) -> Path:
        """Runs, attempts and delivery intents."""
        return self.directory / "runs.db"

    @property
    def engine_db(self) -> Path:
        """The durable engine's own database."""
        return self.directory / "engine.db"

    @property
    def blobs_dir(self) -> Path:
        """Mail, its parts, documents."""
        return self.directory / "blobs"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # not used: no .env file
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (
            init_settings,
            _OtelVariables(settings_cls),
            env_settings,
            TomlConfigSettingsSource(settings_cls, toml_file=settings_file()),
        )

    def export_retention(self) -> None:
        """Tell the embedded store's exporters, which take no arguments, how long telemetry is kept."""
        os.environ["AUTOPILOT_RETENTION_TRACE_DAYS"] = str(self.retention_trace_days)
        os.environ["AUTOPILOT_RETENTION_TRACE_BYTES"] = str(self.retention_trace_bytes)

    @classmethod
    def load(cls, **flags: Any) -> Settings:
        """The settings in force; flags that are None count as not given. Raises SettingsError, naming field and source."""
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            raise SettingsError(_explain(error, given)) from error
        except ValueError as error:
            raise SettingsError(f"{settings_file()}: expected TOML: {error}") from error

    def origins(self, **flags: Any) -> dict[str, str]:
        """Where each setting came from: "flag", the variable's name, the file's path or "default"."""
        given = {name for name, value in flags.items() if value is not None}
        in_file = TomlConfigSettingsSource(type(self), toml_file=settings_file())()
        found = {}
        for name in type(self).model_fields:
            otel = next((v for v, n in OTEL_VARIABLES.items() if n == name and os.environ.get(v)), None)
            variable = f"AUTOPILOT_{name.upper()}"
            if name in given:
                found[name] = "flag"
            elif otel:
                found[name] = otel
            elif any(key.upper() == variable and os.environ[key] for key in os.environ):
                found[name] = variable
            elif name in in_file:
                found[name] = str(settings_file())
            else:
                found[name] = "default"
        return found


def prepare_data_dir(settings: Settings) -> None:
    """Make the data directories, mode 0700.

    Raises SettingsError, naming the setting, when one can't be made, or is there and others may write to it: who can write
    there can put mail and settings of their own in place.
    """
    for name, directory in (("data_dir", settings.data_dir), ("work_dir", settings.directory)):
        where = f"AUTOPILOT_{name.upper()}"
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = directory.stat().st_mode
        except OSError as error:
            why = f"{type(error).__name__}: {error.strerror}"
            raise SettingsError(f"{directory}: expected a folder that can be made, got {why}; set {where} to another") from error
        if mode & stat.S_IWOTH:
            raise SettingsError(
                f"{directory}: expected a folder that only its owner can write to, got mode {stat.S_IMODE(mode):04o}; "
                f"run `chmod 700 {directory}`, or set {where} to another"
            )


def unknown_variables() -> list[str]:
    """A warning for each ``AUTOPILOT_*`` variable that names no setting, with the nearest name that does."""
    known = {f"AUTOPILOT_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES
    warnings = []
    for name in sorted(name for name in os.environ if name.upper().startswith("AUTOPILOT_") and name.upper() not in known):
        near = difflib.get_close_matches(name.upper(), known, n=1)
        warnings.append(f"{name} is set and is no setting" + (f"; did you mean {near[0]}?" if near else ""))
    return warnings


def _split(text: str) -> Any:
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError as error:
            raise ValueError(f"expected a list as a,b or as JSON, and this is not JSON ({error})") from error
    return [item.strip() for item in text.split(",") if item.strip()]


def _at_home(value: Any) -> Any:
    """A path, or a target that is one, with its ``~`` expanded."""
    if isinstance(value, Path):
        return value.expanduser()
    if isinstance(value, str) and value.startswith(("~", "maildir:~")):
        scheme, colon, path = value.rpartition(":") if value.startswith("maildir:") else ("", "", value)
        return f"{scheme}{colon}{Path(path).expanduser()}"
    return value


def _explain(error: ValidationError, flags: dict[str, Any]) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else "?"
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, Settings.model_fields, n=1)
            lines.append(f"{settings_file()}: {name}: no such setting" + (f"; did you mean {near[0]}?" if near else ""))
            continue
        otel = next((v for v, n in OTEL_VARIABLES.items() if n == name and os.environ.get(v)), None)
        if name in flags:
            where = f"flag --{FLAGS.get(name, name).replace('_', '-')}"
        elif otel:
            where = otel
        elif os.environ.get(f"AUTOPILOT_{name.upper()}"):
            where = f"AUTOPILOT_{name.upper()}"
        else:
            where = f"{settings_file()}: {name}"
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{where}: {message[:1].lower()}{message[1:]}, got {problem.get('input')!r}")
    return "\n".join(lines)
