"""Whether Jaeger has the whole of a trace, and where to look at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import httpx

#: Jaeger's UI and API, where an address names no port.
PORT = 16686
#: How soon after one look comes the next, in seconds; longer each time, up to the second.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
#: Of how many traces one request asks: each answer costs Jaeger and us less than half of what single ones do.
_TRACES_A_REQUEST = 20
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
            content = answer.json() if answer.is_success else None
            return isinstance(content, dict) and "data" in content
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return False

    def link(self, trace_id: str) -> str:
        """The page of a trace in Jaeger's UI."""
        return f"{self.url}/trace/{trace_id}"

    def span_ids(self, trace_ids: Sequence[str]) -> set[tuple[str, int]] | None:
        """Trace id and span id of all that Jaeger has of these traces by now; None when it can't say."""
        try:
            answer = self._client.get(f"{self.url}/api/traces", params=[("traceID", trace_id) for trace_id in trace_ids])
            if not answer.is_success:
                return None
            return {
                (span["traceID"].rjust(32, "0"), int(span["spanID"], 16))
                for trace in answer.json()["data"] or ()
                for span in trace["spans"]
            }
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None

    def wait_for(
        self,
        traces: Mapping[str, Sequence[int]],
        seconds: float,
        *,
        lost: int = 0,
        tell: Callable[[int], None] = lambda _: None,
    ) -> dict[str, int]:
        """Wait until Jaeger has every span of every trace, ``seconds`` at most after the last one came in.

        ``traces`` are the span ids by trace id. ``lost`` spans could not be sent: once no more than that are missing, nothing is
        waited for. Returns how many spans are missing, by trace id; empty when all is there. ``tell`` is called with the number
        of traces that are whole.
        """
        missing = {trace_id: len(spans) for trace_id, spans in traces.items()}
        changed, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            before = sum(missing.values())
            asked = list(missing)
            for start in range(0, len(asked), _TRACES_A_REQUEST):
                batch = asked[start : start + _TRACES_A_REQUEST]
                found = self.span_ids(batch)
                if found is None:
                    break
                for trace_id in batch:
                    missing[trace_id] = sum((trace_id, span_id) not in found for span_id in traces[trace_id])
                    if missing[trace_id] == 0:
                        del missing[trace_id]
                tell(len(traces) - len(missing))
            now = sum(missing.values())
            if now != before:
                changed, pause = time.monotonic(), _FIRST_PAUSE
            if now <= lost or time.monotonic() - changed >= seconds:
                return missing
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
