"""Targets as users write them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_autopilot.errors import SettingsError
from otel_autopilot.pipeline.delivery import targets
from otel_autopilot.pipeline.delivery.targets import parse_target


def test_a_folder_is_a_path_and_stays_where_it_was_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = parse_target("digests")
    assert (target.kind, target.name, target.path) == ("folder", "digests", tmp_path / "digests")
    assert target.key == str(tmp_path / "digests")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("file:///srv/my%20digests", "/srv/my digests"),
        ("file://localhost/srv/digests", "/srv/digests"),
        ("maildir:/srv/mail", "/srv/mail"),
        ("maildir:///srv/mail", "/srv/mail"),
        ("~/digests", str(Path.home() / "digests")),
    ],
)
def test_folders_and_maildirs(text: str, path: str) -> None:
    assert str(parse_target(text).path) == path
    assert parse_target(text).kind == ("maildir" if text.startswith("maildir") else "folder")


@pytest.mark.parametrize(
    ("text", "name", "host", "port", "tls"),
    [
        ("smtp://mail.example.org", "smtp://mail.example.org:25", "mail.example.org", 25, False),
        ("smtp://mail.example.org:587", "smtp://mail.example.org:587", "mail.example.org", 587, False),
        ("smtps://mail.example.org", "smtps://mail.example.org:465", "mail.example.org", 465, True),
        ("smtp://[::1]:2525", "smtp://[::1]:2525", "::1", 2525, False),
        ("SMTP://MAIL.example.org", "smtp://mail.example.org:25", "mail.example.org", 25, False),
    ],
)
def test_smtp_servers(text: str, name: str, host: str, port: int, tls: bool) -> None:
    target = parse_target(text)
    assert (target.kind, target.name, target.host, target.port, target.tls) == ("smtp", name, host, port, tls)


def test_recipients_are_named_with_to_and_a_plus_sign_stays_one() -> None:
    target = parse_target("smtp://mail.example.org?to=ops+digest@example.org,%20bob@example.org&to=eve@example.org")
    assert target.recipients == ("ops+digest@example.org", "bob@example.org", "eve@example.org")
    assert "@" not in target.name + target.key


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://example.org/hook", "https://example.org/hook"),
        ("https://example.org:8443/hook?token=s3cret", "https://example.org:8443/hook"),
        ("http://127.0.0.1:8080/hook", "http://127.0.0.1:8080/hook"),
        ("http://localhost/hook", "http://localhost/hook"),
        ("http://[::1]:8080/hook", "http://[::1]:8080/hook"),
        ("https://hooks.example.org/services/T0/B0/s3cretS3cretS3cretS3cret", "https://hooks.example.org/services/T0/B0/..."),
    ],
)
def test_a_webhook_shows_neither_its_query_nor_what_may_be_a_secret_in_its_path(text: str, name: str) -> None:
    target = parse_target(text)
    assert (target.kind, target.name, target.url) == ("webhook", name, text)
    assert "s3cret" not in repr(target) + str(target) + target.key


def test_webhooks_apart_only_in_query_or_secret_have_different_keys_and_the_same_one_the_same() -> None:
    keys = [
        parse_target(f"https://example.org/{rest}").key
        for rest in ("hook", "hook?a=1", "hook?a=2", "hook/s3cretS3cretS3cretS3cretA", "hook/s3cretS3cretS3cretS3cretB")
    ]
    assert len(set(keys)) == 5
    assert keys[0] == "https://example.org/hook"
    assert parse_target("https://example.org/hook?a=1").key == keys[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "got an empty one"),
        ("  ", "got an empty one"),
        (".", "without a path"),
        ("maildir:", "'maildir:' without a path"),
        ("ftp://example.org", "got the scheme 'ftp'"),
        ("https:/example.org/hook", "got https: without //"),
        ("mailto:ann@example.org", "got mailto: without //"),
        ("smtp://", "without a host"),
        ("https:///hook", "without a host"),
        ("smtp://mail.example.org:99999", "can't be read"),
        ("smtp://mail.example.org?to=", "expected ?to= with addresses"),
        ("smtp://mail.example.org?to=ann", "expected ?to= with addresses"),
        ("smtp://mail.example.org?to=ann@example.org%0d%0aRCPT", "expected ?to= with addresses"),
        ("smtp://mail.example.org?too=ann@example.org", "nothing else, got ?too="),
        ("http://example.org/hook", "http is for loopback only"),
        ("http://127.0.0.1.example.org/hook", "http is for loopback only"),
        ("file://srv/digests", "three slashes, got the host 'srv'"),
    ],
)
def test_what_is_no_target_says_what_was_expected_and_what_came(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_target(text)
    assert str(raised.value).startswith("delivery target")
    assert said in str(raised.value)


@pytest.mark.parametrize("text", ["smtp://grace:s3cret@mail.example.org", "https://grace:s3cret@example.org/hook"])
def test_credentials_in_a_url_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SettingsError, match="credentials don't belong into a URL") as raised:
        parse_target(text)
    assert "s3cret" not in str(raised.value)
    assert "grace" not in str(raised.value)


def test_a_file_where_a_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for text in (f"{tmp_path}/file", f"maildir:{tmp_path}/file", f"file://{tmp_path}/file"):
        with pytest.raises(SettingsError, match="which is a file"):
            parse_target(text)


def test_a_user_without_a_name_has_no_local_mailbox(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_001)
    assert targets.local_recipient() == []


def said_of(text: str) -> str:
    """The error, or nothing when it is a target."""
    try:
        parse_target(text)
    except SettingsError as error:
        return f"{error} {error.__cause__}"
    return ""


@pytest.mark.parametrize("text", ["smtp://grace:pa55word", "smtp://grace:pa55word@h\u2100st", "https://grace:pa55word@[::1/hook"])
def test_a_url_that_can_not_be_read_is_not_repeated(text: str) -> None:
    assert "host or port can't be read" in said_of(text)
    assert "pa55word" not in said_of(text)


@given(st.text(max_size=40), st.sampled_from(["smtp", "smtps", "https", "http", "file", "ftp", ""]), st.text(max_size=40))
def test_whatever_is_written_is_a_target_or_a_setting_that_is_wrong_and_a_password_shows_in_neither(
    before: str, scheme: str, after: str
) -> None:
    text = f"{before}{scheme}://grace:pa55word@{after}"
    shown = ""
    with contextlib.suppress(SettingsError):
        target = parse_target(text)
        shown = "" if target.path is not None else repr(target) + target.key
    assert "pa55word" not in shown + said_of(text)
