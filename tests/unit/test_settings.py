"""Settings: where each value comes from, and what is said of a wrong one."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from otel_autopilot.errors import SettingsError
from otel_autopilot.settings import Settings, prepare_data_dir, unknown_variables


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file in force."""
    path = tmp_path / "config.toml"
    monkeypatch.setenv("AUTOPILOT_CONFIG_FILE", str(path))
    return path


def test_rule_settings_a_flag_wins_over_otel_over_autopilot_over_the_file_over_the_default(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings.load().service_name == "otel-autopilot"
    file.write_text('service_name = "file"\n')
    assert Settings.load().service_name == "file"
    monkeypatch.setenv("AUTOPILOT_SERVICE_NAME", "autopilot")
    assert Settings.load().service_name == "autopilot"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "otel")
    assert Settings.load().service_name == "otel"
    assert Settings.load(service_name="flag").service_name == "flag"


def test_origins_say_where_each_value_came_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("http_port = 1\nsmtp_port = 2\n")
    monkeypatch.setenv("AUTOPILOT_SMTP_PORT", "3")
    monkeypatch.setenv("AUTOPILOT_SMTP_HOST", "")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    origins = Settings.load(log_level="DEBUG").origins(log_level="DEBUG")
    assert origins["http_port"] == str(file)
    assert origins["smtp_port"] == "AUTOPILOT_SMTP_PORT"
    assert origins["smtp_host"] == "default"
    assert origins["collector"] == "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert origins["log_level"] == "flag"


@pytest.mark.parametrize("text", ["a@x.org,@y.org", " a@x.org , @y.org, ", '["a@x.org", "@y.org"]'])
def test_a_list_in_a_variable_is_comma_separated_or_json(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOPILOT_TRUSTED_SENDERS", text)
    assert Settings.load().trusted_senders == ("a@x.org", "@y.org")


def test_a_list_in_the_file_is_a_toml_list(file: Path) -> None:
    file.write_text('http_allowed_hosts = ["a.example", "b.example"]\n')
    assert Settings.load().http_allowed_hosts == ("a.example", "b.example")


def test_a_tilde_is_the_home_in_paths_and_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("AUTOPILOT_DATA_DIR", "~/data")
    monkeypatch.setenv("AUTOPILOT_WATCH", "~/Maildir,/var/mail")
    monkeypatch.setenv("AUTOPILOT_DELIVER_TO", "~/out,maildir:~/box,https://a.example/~x")
    settings = Settings.load()
    assert settings.data_dir == Path("/home/somebody/data")
    assert settings.watch == (Path("/home/somebody/Maildir"), Path("/var/mail"))
    assert settings.deliver_to == ("/home/somebody/out", "maildir:/home/somebody/box", "https://a.example/~x")


def test_a_wrong_value_names_its_variable_what_was_expected_and_what_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOPILOT_HTTP_PORT", "70000")
    with pytest.raises(SettingsError, match=r"^AUTOPILOT_HTTP_PORT: input should be less than or equal to 65535, got '70000'$"):
        Settings.load()


def test_a_wrong_flag_is_named_as_a_flag() -> None:
    with pytest.raises(SettingsError, match=r"^flag --http-port: .*, got 'many'$"):
        Settings.load(http_port="many")


def test_a_list_that_is_broken_json_says_both_ways_to_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOPILOT_DELIVER_TO", '["a')
    with pytest.raises(SettingsError, match=r"^AUTOPILOT_DELIVER_TO: expected a list as a,b or as JSON"):
        Settings.load()


def test_an_unknown_key_in_the_file_is_an_error_with_the_nearest_name(file: Path) -> None:
    file.write_text("htpp_port = 1\n")
    with pytest.raises(SettingsError, match=r"config\.toml: htpp_port: no such setting; did you mean http_port\?$"):
        Settings.load()


def test_a_file_that_is_not_toml_is_named(file: Path) -> None:
    file.write_text("http_port: 1\n")
    with pytest.raises(SettingsError, match=r"config\.toml: expected TOML"):
        Settings.load()


def test_an_unknown_variable_is_a_warning_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOPILOT_HTPP_PORT", "1")
    assert unknown_variables() == ["AUTOPILOT_HTPP_PORT is set and is no setting; did you mean AUTOPILOT_HTTP_PORT?"]


def test_the_variables_that_are_settings_give_no_warning(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOPILOT_HTTP_PORT", "1")
    assert unknown_variables() == []


def test_rule_settings_the_data_directories_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path / "a" / "data", work_dir=tmp_path / "b" / "work")
    prepare_data_dir(settings)
    assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "b" / "work").stat().st_mode) == 0o700
    prepare_data_dir(settings)


def test_a_data_directory_that_anybody_can_write_to_is_refused(tmp_path: Path) -> None:
    open_to_all = tmp_path / "data"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(SettingsError, match=r"got mode 0777; run `chmod 700 .*AUTOPILOT_DATA_DIR"):
        prepare_data_dir(Settings.load(data_dir=open_to_all))


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(SettingsError, match="AUTOPILOT_WORK_DIR"):
        prepare_data_dir(Settings.load(data_dir=tmp_path, work_dir=tmp_path / "data"))


@pytest.mark.parametrize("wrong", ["nonsense", "ftp://host:1", "http://", "host:port", "http://host:99999"])
def test_an_endpoint_that_nothing_could_be_sent_to_is_a_settings_error(wrong: str) -> None:
    with pytest.raises(SettingsError, match="expected http://HOST:PORT"):
        Settings.load(collector=wrong)


@pytest.mark.parametrize("right", ["http://127.0.0.1:4317", "https://collector.example", "collector:4317", "http://[::1]:4317"])
def test_an_endpoint_is_a_url_or_a_host_and_a_port(right: str) -> None:
    assert Settings.load(collector=right).collector == right
