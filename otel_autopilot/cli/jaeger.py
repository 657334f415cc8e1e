"""Whether Jaeger has the whole of a trace, and where to look at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import httpx

#: Jaeger's UI and API, where an address names no port.
PORT = 16686
#: How soon after one look comes the next, in seconds; longer each time, up to the second.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
#: How long an answer may take, in seconds.
_ANSWER_SECONDS = 10.0


def beside(collector: str) -> str:
    """Where Jaeger is when nobody says: on the Collector's host, at its default port."""
    host = urlsplit(collector if "://" in collector else f"//{collector}").hostname or "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{PORT}"


def with_port(url: str) -> str:
    """The URL without a slash at its end, and with Jaeger's port where it names none and has no path (a proxy's has one)."""
    whole = url if "://" in url else f"http://{url}"
    parts = urlsplit(whole.rstrip("/"))
    if parts.port is None and parts.scheme == "http" and not parts.path:
        parts = parts._replace(netloc=f"{parts.netloc}:{PORT}")
    return parts.geturl()


class Jaeger:
    """Jaeger's query API at ``url``, such as ``http://127.0.0.1:16686``."""

    def __init__(self, url: str) -> None:
        self.url = with_port(url)
        self._client = httpx.Client(timeout=_ANSWER_SECONDS)

    def answers(self) -> bool:
        """True when a Jaeger is there: its list of services is JSON with ``data``."""
        try:
            answer = self._client.get(f"{self.url}/api/services", timeout=2.0)
            return answer.is_success and "data" in answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError):
            return False

    def link(self, trace_id: str) -> str:
        """The page of a trace in Jaeger's UI."""
        return f"{self.url}/trace/{trace_id}"

    def span_ids(self, trace_id: str) -> set[str]:
        """Ids of the spans of a trace that Jaeger has by now; none when it can't say."""
        try:
            answer = self._client.get(f"{self.url}/api/traces/{trace_id}")
            if not answer.is_success:
                return set()
            return {span["spanID"] for trace in answer.json()["data"] or () for span in trace["spans"]}
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return set()

    def wait_for(
        self, traces: Mapping[str, frozenset[str]], seconds: float, tell: Callable[[int], None] = lambda _: None
    ) -> dict[str, int]:
        """Wait until Jaeger has every span of every trace, ``seconds`` at most after the last one came in.

        ``traces`` are the span ids by trace id. Returns how many spans are missing, by trace id; empty when all is there.
        ``tell`` is called with the number of traces that are whole.
        """
        missing = {trace_id: len(spans) for trace_id, spans in traces.items()}
        changed, pause = time.monotonic(), _FIRST_PAUSE
        while missing and time.monotonic() - changed < seconds:
            before = dict(missing)
            for trace_id in before:
                if time.monotonic() - changed >= seconds:
                    break
                missing[trace_id] = len(traces[trace_id] - self.span_ids(trace_id))
                if missing[trace_id] == 0:
                    del missing[trace_id]
                    tell(len(traces) - len(missing))
            if missing != before:
                changed, pause = time.monotonic(), _FIRST_PAUSE
            if missing:
                time.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
        return missing

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
