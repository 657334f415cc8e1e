"""Secrets in the file, and files of secrets that aren't there."""

from __future__ import annotations

import re
from pathlib import Path

from otel_autopilot.collector.configuration import KINDS, Configuration
from otel_autopilot.collector.findings import Problems
from otel_autopilot.collector.nodes import Scalar, keyed_scalars, mappings, text, value
from otel_autopilot.collector.secret_keys import holds_secret

_USERINFO = re.compile(r"://[^/\s@:]*:([^/\s@]+)@")
#: A secret by its name within a connection string (`host=db password=…`) or an address's query (`?api_key=…`). What begins as a
#: pattern, a quote or a placeholder does is none.
_ASSIGNED = re.compile(
    r"(?:^|[?&;,\s])(?:[a-z0-9]+[_.-])*(password|passwd|pwd|token|api[_-]?key|access[_-]?key|secret[_-]?key|shared[_-]?access[_-]?key"
    r"|account[_-]?key|client[_-]?secret|license[_-]?key|secret|sig)[ \t]*=[ \t]*(\$\{[^{}]*\}[^\s&;,]*|[a-z0-9+/%_!@~-][^\s&;,]*)",
    re.IGNORECASE,
)
#: Settings that hold patterns and programs, not addresses.
_PATTERN_KEYS = re.compile(r"(^|_)(regex|pattern|expr|expression|if|sql|query|statements?|conditions?|replacement)$")
_FILE_KEYS = re.compile(r"(^|_)(ca_file|cert_file|key_file|token_file|secret_file|password_file|credentials_file|filename)$")
#: Values that switch something on or off, under a name such as `use_token`.
_SWITCHES = ("true", "false", "")
#: Characters of a text in which secrets are looked for by their names: no address is as long.
_LENGTH = 10_000
#: Sections in which an address can hold a password; patterns of processors look like one and are none.
_WITH_ADDRESSES = ("receivers", "exporters", "connectors", "extensions", "service")


def plain_text_secret(config: Configuration) -> Problems:
    """Who reads the file, its history or its backup has the secret; a variable's default is in the file too."""
    for section in (*KINDS, "service"):
        for keys, scalar in keyed_scalars(value(config.root, section)):
            if scalar.null or not keys:
                continue
            if holds_secret(keys) and scalar.raw.lower() not in _SWITCHES and literal(scalar.raw):
                yield (
                    scalar.mark,
                    f"{keys[-1]} holds its secret in plain text: use ${{env:NAME}} without a default, or ${{file:PATH}}",
                )
            elif section in _WITH_ADDRESSES and any(literal(found) for found in _USERINFO.findall(_resolved(scalar.raw))):
                yield scalar.mark, f"{keys[-1]} is an address with a password in plain text: use ${{env:NAME}} for it"
            elif section in _WITH_ADDRESSES and not _PATTERN_KEYS.search(keys[-1]) and (name := _assigned(scalar.raw)):
                yield scalar.mark, f"{keys[-1]} has a {name} in plain text: use ${{env:NAME}} for it"
    for keys, mapping in mappings(config.root):  # the Collector's own telemetry writes headers as a list of names and values
        name, content = text(value(mapping, "name")), value(mapping, "value")
        if (
            keys[-1:] == ("headers",)
            and name
            and holds_secret(("headers", name))
            and isinstance(content, Scalar)
            and literal(content.raw)
        ):
            yield content.mark, f"{name} holds its secret in plain text: use ${{env:NAME}} without a default, or ${{file:PATH}}"


def literal(raw: str) -> bool:
    """Whether a value as written holds a secret: nothing of it is a reference, or a reference has a default."""
    if "${" not in raw:
        return bool(raw)
    if re.search(r"\$\{(?!env:|file:)[A-Za-z][\w+.-]+:(?!-)", raw):
        return False
    return any(default and not default.startswith("${") for default in re.findall(r":-([^}]*)", raw))


def _assigned(raw: str) -> str | None:
    """What a connection string or an address's query calls the secret that stands in it, if one does."""
    return next(
        (match[1] for match in _ASSIGNED.finditer(raw[:_LENGTH]) if literal(match[2]) and match[2].lower() not in _SWITCHES), None
    )


def _resolved(raw: str) -> str:
    """A text in which references hold no characters that separate the parts of an address."""
    return re.sub(
        r"\$\{[^{}]*\}", lambda match: match[0] if ":-" in match[0] and not match[0].endswith(":-}") else "", raw
    ).replace(":@", "@")


def missing_file(config: Configuration) -> Problems:
    """A Collector without its token or certificate doesn't start; `validate` doesn't open the files.

    Nothing is said of a path that holds a variable without a value here: it is for the machine that the Collector runs on.
    """
    for section in ("receivers", "exporters", "extensions"):
        for keys, scalar in keyed_scalars(value(config.root, section)):
            if not keys or not scalar.known or scalar.assumed or not scalar.text:
                continue  # a path that a variable gives is another one where the Collector runs
            if keys[-1] == "filename" and not keys[0].startswith(("bearertokenauth", "bearer_token_auth")):
                continue
            if _FILE_KEYS.search(keys[-1]) and not _exists(scalar.text):
                yield scalar.mark, f"{keys[-1]}: there is no file {scalar.text}"
    for keys, scalar in keyed_scalars(config.root):
        match = re.fullmatch(r"\$\{file:([^${}]+)\}", scalar.raw)
        if match and keys and holds_secret(keys) and not _exists(match[1]):
            yield scalar.mark, f"{keys[-1]}: there is no file {match[1]}"


def _exists(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False
