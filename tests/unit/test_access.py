"""Who is let in: sessions of a browser that showed the token once."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_autopilot.settings import Settings
from otel_autopilot.web.access import AccessPolicy

TOKEN = "0123456789abcdef0123"


def policy(tmp_path: Path, token: str | None = TOKEN) -> AccessPolicy:
    file = tmp_path / "token"
    file.write_text(token or "")
    return AccessPolicy.from_settings(Settings(data_dir=tmp_path, api_token_file=file if token else None))


def test_a_session_is_good_where_its_token_is_and_tells_nothing_of_it(tmp_path: Path) -> None:
    one = policy(tmp_path)
    session = one.session()
    assert one.in_session(session)
    assert TOKEN not in session
    assert one.refusal(host="any", origin=None, fetch_site=None, authorization=None, session=session) is None
    assert not policy(tmp_path, TOKEN + "4").in_session(session)


@pytest.mark.parametrize("cookie", [None, "", ".", "1", "1.", ".a", "²²²²²²²²²².a", "-1.a", "9" * 5_000 + ".a", "1.é"])
def test_anything_else_is_no_session(tmp_path: Path, cookie: str | None) -> None:
    one = policy(tmp_path)
    assert not one.in_session(cookie)
    refused = one.refusal(host="127.0.0.1", origin=None, fetch_site=None, authorization=None, session=cookie)
    assert refused is not None
    assert refused.status == 401


def test_a_session_ends_when_its_time_is_over_or_was_changed(tmp_path: Path) -> None:
    one = policy(tmp_path)
    expires, _, signature = one.session().partition(".")
    assert not one.in_session(f"{int(expires) + 1}.{signature}")
    assert not one.in_session(f"1000000000.{one._signature(1_000_000_000)}")


def test_without_a_token_there_is_no_session(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="token"):
        policy(tmp_path, None).session()
    assert not policy(tmp_path, None).in_session("1.a")
