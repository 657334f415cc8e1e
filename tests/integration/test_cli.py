"""The commands as a person and as a script run them."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import os
import signal
import smtplib
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from otel_autopilot.cli.demo_mail import demo_mail, hostile_mail, slow_mail

STAGES = ["email", "ingestion", "digest", "delivery"]
CHECKER = Path(__file__).parents[3] / "shared" / "tools" / "check_traces.py"


def environment(home: Path, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AUTOPILOT_", "XDG_"))}
    free = {"AUTOPILOT_OTLP_GRPC_PORT": "0", "AUTOPILOT_OTLP_HTTP_PORT": "0"}
    return {**clean, "HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "COLUMNS": "100", **free, **more}


def run(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "otel_autopilot", *arguments],
        env=environment(home, **more),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_whole(line: dict[str, Any]) -> None:
    spans = line["spans"]
    by_id = {span["span_id"]: span for span in spans}
    roots = [span for span in spans if span["parent_span_id"] is None]
    assert [root["name"] for root in roots] == ["email pipeline"]
    assert {span["trace_id"] for span in spans} == {line["trace_id"]}
    for span in spans:
        assert span["parent_span_id"] is None or span["parent_span_id"] in by_id
        assert span["start_unix_nano"] <= span["end_unix_nano"]


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    path = tmp_path / "demo.eml"
    path.write_bytes(demo_mail())
    return path


def test_trace_shows_a_waterfall_and_its_json_is_what_the_issue_promises(tmp_path: Path, mail: Path) -> None:
    shown = run(tmp_path, "trace", str(mail))
    assert shown.returncode == 0, shown.stderr
    assert "email pipeline  success" in shown.stdout
    assert all(stage in shown.stdout for stage in STAGES)
    assert "\x1b[" not in shown.stdout, "no colours into a pipe"
    assert max(len(line) for line in shown.stdout.splitlines()) <= 100
    done = run(tmp_path, "trace", str(mail), "--json", "--deliver-to", str(tmp_path / "out"))
    (line,) = lines(done)
    assert set(line) == {"file", "run_id", "trace_id", "outcome", "error", "digest", "deliveries", "spans"}
    assert (line["file"], line["outcome"], line["error"]) == (str(mail), "success", None)
    assert set(line["digest"]) == {"title", "markdown"}
    assert line["deliveries"] == [{"target": str(tmp_path / "out"), "outcome": "delivered", "error": None}]
    assert set(line["spans"][0]) == {
        "trace_id", "span_id", "parent_span_id", "name", "kind", "start_unix_nano", "end_unix_nano", "status", "attributes", "events",
        "links", "resource",
    }  # fmt: skip
    assert line["spans"][0]["kind"] == "SPAN_KIND_CONSUMER"
    assert line["spans"][0]["status"]["code"] == "STATUS_CODE_UNSET"
    assert_whole(line)
    below = [span["name"] for span in line["spans"] if span["parent_span_id"] == line["spans"][0]["span_id"]]
    assert below == STAGES
    assert list((tmp_path / "out").glob("*.md"))
    assert done.stderr == "", "progress goes away, nothing else is said"


def test_show_and_list_find_a_stored_trace_by_run_trace_and_message_id(tmp_path: Path, mail: Path) -> None:
    (line,) = lines(run(tmp_path, "trace", str(mail), "--json"))
    message_id = next(
        text.split(" ", 1)[1] for text in mail.read_text(errors="replace").splitlines() if text.startswith("Message-ID")
    )
    for key in (line["run_id"], line["run_id"][:10], line["trace_id"], message_id, message_id.strip("<> ")):
        found = run(tmp_path, "show", key, "--json")
        assert found.returncode == 0, (key, found.stderr)
        assert {span["span_id"] for span in lines(found)[0]["spans"]} == {span["span_id"] for span in line["spans"]}
    assert run(tmp_path, "show", "no-such-run").returncode == 1
    (row,) = lines(run(tmp_path, "list", "--json"))
    assert (row["run_id"], row["outcome"], row["spans"]) == (line["run_id"], "success", len(line["spans"]))
    assert line["run_id"][:12] in run(tmp_path, "list").stdout


def test_every_mail_of_cpythons_own_tests_gives_a_whole_trace_without_personal_data(tmp_path: Path) -> None:
    email_tests = pytest.importorskip("test.test_email", reason="this Python ships without its tests")
    data = Path(email_tests.__file__).parent / "data"
    done = run(tmp_path, "trace", str(data), "--json")
    for line in lines(done):
        assert_whole(line)
        assert line["outcome"] in ("success", "failed", "rejected")
        assert line["outcome"] == "success" or line["error"]["message"]
    if CHECKER.exists():
        (tmp_path / "lines.jsonl").write_text(done.stdout)
        mails = sorted(str(path) for path in data.glob("*.txt"))
        checked = subprocess.run(
            [sys.executable, str(CHECKER), str(tmp_path / "lines.jsonl"), *mails], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout


def test_a_folder_goes_on_past_mails_that_fail_and_the_exit_code_says_so(tmp_path: Path, mail: Path) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    (folder / "1.eml").write_bytes(demo_mail())
    (folder / "2.eml").write_bytes(hostile_mail())
    (folder / "3.eml").write_bytes(b"")
    (folder / "4.eml").write_bytes(demo_mail())
    (folder / "5.eml").write_bytes(demo_mail()[:-3000])
    done = run(tmp_path, "trace", str(folder), "--json", AUTOPILOT_WORKER_MEMORY_BYTES="200000000")
    assert done.returncode == 1
    outcomes = {Path(line["file"]).name: line for line in lines(done)}
    assert [outcomes[f"{number}.eml"]["outcome"] for number in (1, 2, 3, 4)] == ["success", "failed", "failed", "success"]
    assert outcomes["2.eml"]["error"]["stage"] == "ingestion"
    assert outcomes["3.eml"]["error"]["type"] == "EmailError"
    assert "5 of 5 mails traced" in done.stderr
    for line in outcomes.values():
        assert_whole(line)
    listed = run(
        tmp_path, "trace", *(str(folder / f"{number}.eml") for number in range(1, 5)), AUTOPILOT_WORKER_MEMORY_BYTES="200000000"
    )
    assert listed.stdout.count("success") == 2


def test_an_mbox_names_its_mails_by_number(tmp_path: Path) -> None:
    box = tmp_path / "archive.mbox"
    separator = b"From grace@example.com Thu Nov 19 10:00:00 2026\n"
    body = demo_mail().replace(b"\r\n", b"\n")
    box.write_bytes(separator + body + b"\n" + separator + body)
    assert [line["file"] for line in lines(run(tmp_path, "trace", str(box), "--json"))] == [f"{box}#1", f"{box}#2"]


def test_a_delivery_that_failed_is_listed_with_its_target_and_its_error(tmp_path: Path, mail: Path) -> None:
    done = run(
        tmp_path, "trace", str(mail), "--json", "--deliver-to", str(mail / "no folder"), AUTOPILOT_STAGE_ATTEMPTS="1"
    )  # fmt: skip
    (line,) = lines(done)
    assert (done.returncode, line["outcome"], line["error"]["stage"]) == (1, "failed", "delivery")
    (delivery,) = line["deliveries"]
    assert (delivery["target"], delivery["outcome"]) == (str(mail / "no folder"), "failed")
    assert "Not a directory" in delivery["error"]


@pytest.mark.parametrize("encoding", ["utf-8:strict", "latin-1", "ascii"])
def test_no_name_and_no_locale_ends_a_run(tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    content = "Subject: Größe 漢字 😀\n\nDie Größe des Archivs ist 漢字 und 😀 genug.\n".encode()
    for name in (b"a.eml", b"b\xff.eml", b"c.eml"):
        (folder / os.fsdecode(name)).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "otel_autopilot", "trace", str(folder), "--json"],
        env=environment(tmp_path, PYTHONIOENCODING=encoding), capture_output=True, timeout=150, check=False,
    )  # fmt: skip
    found = [json.loads(line.decode("utf-8")) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert [line["outcome"] for line in found] == ["success"] * 3
    assert found[0]["digest"]["title"] == "Größe 漢字 😀"
    text = subprocess.run(
        [sys.executable, "-m", "otel_autopilot", "trace", str(folder / "a.eml")],
        env=environment(tmp_path, PYTHONIOENCODING=encoding), capture_output=True, timeout=150, check=False,
    )  # fmt: skip
    assert text.returncode == 0, text.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("trace", "/no/such/mail"), "there is nothing by that name"),
        (("trace", "{mail}", "--deliver-to", "ftp://example.org"), "expected a folder, maildir:PATH, smtp://host:port"),
        (("trace",), "SOURCE"),
        (("nonsense",), "No such command"),
        (("demo", "--fault", "nonsense"), "worker-killed"),
        (("trace", "{mail}", "--collector", "nonsense"), "expected http://HOST:PORT"),
        (("trace", "{mail}", "--skip", "1"), "expected less than the 1 mails"),
        (("list", "--outcome", "nonsense"), "rejected"),
    ],
)
def test_wrong_use_is_exit_code_2_and_says_what_was_expected(
    tmp_path: Path, mail: Path, arguments: tuple[str, ...], expected: str
) -> None:
    done = run(tmp_path, *(argument.format(mail=mail) for argument in arguments))
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_rule_settings_a_bad_variable_is_named_with_what_came(tmp_path: Path, mail: Path) -> None:
    done = run(tmp_path, "trace", str(mail), AUTOPILOT_PDF_MAX_PAGES="many")
    assert done.returncode == 2
    assert "AUTOPILOT_PDF_MAX_PAGES" in done.stderr
    assert "'many'" in done.stderr


def test_a_routing_rule_that_names_no_workflow_is_refused_at_the_start(tmp_path: Path, mail: Path) -> None:
    rules = tmp_path / "routes.yaml"
    rules.write_text("rules:\n- {name: all, workflow: invoices, subject_contains: e}\n")
    done = run(tmp_path, "trace", str(mail), AUTOPILOT_ROUTES_FILE=str(rules))
    assert done.returncode == 2
    assert done.stderr.endswith(f"{rules}: expected workflows that there are (email-digest), got invoices\n")


def test_doctor_prints_settings_with_their_origin_and_what_is_reachable(tmp_path: Path) -> None:
    done = run(
        tmp_path, "doctor", "--json", AUTOPILOT_SMTP_PORT="2626", OTEL_SERVICE_NAME="mine", AUTOPILOT_SERVICE_NAME="not-this"
    )
    report = json.loads(done.stdout)
    assert report["settings"]["smtp_port"] == {"value": 2626, "origin": "AUTOPILOT_SMTP_PORT"}
    assert report["settings"]["service_name"] == {"value": "mine", "origin": "OTEL_SERVICE_NAME"}
    assert report["settings"]["http_port"]["origin"] == "default"
    assert {check["name"] for check in report["checks"]} >= {"Data directory", "Trace store", "SMTP gateway", "API"}
    assert run(tmp_path, "doctor", AUTOPILOT_COLLECTOR="http://127.0.0.1:1").returncode == 1


def test_ctrl_c_finishes_the_mails_under_way_and_says_how_to_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number:04}.eml").write_bytes(demo_mail())
    written = tmp_path / "lines.jsonl"
    with (
        written.open("wb") as out,
        subprocess.Popen(
            [sys.executable, "-m", "otel_autopilot", "trace", str(folder), "--json"],
            env=environment(tmp_path), stdout=out, stderr=subprocess.PIPE, text=True,
        ) as process,
    ):  # fmt: skip
        while process.poll() is None and b"\n" not in written.read_bytes():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    done = [json.loads(line) for line in written.read_text().splitlines()]
    assert process.returncode == 130
    assert 0 < len(done) < 300
    assert f"go on with --skip {len(done)}" in stderr
    assert "Traceback" not in stderr
    for line in done:
        assert_whole(line)


def test_a_collector_that_is_away_is_reported_and_harms_no_mail(tmp_path: Path, mail: Path) -> None:
    done = run(tmp_path, "trace", str(mail), "--json", "--collector", "http://127.0.0.1:1", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    assert done.returncode == 0
    assert_whole(lines(done)[0])
    assert "could not be sent to http://127.0.0.1:1" in done.stderr
    assert not (tmp_path / "data" / "otel-autopilot" / "telemetry.db").exists()
    (told,) = [line for line in run(tmp_path, "doctor").stdout.splitlines() if "spans:" in line and "exported" in line]
    assert f"{len(lines(done)[0]['spans'])} dropped" in told


@contextmanager
def serving(home: Path, deliver_to: str | None = None, **more: str) -> Iterator[dict[str, Any]]:
    ready = home / "ready.json"
    ready.unlink(missing_ok=True)
    with (home / "serve.log").open("ab") as log, subprocess.Popen(
        [sys.executable, "-m", "otel_autopilot", "serve", "--http-port", "0", "--smtp-port", "0", "--ready-file", str(ready), "--deliver-to", deliver_to or str(home / "out")],
        env=environment(home, **more), stdout=subprocess.DEVNULL, stderr=log,
    ) as process:  # fmt: skip
        try:
            wait_for(lambda: ready.exists() or process.poll() is not None, "serve to start")
            assert process.poll() is None, (home / "serve.log").read_text()
            yield {**json.loads(ready.read_text()), "process": process}
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(60)


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.02)
    return result


def get(service: dict[str, Any], path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{service['http_port']}{path}", timeout=10) as answer:
        return json.load(answer)


def send(service: dict[str, Any], content: bytes) -> str:
    with smtplib.SMTP("127.0.0.1", service["smtp_port"], timeout=60) as client:
        client.ehlo()
        client.mail("grace@example.com")
        client.rcpt("inbox@example.org")
        code, answer = client.data(content)
    assert code == 250, answer
    return answer.decode().split()[-1]


def finished(service: dict[str, Any], run_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = get(service, f"/api/runs/{run_id}")
        return found if found["outcome"] is not None else None

    result: dict[str, Any] = wait_for(look, "the run to end")
    return result


@pytest.mark.timeout(240)
def test_rule_durability_a_mail_is_not_lost_when_serve_is_killed_right_after_250(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        run_id = send(service, demo_mail())
        service["process"].kill()
        service["process"].wait()
    with serving(tmp_path) as service:
        assert finished(service, run_id)["outcome"] == "success"
    (line,) = [line for line in lines(run(tmp_path, "show", run_id, "--json")) if line["spans"][0]["name"] == "email pipeline"]
    assert_whole(line)
    assert len(list((tmp_path / "out").glob("*.md"))) == 1


@pytest.mark.timeout(240)
def test_children_of_serve_that_are_killed_are_replaced_and_mail_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        children = {
            kind: [child for child in psutil.Process(service["pid"]).children(recursive=True) if kind in " ".join(child.cmdline())]
            for kind in ("spawn_main", "forkserver")
        }
        for child in (*children["spawn_main"], *children["forkserver"]):
            child.kill()

        def ready() -> bool:
            with contextlib.suppress(urllib.error.HTTPError):
                return bool(get(service, "/health/ready")["status"] == "ready")
            return False

        assert not ready()
        wait_for(ready, "another gateway")
        assert finished(service, send(service, demo_mail()))["outcome"] == "success"
    log = (tmp_path / "serve.log").read_text()
    assert "the SMTP gateway's process has died; it is started again" in log
    assert "Traceback" not in log


@pytest.mark.timeout(300)
def test_rule_durability_killed_in_the_middle_of_a_pdf_the_trace_is_whole_and_shows_the_lost_attempt(tmp_path: Path) -> None:
    def reading(service: dict[str, Any], run_id: str) -> bool:
        stages = get(service, f"/api/runs/{run_id}")["stages"]
        return any(attempt["stage"] == "ingestion" and attempt["ended_unix_nano"] is None for attempt in stages)

    with serving(tmp_path) as service:
        run_id = send(service, slow_mail(2_000))
        wait_for(lambda: reading(service, run_id), "ingestion to begin")
        service["process"].kill()
        service["process"].wait()
    with serving(tmp_path) as service:
        done = finished(service, run_id)
    assert done["outcome"] == "success"
    (line,) = lines(run(tmp_path, "show", run_id, "--json"))
    assert_whole(line)
    lost = [span for span in line["spans"] if span["attributes"].get("autopilot.attempt.lost")]
    assert [span["name"] for span in lost] == ["ingestion"]
    attempts = [span["attributes"]["autopilot.attempt"] for span in line["spans"] if span["name"] == "ingestion"]
    assert sorted(attempts) == [1, 2]


@pytest.mark.timeout(240)
def test_rule_indicators_serve_answers_the_same_mail_with_its_run_and_its_indicators_start_at_zero(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        with urllib.request.urlopen(f"http://127.0.0.1:{service['http_port']}/metrics", timeout=10) as answer:
            before = answer.read().decode()
        assert "autopilot_emails_received_total{" in before, "rule: every series starts at 0 before the first mail"
        mail = demo_mail()
        run_id = send(service, mail)
        assert finished(service, run_id)["outcome"] == "success"
        assert send(service, mail) == run_id
        request = urllib.request.Request(
            f"http://127.0.0.1:{service['http_port']}/api/emails", data=demo_mail(), headers={"Content-Type": "message/rfc822"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 202
            other = json.load(answer)["run_id"]
        assert finished(service, other)["outcome"] == "success"
        with urllib.request.urlopen(f"http://127.0.0.1:{service['http_port']}/metrics", timeout=10) as answer:
            after = answer.read().decode()
        assert "autopilot_event_loop_lag_seconds_bucket{" in after
        received = [line for line in after.splitlines() if line.startswith("autopilot_emails_received_total{")]
        assert received
        assert received[0].endswith(" 2.0")
        busy = run(
            tmp_path,
            "serve",
            "--http-port",
            str(service["http_port"]),
            AUTOPILOT_DATA_DIR=str(tmp_path / "other"),
            AUTOPILOT_SMTP_PORT="0",
        )
        assert busy.returncode == 2
        assert "AUTOPILOT_HTTP_PORT" in busy.stderr
        locked = run(tmp_path, "serve", "--http-port", "0", "--smtp-port", "0")
        assert "runs the engine on this data directory" in locked.stderr
    assert "Callback failed" not in run(tmp_path, "doctor").stdout, "the last counts are read before the store is closed"
    listed = [row["run_id"] for row in lines(run(tmp_path, "list", "--json"))]
    assert sorted(listed) == sorted([run_id, other]), "server spans are traces of their own and no emails"
    assert len(lines(run(tmp_path, "list", "--all", "--json"))) > 2
    (line,) = lines(run(tmp_path, "show", run_id, "--json"))
    assert_whole(line)
    root = line["spans"][0]
    assert len(root["links"]) == 1, "rule: the SMTP server span is a trace of its own, linked"
    erased = run(tmp_path, "erase", run_id, "--json")
    assert json.loads(erased.stdout)["runs"] == 1


class SlowToGreet(socketserver.ThreadingTCPServer):
    """A mail server that greets when it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.Conversation)
        self.reached, self.greet, self.over = threading.Event(), threading.Event(), threading.Event()
        self.commands: list[str] = []

    class Conversation(socketserver.StreamRequestHandler):
        server: SlowToGreet

        def handle(self) -> None:
            self.server.reached.set()
            self.server.greet.wait(60)
            try:
                self.wfile.write(b"220 at last\r\n")
                for line in self.rfile:
                    command = line.decode().split()[0]
                    self.server.commands.append(command)
                    self.wfile.write({"DATA": b"354 go on\r\n", "QUIT": b"221 bye\r\n"}.get(command, b"250 fine\r\n"))
            except ConnectionError:
                return
            finally:
                self.server.over.set()


@contextmanager
def slow_to_greet() -> Iterator[SlowToGreet]:
    with SlowToGreet() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.greet.set()
            server.shutdown()


@pytest.mark.timeout(240)
def test_rule_retention_what_is_erased_while_delivery_connects_is_not_sent_and_its_trace_is_whole(tmp_path: Path) -> None:
    with slow_to_greet() as server:
        target = f"smtp://127.0.0.1:{server.server_address[1]}?to=bob@example.org"
        with serving(tmp_path, target) as service:
            run_id = send(service, demo_mail())
            assert server.reached.wait(60)
            erased = run(tmp_path, "erase", run_id)
            assert erased.returncode == 0, erased.stderr
            assert erased.stdout.startswith("erased 1 runs")
            assert "may arrive" not in erased.stdout
            kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*.db*"))
            subject = str(email.message_from_bytes(demo_mail(), policy=email.policy.default)["Subject"]).encode()
            assert subject not in kept, "neither in the tables nor in what SQLite leaves beside them"
            server.greet.set()
            assert server.over.wait(60)
            ended = wait_for(
                lambda: (found := get(service, f"/api/runs/{run_id}"))["finished_unix_nano"] and found, "the run to end"
            )
    assert "DATA" not in server.commands
    assert (ended["state"], ended["outcome"], ended["error"]["type"]) == ("cancelled", "failed", "Cancelled")
    (line,) = lines(run(tmp_path, "show", run_id, "--json"))
    assert_whole(line)
    (listed,) = lines(run(tmp_path, "list", "--json"))
    assert (listed["run_id"], listed["outcome"]) == (run_id, "failed")
    said = (tmp_path / "serve.log").read_text()
    assert "Traceback" not in said
    assert "begins anew" not in said


@pytest.mark.timeout(300)
def test_rule_durability_a_run_that_is_left_by_a_drain_is_not_failed_by_the_end_of_its_worker_and_nothing_leaks(
    tmp_path: Path,
) -> None:
    def reading(service: dict[str, Any], run_id: str) -> bool:
        stages = get(service, f"/api/runs/{run_id}")["stages"]
        return any(attempt["stage"] == "ingestion" and attempt["ended_unix_nano"] is None for attempt in stages)

    with serving(tmp_path, AUTOPILOT_DRAIN_SECONDS="0.1") as service:
        run_id = send(service, slow_mail(2_000))
        wait_for(lambda: reading(service, run_id), "ingestion to begin")
        service["process"].terminate()
        assert service["process"].wait(60) == 1
    assert "some runs were still under way" in (tmp_path / "serve.log").read_text()
    with serving(tmp_path) as service:
        done = finished(service, run_id)
    assert done["outcome"] == "success"
    assert [attempt["outcome"] for attempt in done["stages"] if attempt["stage"] == "ingestion"] == ["lost", "success"]
    assert "resource_tracker" not in (tmp_path / "serve.log").read_text()


def test_the_viewer_is_mounted_by_serve_and_view_beside_it_shares_its_store(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        run_id = send(service, demo_mail())
        assert finished(service, run_id)["outcome"] == "success"
        with urllib.request.urlopen(f"http://127.0.0.1:{service['http_port']}/", timeout=10) as answer:
            assert answer.url.endswith("/view/"), "who opens the address of the API in a browser sees emails"
        wait_for(
            lambda: [trace["run_id"] for trace in get(service, "/view/api/traces")["traces"]] == [run_id], "the email to be listed"
        )
        assert get(service, "/view/api/state")["receiver"] == service["receiver"]
        (of_this,) = [process for process in get(service, "/view/api/health")["processes"] if process["source"] == "this process"]
        assert of_this["signals"]["spans"]["produced"] > 0
        ready = tmp_path / "view.json"
        with subprocess.Popen(
            [sys.executable, "-m", "otel_autopilot", "view", "--port", "0", "--ready-file", str(ready)],
            env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ) as beside:  # fmt: skip
            wait_for(lambda: ready.exists() or beside.poll() is not None, "view to start")
            told = json.loads(ready.read_text())
            assert told["receiver"] == service["receiver"], "serve receives for both"
            assert [trace["run_id"] for trace in get({"http_port": told["view_port"]}, "/view/api/traces")["traces"]] == [run_id]
            beside.terminate()
            assert beside.wait(30) == 0
        names = {trace["name"] for trace in get(service, "/view/api/traces?kind=all")["traces"]}
        assert not [name for name in names if "/view" in name], "who looks at traces makes none"


def test_a_demo_does_not_mind_who_listens_on_the_ports_of_otlp(tmp_path: Path) -> None:
    with ExitStack() as stack:
        for port in (4317, 4318):
            with suppress(OSError):  # somebody does already
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        done = subprocess.run(
            [sys.executable, "-m", "otel_autopilot", "demo"], capture_output=True, text=True, check=False, timeout=150,
            env={name: value for name, value in environment(tmp_path).items() if not name.startswith("AUTOPILOT_OTLP")},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "otel-autopilot view --open" in done.stdout
