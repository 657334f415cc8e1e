"""Of a server's reply only the server's own words are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_autopilot.pipeline.delivery.server_words import LONGEST, servers_words


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("4.3.2 system not accepting mail", "4.3.2 system not accepting mail"),
        ("5.1.1 <Ann.Lee@example.org>: unknown user", "5.1.1 … unknown user"),
        ("ann.lee: no such user", "… no such user"),
        ("see http://spf.example/why?id=ann.lee%40example.org&ip=1", "see …"),
        ("2.0.0\nmailbox\r\nfull", "2.0.0 mailbox full"),
        ("\x1b[31mred\x00", ""),
        ('found "Kumquat with Persimmon" in the header', "found … with … in the header"),
        ("D =?utf-8?q?Merger_of_Kumquat_with_", ""),
        ("Attachplant Salaries ?mlaut Kowalski.pdf is not allowed", "… is not allowed"),
        ("call +49 176 55512345 or 030/5551234", "… or …"),
        ("Message rejected: policy, try again later.", "Message rejected: policy, try again later."),
        ("", ""),
    ],
)
def test_rule_personal_data_what_is_not_a_servers_word_is_left_out(said: str, shown: str) -> None:
    assert servers_words(said) == shown


@given(st.text(max_size=600))
def test_whatever_a_server_says_it_is_bounded_and_printable(said: str) -> None:
    shown = servers_words(said)
    assert len(shown) <= LONGEST + 2
    assert shown.isprintable()
