"""Names of attributes that hold personal data or a secret whatever the value looks like: a subject or a name has no pattern.

The embedded receiver goes by them, and so does the Collector: ``collector/fragments/personal_keys.yaml`` is written from here.
"""

from __future__ import annotations

import re
from functools import lru_cache

#: As both RE2 and Python read them.
PERSONAL_NAMES = (
    r"(?i)^(enduser|user)[._](id|name|full_?name|email|hash|roles)$",
    # Addresses of hosts that aren't a person's stay: server.address, network.local.address, host.ip.
    r"(?i)(^|[._-])(client|remote|peer|source|src|user|visitor|caller)[._-]?(addr|(ip[._-]?)?address|ip[._-]?addr|ip|ipv[46])$",
    r"(?i)^(address(es)?|address[._-]?(line)?[._-]?[0-9]|ip|ip[._-]?addr(ess)?|url[._]query)$",
    r"(?i)(^|[._-])(postal|home|billing|shipping|mailing|delivery|street|customer|contact|person|sender|recipient)[._-]?address(es)?$",
    r"(?i)(^|[._-])(street([._-]?(name|number))?|birth[._-]?(date|day)|date[._-]of[._-]birth|dob|passport([._-]?(number|no|id))?)$",
    r"(?i)^(from|to|cc|bcc|reply[._-]?to)$|(^|[._-])(rcpt[._-]?to|mail[._-]?from)$",
    r"(?i)^http[._](request|response)[._]header[._](authorization|proxy-authorization|cookie|set-cookie|x-api-key|x-forwarded-for|forwarded|from|referer)$",
    r"(?i)(^|[._-])(e?mail|smtp|imap|message|envelope|headers?)[._-](from|to|cc|bcc|reply[._-]?to|sender|recipients?|subject|message[._-]?id|body|text|html)$",
    r"(?i)(^|[._-])(recipients?|sender|(first|last|full|given|family|display|file)[._-]?name|username|phone([._-]?number)?|telephone|mobile|iban|ssn)$",
    r"(?i)(^|[._-])(passwd|password|passphrase|pwd|secret|token|authorization|cookie|credentials?|session[._-]?id|([a-z]+[._-])*(api|access|secret|private)[._-]?key([._-]?id)?)$",
    r"(?i)(^|[._-]|mail|message)subject([._-]?(line|text))?$",
    r"(?i)(^|[._-]|user|customer|sender|recipient|contact|account|from|to|reply[._-]?to)[._-]?e?mail([._-]?address)?$",
    r"(?i)((^|[._-])(from|to)|user|customer|sender|recipient|contact|attachment|member|person)[._-]?name$",
    r"(?i)^(body|text|html|content)$",
    r"(?i)^gen_ai[.](input[.]messages|output[.]messages|prompt|completion|system_instructions|tool[.]call[.](arguments|result))$",
    r"(?i)^db[.](query|operation)[.]parameter",
    r"(?i)^(geo[.]|device[.]id$)",
)
_PERSONAL = re.compile("|".join(f"(?:{expression.removeprefix('(?i)')})" for expression in PERSONAL_NAMES), re.IGNORECASE)
#: Names that are remembered, and of how many characters at most; of longer ones only both ends are looked at.
_MOST_REMEMBERED, _LONGEST = 4096, 128


def is_personal(name: str) -> bool:
    """Whether the value of an attribute of this name is personal data or a secret by itself."""
    if len(name) <= _LONGEST:
        return _remembered(name)
    return _remembered(name[:_LONGEST]) or _remembered(f".{name[1 - _LONGEST :]}")


@lru_cache(_MOST_REMEMBERED)
def _remembered(name: str) -> bool:
    return _PERSONAL.search(name) is not None
