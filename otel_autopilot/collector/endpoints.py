"""Addresses as configurations write them: `host:port`, `[::1]:4317`, `:4317`, `dns:///host:port`, `http://host/path`."""

from __future__ import annotations

import ipaddress
import re

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1|0:0:0:0:0:0:0:1|.*\.localhost|passthrough", re.IGNORECASE)
_PORT = re.compile(r":(\d{0,5})$")


def split(endpoint: str) -> tuple[str, str]:
    """Host and port; the host is empty where the endpoint names none, the port where it gives none."""
    rest = re.sub(r"^[a-zA-Z][a-zA-Z0-9+.-]*:/{2,3}", "", endpoint.strip()).split("/", 1)[0].rpartition("@")[2]
    if rest.startswith("["):
        host, _, tail = rest[1:].partition("]")
        return host, tail.removeprefix(":")
    if rest.count(":") > 1:
        return rest, ""
    host, _, port = rest.partition(":")
    return host, port


def is_local(endpoint: str) -> bool:
    """Whether what is sent there stays on this machine."""
    return endpoint.startswith(("unix:", "/", "@")) or _LOOPBACK.fullmatch(split(endpoint)[0]) is not None


def is_everywhere(endpoint: str) -> bool:
    """Whether a listener with this address takes connections from anywhere."""
    if endpoint.startswith(("unix:", "/", "@")) or not endpoint:
        return False
    host, port = split(endpoint)
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == "*" or (host == "" and port != "")
