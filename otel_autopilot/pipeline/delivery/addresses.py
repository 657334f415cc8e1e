"""What counts as an address, and as being on a list of addresses: decisions, without effects."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import parseaddr

#: Longest address (RFC 5321 section 4.5.3.1.3, without the angle brackets).
LONGEST_ADDRESS = 254

# What an address could smuggle: blanks and controls end a command or a header line, quotes and commas make two of one, and ! and
# a second @ are routes.
_FORBIDDEN = re.compile(r'[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff<>()\[\]",:;\\!]')


def is_address(text: str) -> bool:
    """Whether a text is one plain address, ``local@domain``, that means the same in a header and in an SMTP command.

    Quoted local parts and address literals are legal (RFC 5321 section 4.1.2) and not taken: nobody is reached by them only.
    """
    local, at, domain = text.rpartition("@")
    return (
        bool(local and at and domain)
        and "@" not in local
        and len(text) <= LONGEST_ADDRESS
        and _FORBIDDEN.search(text) is None
        and not domain.startswith((".", "-"))
        and ".." not in text
        and parseaddr(text)[1] == text
    )


def same(one: str, other: str) -> bool:
    """Whether two addresses are one, as everybody takes them: without regard to case."""
    return one.casefold() == other.casefold()


def on_list(address: str, allowed: Iterable[str]) -> bool:
    """Whether an address is on a list of addresses and @domains. A domain does not stand for those below it."""
    domain = address.rpartition("@")[2]
    return any(same(item, address) or (item.startswith("@") and same(item[1:], domain)) for item in allowed)


def with_ascii_domain(address: str) -> str:
    """The address with its domain as DNS has it (IDNA), where that is all it takes to make it ASCII; else as it is."""
    local, at, domain = address.rpartition("@")
    try:
        return f"{local}{at}{domain.encode('idna').decode()}" if local.isascii() else address
    except UnicodeError:  # not a name that DNS could hold
        return address
