"""How files are read, merged and included, and what is said of those that can't be."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from otel_autopilot.cli.app import app
from otel_autopilot.collector.check import check
from otel_autopilot.errors import CollectorError
from tests.unit.collector_cases import CLEAN, findings, line_of

JAEGER = "  otlp_grpc/jaeger:\n"
OVERLAY = """\
exporters:
  otlp_grpc/other: {endpoint: 127.0.0.1:1, sending_queue: {storage: file_storage, block_on_overflow: true}, retry_on_failure: {max_elapsed_time: 0}}
service:
  pipelines:
    traces/sampled:
      exporters: [otlp_grpc/other, span_metrics/kept, debug]
"""


def test_whole_files_are_checked_by_themselves_and_overlays_with_the_one_before(tmp_path: Path) -> None:
    assert findings(tmp_path, CLEAN, CLEAN) == []
    found = findings(tmp_path, CLEAN, OVERLAY, CLEAN)
    assert [(Path(each.file).name, each.line, each.rule) for each in found] == [("1.yaml", 6, "lost-component")]
    assert "otlp_grpc/jaeger" in found[0].message


def test_merge_lays_whole_files_over_each_other_too(tmp_path: Path) -> None:
    other = CLEAN.replace("[memory_limiter, resource_detection,", "[memory_limiter,")
    assert [each.rule for each in findings(tmp_path, CLEAN, other, merge_all=True)] == ["lost-component"]


def test_what_an_overlay_takes_out_on_purpose_needs_no_other_comment(tmp_path: Path) -> None:
    base = CLEAN.replace(JAEGER, JAEGER + "    auth: {authenticator: bearertokenauth}\n").replace(
        "extensions:\n  file_storage:", "extensions:\n  bearertokenauth:\n  file_storage:"
    )
    base = base.replace("extensions: [file_storage]", "extensions: [file_storage, bearertokenauth]")
    overlay = OVERLAY.replace("debug]", "debug] # lint: allow lost-component because the other takes its place")
    assert findings(tmp_path, base, overlay) == []
    without_its_token = overlay.replace(
        "service:", "service:\n  extensions: [file_storage] # lint: allow lost-component because of it"
    )
    assert findings(tmp_path, base, without_its_token) == []
    unused_in_the_base = base.replace("  debug:", "  nop:\n  debug:")
    assert [each.rule for each in findings(tmp_path, unused_in_the_base, overlay)] == ["unused-component"]
    still_authenticated = "service: {extensions: [file_storage]} # lint: allow lost-component because it was not thought through"
    assert [each.rule for each in findings(tmp_path, base, still_authenticated)] == ["undefined-component"]


def test_an_overlay_finds_its_includes_beside_the_file_it_is_laid_over(tmp_path: Path) -> None:
    (tmp_path / "overlays").mkdir()
    (tmp_path / "base.yaml").write_text(CLEAN)
    (tmp_path / "debug.yaml").write_text("verbosity: detailed\n")
    overlay = tmp_path / "overlays" / "overlay.yaml"
    overlay.write_text("exporters:\n  debug: ${file:./debug.yaml}\n")
    found = check([str(tmp_path / "base.yaml"), str(overlay)], variables={})
    assert [(Path(each.file), each.rule) for each in found] == [(tmp_path / "debug.yaml", "detailed-debug")]


@pytest.mark.parametrize(
    ("overlay", "lost"),
    [
        ("service: {extensions: []}", "file_storage"),
        (
            "processors: {tail_sampling: {policies: [{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]}}",
            "slow-and-rare",
        ),
        ("processors: {redaction: {blocked_values: ['[^ ]+@[^ ]+']}}", "://[^:]+:[^@]+@"),
        ("processors: {redaction: }", "allow_all_keys, blocked_values"),
    ],
)
def test_an_overlay_says_what_it_loses(tmp_path: Path, overlay: str, lost: str) -> None:
    found = [each for each in findings(tmp_path, CLEAN, overlay) if each.rule == "lost-component"]
    assert [(Path(each.file).name, each.line) for each in found] == [("1.yaml", 1)]
    assert lost in found[0].message


def test_a_finding_in_an_included_fragment_names_the_fragment(tmp_path: Path) -> None:
    (tmp_path / "fragments").mkdir()
    (tmp_path / "fragments" / "debug.yaml").write_text(
        "# the debug exporter\nverbosity: ${file:fragments/word.yaml}\nuse_internal_logger: false\n"
    )
    (tmp_path / "fragments" / "word.yaml").write_text("detailed")
    (tmp_path / "fragments" / "limits.yaml").write_text(
        "# a list\n[memory_limiter, resource_detection, transform/personal, redaction]\n"
    )
    text = CLEAN.replace(
        "  debug:\n    verbosity: basic", "  debug: ${file:${env:TEST_DIR:-.}/fragments/${env:TEST_NAME:-debug}.yaml}"
    )
    text = text.replace("[memory_limiter, resource_detection, transform/personal, redaction]", "${file:fragments/limits.yaml}")
    assert [(each.file, each.line, each.rule) for each in findings(tmp_path, text)] == [
        (str(tmp_path / "fragments" / "debug.yaml"), 2, "detailed-debug")
    ]


def test_a_variable_may_hold_a_list_and_two_dollars_are_one(tmp_path: Path) -> None:
    text = CLEAN.replace("exporters: [otlp_grpc/hop]", 'exporters: ${env:TEST_HOPS:-["otlp_grpc/hop"]}')
    assert findings(tmp_path, text) == []
    assert [each.rule for each in findings(tmp_path, text, variables={"TEST_HOPS": "[otlp_grpc/hop, nobody]"})] == [
        "undefined-component"
    ]
    escaped = CLEAN.replace("blocked_values: ['[^ ]+@[^ ]+',", "blocked_values: ['[^ ]+@$${file:nowhere}$$',")
    assert findings(tmp_path, escaped) == []


def test_an_included_text_with_comments_is_found_as_the_collector_takes_it_verbatim(tmp_path: Path) -> None:
    pattern = tmp_path / "pattern.yaml"
    text = CLEAN.replace("'[^ ]+@[^ ]+'", "'${file:pattern.yaml}'")
    for content in ("# addresses\n>-\n  [^ ]+@[^ ]+\n", "'[^ ]+@[^ ]+'", "x@x\n", "[^ ]+@[^ ]+\n"):
        pattern.write_text(content)
        assert [(each.file, each.line, each.rule) for each in findings(tmp_path, text)] == [(str(pattern), 1, "verbatim-include")]
    for content in ("x+@x+", "[^ ]+@[^ ]+", "\uffff"):  # bare values; the second and third are no YAML
        pattern.write_text(content)
        assert findings(tmp_path, text) == []


def _chain() -> str:
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 5_000))]
    return "\n".join(lines)


def _bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0.yaml:1: expected a Collector configuration .*got nothing"),
        ("- a\n- b", "0.yaml:1: expected a Collector configuration .*got a list"),
        ("kind: Pod\n", "0.yaml:1: expected a Collector configuration .*got the keys kind"),
        ("apiVersion: v1\nkind: Pod\n", "got a Kubernetes Pod"),
        ("apiVersion: v1\nkind: ConfigMap\ndata: {relay: ''}\n", "got a Kubernetes ConfigMap: put what is under data.relay into"),
        ("apiVersion: x/v1\nkind: OpenTelemetryCollector\n", "OpenTelemetryCollector: put what is under spec.config into"),
        ("mode: daemonset\nconfig: {receivers: {}}\n", "got the keys mode, config: put what is under config into a file"),
        ("dist: {name: x}\nreceivers: [gomod: x]\n", "0.yaml:1: expected .* got a list of parts for the Collector Builder"),
        ("receivers:\n  otlp:\n\tx: 1\n", "0.yaml:3: expected YAML: got a tab: indent with spaces"),
        ("receivers: {}: {}\n", "0.yaml:1: expected YAML: "),
        ("receivers:\n  otlp:\n  otlp:\n", "0.yaml:3: expected each key once, got 'otlp' again .first in line 2."),
        ("receivers: {}\n---\nreceivers: {}\n", "0.yaml:2: expected one YAML document"),
        ("receivers: []\n", "0.yaml:1: expected `receivers` to be a map, got a list"),
        ("receivers: {otlp: }\n", "0.yaml:1: expected a Collector configuration with service.pipelines"),
        ("receivers: {otlp: '${file:nowhere.yaml}'}\n", "0.yaml:1: expected the file nowhere.yaml to include"),
        ("receivers:\n  otlp: ${file:0.yaml}\n", "expected an include that ends"),
        ("receivers: " + "[" * 10_000, "expected at most 60 levels"),
        ("receivers: '" + "${env:A:-" * 10_000 + "}" * 10_000 + "'", "expected at most 20 references"),
        ("receivers: '" + "${" * 500_000 + "'", "expected a Collector configuration|expected `receivers`"),
        (_chain(), "expected fewer levels|expected at most"),
        (_bomb(), "expected at most 200,000 values"),
        ("receivers: &a [*a]", "expected an anchor that is complete"),
        ("? [a, b]\n: c\n", "expected text as a key, got a list"),
        ("receivers: !!python/object/apply:os.system [ls]\n", "expected `receivers` to be a map"),
    ],
)
def test_a_file_that_cannot_be_checked_says_why_and_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CollectorError, match=message):
        findings(tmp_path, text)


def test_the_command_prints_lines_or_json_and_its_exit_code_tells(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(CLEAN.replace("verbosity: basic", "verbosity: detailed"))
    result = CliRunner().invoke(app, ["collector", "check", str(path)])
    line = line_of(CLEAN, "verbosity: basic")
    assert (result.exit_code, result.stdout.startswith(f"{path}:{line}: detailed-debug: ")) == (1, True)
    result = CliRunner().invoke(app, ["collector", "check", "--json", str(path)])
    assert [(each["file"], each["line"], each["rule"]) for each in json.loads(result.stdout)] == [
        (str(path), line, "detailed-debug")
    ]
    path.write_text(CLEAN)
    assert CliRunner().invoke(app, ["collector", "check", str(path)]).exit_code == 0


def test_what_cannot_be_read_or_was_not_given_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusal(*files: Path) -> str:
        error = CliRunner().invoke(app, ["collector", "check", *map(str, files)]).exception
        assert isinstance(error, CollectorError)  # and `run` makes it exit code 2
        return str(error).replace(f"{tmp_path}/", "")

    (tmp_path / "binary").write_bytes(b"\x7fELF\xff\x00")
    assert refusal() == (
        "expected configurations of the Collector to check, got none: otel-autopilot collector check collector.yaml, "
        "or a base and its overlay: otel-autopilot collector check base.yaml overlay.yaml"
    )
    assert refusal(tmp_path / "none") == "none: expected a file that can be read, got: No such file or directory"
    assert refusal(tmp_path / "binary") == "binary: expected a file of YAML in UTF-8, got other bytes"
    assert refusal(tmp_path).endswith("expected a file of YAML, got a folder: name the files in it")
    assert refusal(Path("/dev/zero")) == "/dev/zero: expected at most 8,000,000 bytes of YAML, got more"
    monkeypatch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    assert refusal(tmp_path / "binary") == "binary: expected a file that can be read, got: Permission denied"


def test_line_ends_of_windows_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(CLEAN.replace("basic", "detailed # lint: allow detailed-debug because of it").replace("\n", "\r\n").encode())
    assert check([str(path)], variables={}) == []


def test_thousands_of_lines_are_taken(tmp_path: Path) -> None:
    statements = "".join(f'      - replace_pattern(span.name, "a{index}", "****")\n' for index in range(10_000))
    text = CLEAN.replace("    trace_statements:\n", "    trace_statements:\n" + statements)
    assert findings(tmp_path, text) == []


_WORDS = st.sampled_from(
    "receivers processors exporters connectors extensions service pipelines traces metrics otlp otlp/hop span_metrics tail_sampling "
    "policies type name and and_sub_policy sending_queue storage retry_on_failure endpoint tls insecure memory_limiter batch filter "
    "transform redaction telemetry readers pull exporter prometheus host 0.0.0.0 :4317 ${env:A} ${file:x} ${env:B:-${C}} $$ 5m 0 true".split()
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | _WORDS | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS, inner, max_size=5),
    max_leaves=40,
)
_SECTION = st.dictionaries(_WORDS, _VALUES, max_size=4)
_CONFIG = st.fixed_dictionaries(
    {
        "service": st.fixed_dictionaries(
            {"pipelines": st.dictionaries(_WORDS, _VALUES, max_size=4), "extensions": _VALUES, "telemetry": _VALUES}
        )
    },
    optional=dict.fromkeys(("receivers", "processors", "exporters", "connectors", "extensions"), _SECTION),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=_CONFIG.map(json.dumps) | _VALUES.map(json.dumps) | st.text() | st.binary().map(lambda each: each.decode("latin-1")))
def test_no_yaml_ends_in_a_traceback(tmp_path: Path, content: str) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(content, encoding="utf-8")
    with contextlib.suppress(CollectorError):
        check([str(path)], variables={})
