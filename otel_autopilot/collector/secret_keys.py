"""Which settings hold a secret, by their names."""

from __future__ import annotations

import re

#: A setting's whole name, or its end, when its value is a secret.
_SECRET = re.compile(
    r"(^|_)(token|tokens|password|passwd|api_?key|bearer_?token|client_secret|secret|secret_key|access_key|auth_key|license_key"
    r"|ingest_key|hmac_key|private_key|key_pem|authorization|credentials_json|connection_string|sasl_password)$"
)
#: Headers carry secrets under names of the vendors' making.
_SECRET_HEADER = re.compile(r"(token|key|secret|authoriz|(^|_)auth(_|$)|password|credential|cookie|team)")
#: Settings that say only together with the one around them that they hold a secret: Datadog's, basicauth's, and a Prometheus scrape's.
_SECRET_PAIRS = (("api", "key"), ("htpasswd", "inline"), ("authorization", "credentials"))


def holds_secret(keys: tuple[str, ...]) -> bool:
    """Whether the value behind a path of keys is a secret."""
    last = re.sub(r"[^a-z0-9]+", "_", keys[-1].lower())
    if len(keys) > 1 and keys[-2] == "headers":
        return _SECRET_HEADER.search(last) is not None
    return _SECRET.search(last) is not None or keys[-2:] in _SECRET_PAIRS
