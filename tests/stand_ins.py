"""Executables that stand in for the backends: they tell a version, take a configuration, listen where they are told to."""

from __future__ import annotations

import sys
from pathlib import Path

_SCRIPT = """\
#!{python}
import os, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

NAME, VERSION, VALID, ENDS = {name!r}, {version!r}, {valid!r}, {ends!r}
PORTS = {{
    "otelcol": ["OTELCOL_OTLP_GRPC_PORT", "OTELCOL_OTLP_HTTP_PORT", "OTELCOL_HOP_PORT", "OTELCOL_HEALTH_PORT", "OTELCOL_METRICS_PORT"],
    "jaeger": ["JAEGER_QUERY_HTTP_PORT", "JAEGER_QUERY_GRPC_PORT", "JAEGER_OTLP_GRPC_PORT", "JAEGER_OTLP_HTTP_PORT",
               "JAEGER_HEALTH_PORT", "JAEGER_METRICS_PORT"],
    "prometheus": [],
}}[NAME]

if sys.argv[1:] in (["--version"], ["version"]):
    print(f"{{NAME}} version {{VERSION}}")
    sys.exit()
if sys.argv[1:2] == ["validate"]:
    sys.exit(0 if VALID else "Error: unknown type: span_metrics")
print(NAME, "starts with", *sys.argv[1:], flush=True)
for name in sorted(os.environ):
    if name.startswith(("OTEL", "GOMEMLIMIT")):
        print(f"{{name}}={{os.environ[name]}}", flush=True)
if ENDS:
    sys.exit("Error: it can't go on")

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *arguments):
        pass

numbers = [int(os.environ[name]) for name in PORTS]
numbers += [int(argument.rpartition(":")[2]) for argument in sys.argv if argument.startswith("--web.listen-address")]
servers = [HTTPServer(("127.0.0.1", number), Answer) for number in numbers]
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
"""


def stand_in(path: Path, name: str, version: str, *, valid: bool = True, ends: bool = False) -> Path:
    """An executable at ``path`` that behaves as ``name`` (otelcol, jaeger, prometheus) of that version.

    Not ``valid``: refuses every configuration. ``ends``: ends with an error when started.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = _SCRIPT.format(python=sys.executable, name=name, version=version, valid=valid, ends=ends)
    path.write_text(text)
    path.chmod(0o755)
    return path


def stand_ins(folder: Path) -> dict[str, str]:
    """The variables that name stand-ins of all three, made in ``folder``."""
    return {
        "AUTOPILOT_OTELCOL": str(stand_in(folder / "otelcol", "otelcol", "0.158.0")),
        "AUTOPILOT_JAEGER": str(stand_in(folder / "jaeger", "jaeger", "2.13.0")),
        "AUTOPILOT_PROMETHEUS": str(stand_in(folder / "prometheus", "prometheus", "3.15.0")),
    }
