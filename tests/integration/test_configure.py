"""`configure` in processes of its own: what it sets up, what it says (nothing), and that it lets go in time."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest


def run(arguments: list[str], home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AUTOPILOT_", "XDG_"))}
    return subprocess.run(
        [sys.executable, *arguments], env={**environment, "XDG_DATA_HOME": str(home), **more},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def python(code: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return run(["-c", textwrap.dedent(code)], home, **more)


TRACE_ONE = """
import otel_autopilot, loguru, sys
loguru.logger.remove()
otel_autopilot.configure(service_name="mine")
with otel_autopilot.stage("email pipeline", root=True), otel_autopilot.stage("ingestion"):
    loguru.logger.info("read {} pages", 3)
"""


def test_spans_metrics_and_logs_are_in_the_embedded_store_after_the_process_ended(tmp_path: Path) -> None:
    done = python(TRACE_ONE, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    store = sqlite3.connect(tmp_path / "otel-autopilot" / "telemetry.db")
    assert sorted(name for (name,) in store.execute("SELECT name FROM spans")) == ["email pipeline", "ingestion"]
    ((body, trace_id),) = store.execute("SELECT body, trace_id FROM logs").fetchall()
    assert "read 3 pages" in str(body)
    assert trace_id == store.execute("SELECT trace_id FROM traces LIMIT 1").fetchone()[0]
    names = {name for (name,) in store.execute("SELECT DISTINCT name FROM series")}
    assert {"autopilot.stage.duration", "autopilot.email.duration", "process.memory.usage", "process.cpu.time"} <= names
    ((resource,),) = store.execute("SELECT attributes FROM resources WHERE id = (SELECT resource FROM spans LIMIT 1)").fetchall()
    assert json.loads(resource)["service.name"] == "mine"
    assert json.loads(resource)["service.instance.id"]
    assert oct((tmp_path / "otel-autopilot").stat().st_mode & 0o777) == "0o700"
    assert oct((tmp_path / "otel-autopilot" / "telemetry.db").stat().st_mode & 0o777) == "0o600"


def test_the_standard_variables_win_over_the_argument(tmp_path: Path) -> None:
    code = TRACE_ONE + "\nfrom opentelemetry import trace\nprint(trace.get_tracer_provider().resource.attributes['service.name'])"
    assert python(code, tmp_path, OTEL_SERVICE_NAME="theirs").stdout.strip() == "theirs"


@pytest.mark.parametrize("kind", ["refused", "black hole"])
def test_rule_stderr_nothing_is_written_and_shutdown_returns_in_time_with_a_dead_collector(tmp_path: Path, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1] if kind == "black hole" else 1
        code = TRACE_ONE + "\nimport time\nbegan = time.monotonic()\notel_autopilot.shutdown(1.0)\nprint(time.monotonic() - began)"
        began = time.monotonic()
        done = python(code, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
        took = time.monotonic() - began
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) < 10, "a limit of one second, with slack for a busy machine"
    assert took < 60
    assert not (tmp_path / "otel-autopilot" / "telemetry.db").exists()


def test_switched_off_it_imports_no_sdk_and_does_nothing(tmp_path: Path) -> None:
    code = TRACE_ONE + "\nprint([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    done = python(code, tmp_path, OTEL_SDK_DISABLED="true")
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
    assert not (tmp_path / "otel-autopilot").exists()


def test_a_second_call_returns_what_the_first_one_set_up(tmp_path: Path) -> None:
    code = "import otel_autopilot as a\nprint(a.configure(service_name='x') is a.configure(service_name='y'))"
    done = python(code, tmp_path)
    assert done.stdout.strip() == "True"
    assert "configure() was called before" in done.stderr
    same = python("import otel_autopilot as a\nprint(a.configure(service_name='x') is a.configure())", tmp_path)
    assert (same.stdout.strip(), same.stderr) == ("True", "")


def test_where_an_sdk_is_set_up_already_our_processors_join_it(tmp_path: Path) -> None:
    code = """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    theirs = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(theirs))
    trace.set_tracer_provider(provider)
    import otel_autopilot
    otel_autopilot.configure()
    with otel_autopilot.stage("digest"):
        pass
    print(trace.get_tracer_provider() is provider, [span.name for span in theirs.get_finished_spans()])
    """
    done = python(code, tmp_path)
    assert (done.stdout.strip(), done.stderr) == ("True ['digest']", "")
    store = sqlite3.connect(tmp_path / "otel-autopilot" / "telemetry.db")
    assert [name for (name,) in store.execute("SELECT name FROM spans")] == ["digest"]


def test_an_exporter_that_does_not_exist_is_named_with_those_that_do(tmp_path: Path) -> None:
    done = python("import otel_autopilot; otel_autopilot.configure()", tmp_path, OTEL_TRACES_EXPORTER="nonsense")
    assert "OTEL_TRACES_EXPORTER: expected one of" in done.stderr
    assert "autopilot" in done.stderr.splitlines()[-1]
    assert "'nonsense'" in done.stderr


@pytest.mark.parametrize(("variables", "exemplars"), [({}, True), ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, False)])
def test_rule_sampling_process_exemplars_are_off_where_traces_may_be_sampled_downstream(
    tmp_path: Path, variables: dict[str, str], exemplars: bool
) -> None:
    code = """
    import otel_autopilot
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    reader = InMemoryMetricReader()
    otel_autopilot.configure(metric_readers=[reader], runtime_metrics=False)
    with otel_autopilot.stage("digest"):
        pass
    (metric,) = [m for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics if m.name == "autopilot.stage.duration"]
    print(bool(metric.data.data_points[0].exemplars))
    otel_autopilot.shutdown(0.5)
    """
    assert python(code, tmp_path, **variables).stdout.strip() == str(exemplars)


def test_rule_sampling_is_off_by_default_and_head_sampling_drops_whole_traces(tmp_path: Path) -> None:
    assert python(TRACE_ONE, tmp_path, OTEL_TRACES_SAMPLER="always_off").returncode == 0
    database = tmp_path / "otel-autopilot" / "telemetry.db"
    assert not database.exists() or sqlite3.connect(database).execute("SELECT count(*) FROM spans").fetchone() == (0,)


def test_rule_identity_the_pseudonym_key_is_made_0600_and_kept(tmp_path: Path) -> None:
    code = """
    import otel_autopilot
    from otel_autopilot.telemetry.pseudonyms import pseudonym
    otel_autopilot.configure(runtime_metrics=False)
    print(pseudonym("<Id@Example.org>"))
    """
    first, second = python(code, tmp_path).stdout, python(code, tmp_path).stdout
    assert first == second != ""
    keys = [path for path in (tmp_path / "otel-autopilot").iterdir() if "key" in path.name]
    assert [oct(path.stat().st_mode & 0o777) for path in keys] == ["0o600"]
    assert python(code, tmp_path / "elsewhere").stdout != first


CHILDREN = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import otel_autopilot

def work(name, carrier, flush=False):
    if {own}:
        otel_autopilot.configure(service_name="mine")
    with otel_autopilot.stage(name, carrier=carrier):
        pass
    if flush:
        otel_autopilot.flush()

if __name__ == "__main__":
    otel_autopilot.configure(service_name="mine", runtime_metrics=False)
    context, carrier = multiprocessing.get_context("{method}"), {{}}
    with otel_autopilot.stage("email pipeline", root=True):
        otel_autopilot.inject(carrier)
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            for done in [executor.submit(work, "executor", carrier) for _ in range(3)]:
                done.result()
        pool = context.Pool(2)
        pool.starmap(work, [("closed pool", carrier)] * 3)
        pool.close()
        pool.join()
        with context.Pool(2) as pool:
            pool.starmap(work, [("terminated pool", carrier, True)] * 3)
        process = context.Process(target=work, args=("process", carrier))
        process.start()
        process.join()
        print(process.exitcode)
"""


@pytest.mark.parametrize(("method", "own"), [("fork", False), ("fork", True), ("forkserver", True), ("spawn", True)])
def test_spans_of_short_lived_children_arrive_below_their_parent(tmp_path: Path, method: str, own: bool) -> None:
    script = tmp_path / "script.py"  # spawn imports the main module anew
    script.write_text(CHILDREN.format(method=method, own=own), "utf-8")
    done = run([str(script)], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
    store = sqlite3.connect(tmp_path / "otel-autopilot" / "telemetry.db")
    counts = dict(store.execute("SELECT name, count(*) FROM spans GROUP BY name").fetchall())
    assert counts == {"email pipeline": 1, "executor": 3, "closed pool": 3, "terminated pool": 3, "process": 1}
    assert store.execute("SELECT count(*) FROM traces").fetchone() == (1,)


LOOPS = """
import asyncio, gc, time, weakref
import otel_autopilot
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
otel_autopilot.configure(metric_readers=[reader], runtime_metrics={runtime_metrics})

def lag():
    found = [m for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics if m.name == "autopilot.event_loop.lag"]
    return [(point.count, point.max) for metric in found for point in metric.data.data_points]

async def mail():
    for _ in range(3):
        with otel_autopilot.stage("digest"):
            pass

async def blocked_mail():
    await mail()
    await asyncio.sleep(0)
    time.sleep(0.5)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
"""


def test_the_lag_of_each_loop_that_a_stage_is_entered_in_is_measured_once(tmp_path: Path) -> None:
    code = """
    for _ in range(2):
        asyncio.run(blocked_mail())
    ((count, most),) = lag()
    print(2 <= count < 4, most >= 0.2)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(mail())
    loop.close()
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    print(gone())
    """
    done = python(LOOPS.format(runtime_metrics=True) + textwrap.dedent(code), tmp_path)
    assert (done.stdout, done.stderr) == ("True True\nNone\n", "")


def test_a_pause_between_two_runs_of_a_loop_is_no_lag(tmp_path: Path) -> None:
    code = """
    with asyncio.Runner() as runner:
        runner.run(mail())
        time.sleep(0.5)
        runner.run(mail())
        runner.run(asyncio.sleep(0))
        print(lag())
        runner.run(asyncio.sleep(0.6))
        print(len(lag()))
    """
    done = python(LOOPS.format(runtime_metrics=True) + textwrap.dedent(code), tmp_path)
    assert (done.stdout, done.stderr) == ("[]\n1\n", "")


def test_without_runtime_metrics_no_loop_is_watched(tmp_path: Path) -> None:
    done = python(LOOPS.format(runtime_metrics=False) + "\nasyncio.run(blocked_mail())\nprint(lag())", tmp_path)
    assert (done.stdout, done.stderr) == ("[]\n", "")
