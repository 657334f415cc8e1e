"""Names of attributes that are personal by themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_autopilot.telemetry.personal_names import PERSONAL_NAMES, is_personal


@pytest.mark.parametrize(
    "name",
    [
        "enduser.id", "user.email", "User.Full_Name", "client.address", "http.request.header.authorization", "email.subject",
        "smtp.to", "customer_email", "password", "db.password", "aws.secret_access_key", "x-api-key", "session.id", "mail.body",
        "gen_ai.prompt", "db.query.parameter.0", "geo.country", "device.id", "attachment.name", "phone_number",
        "From", "To", "reply_to", "smtp.rcpt_to", "smtp.mail_from", "birthdate", "user.date_of_birth", "passport_number", "passport",
        "address", "address.line1", "billing_address", "street", "customer.street_name", "ip", "ip_address", "peer.address", "http.client_ip",
        "remote_addr", "client.ip", "net.sock.peer.addr", "network.peer.address", "peer.ipv4", "url.query", "X-Client-IP",
        "a" * 1000 + ".password", "db.query.parameter." + "a" * 1000,
    ],
)  # fmt: skip
def test_names_of_personal_data_and_secrets_are_known(name: str) -> None:
    assert is_personal(name)


@pytest.mark.parametrize(
    "name",
    ["service.name", "http.route", "url.path", "autopilot.stage", "db.system.name", "user_agent.original", "server.address",
     "network.local.address", "net.host.ip", "host.ip", "k8s.pod.ip", "source.path", "user_agent.name", "peer.service", "street_view.enabled",
     "address_family", "transition.from", "messaging.kafka.offset.to", "ip.version", "server.peers", "ownership", "url.query_count", "zip",
     "token_count", "exception.message", "code.function.name", "messaging.destination.name", ""],
)  # fmt: skip
def test_other_names_are_not(name: str) -> None:
    assert not is_personal(name)


def test_an_expression_is_written_in_what_both_engines_read() -> None:
    for expression in PERSONAL_NAMES:
        assert expression.startswith("(?i)")
        assert not any(more in expression for more in ("(?=", "(?!", "(?<", "\\", "++", "*+"))


@given(st.text(alphabet="ab._-", max_size=20), st.integers(1, 50_000))
def test_a_name_of_any_length_is_answered_for(piece: str, times: int) -> None:
    assert not is_personal(piece * times)
