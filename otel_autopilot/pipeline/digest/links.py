"""Links worth following: no unsubscribing, no tracking, none twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from otel_autopilot.pipeline.messages import Link

#: Most links of a digest.
MOST = 10
_BORING = re.compile(
    r"unsubscribe|opt-?out|preferences|subscription|privacy|terms|view (in|on)|browser|abmelden|abbestellen|désabon|datenschutz|impressum|"
    r"manage your|forward to a friend|mailto:|list-manage|/track/open|facebook\.com/sharer|twitter\.com/(intent|share)|linkedin\.com/share",
    re.IGNORECASE,
)
_SOCIAL = re.compile(
    r"^(https?://)?(www\.)?(facebook|twitter|x|linkedin|instagram|youtube|tiktok|pinterest|threads)\.\w+/?[\w.\-@]*/?$",
    re.IGNORECASE,
)
_TRACKING = re.compile(r"^(utm_|mc_|fbclid|gclid|mkt_tok|_hs|vero_|oly_|trk|ref_src|s_cid|cmpid)", re.IGNORECASE)


def best_links(links: Sequence[Link]) -> tuple[Link, ...]:
    """At most `MOST` links, those with a telling name first, otherwise in order."""
    seen: set[str] = set()
    good: list[tuple[bool, int, Link]] = []
    for order, link in enumerate(links):
        url = without_tracking(link.url)
        if not url.startswith(("http://", "https://")) or len(url) > 2_000:
            continue
        if _BORING.search(link.text) or _BORING.search(url) or _SOCIAL.match(url):
            continue
        key = url.rstrip("/").lower()
        if key in seen:
            continue
        seen.add(key)
        telling = len(link.text.split()) >= 2 and not link.text.startswith("http")
        good.append((not telling, order, Link(text=link.text, url=url)))
    return tuple(link for _, _, link in sorted(good, key=lambda item: item[:2])[:MOST])


def without_tracking(url: str) -> str:
    """The URL without tracking parameters; a redirect that carries its target in plain sight gives the target."""
    try:
        parts = urlsplit(url)
        for name in ("url", "u", "target", "redirect", "redirect_url", "dest"):
            for value in parse_qs(parts.query).get(name, []):
                target = unquote(value)
                if target.startswith(("http://", "https://")) and urlsplit(target).netloc:
                    return without_tracking(target) if len(target) < len(url) else target
        kept = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if not _TRACKING.match(key)]
    except ValueError:
        return url
    return (
        urlunsplit(parts._replace(query=urlencode(kept)))
        if len(kept) != len(parse_qsl(parts.query, keep_blank_values=True))
        else url
    )
