"""Links worth following: no unsubscribing, no tracking, none twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from otel_autopilot.pipeline.digest.sentences import plain
from otel_autopilot.pipeline.messages import Link

#: Most links of a digest, and most that are looked at.
MOST = 10
_LOOKED_AT = 1_000
#: A URL longer than this is a tracking token, not an address.
_LONGEST_URL = 1_000
#: How little a site's front page is worth, against 0 for a page with a telling name.
_ROOT = 2
_MARKDOWN = re.compile(
    r"(?<!\\)!?\[((?:[^\[\]\\]|\\.){0,500})\]\((https?://[^)\s]{0,2000})\)|<?(?P<bare>https?://[^\s<>\"'\])}|]{1,2000})"
)
_BORING = re.compile(
    r"unsubscribe|opt-?out|preferences|subscription|privacy|(?:^|\W)terms|(?:view|read|open).{0,20}(?:browser|online)|im browser|abmelden|abbestellen|désabon|datenschutz|impressum|settings/notif|/(?:un)?sub(?:scribe)?[/?]"
    r"|manage your|forward to a friend|list-manage|listinfo|/track/open|/open\.gif|facebook\.com/sharer|(?:twitter|x)\.com/(?:intent|share)|linkedin\.com/share|aka\.ms/(?:learnaboutsender|mfa)|play\.google\.com/store|apps\.apple\.com|aboutcookies",
    re.IGNORECASE,
)
_SOCIAL = re.compile(
    r"(?:https?://)?(?:www\.|m\.)?(?:facebook|twitter|x|linkedin|instagram|youtube|tiktok|pinterest|threads|bsky|mastodon)\.\w+/?(?:(?:company|in|user|c|channel)/)?[\w.\-@]*/?",
    re.IGNORECASE,
)
_TRACKING = re.compile(
    r"(?:utm_|mc_|fbclid|gclid|msclkid|mkt_tok|_hs|hsa_|vero_|oly_|trk|ref_src|s_cid|cmpid|igshid|yclid|dclid|wickedid|elqtrack|sc_)",
    re.IGNORECASE,
)
_TARGET_NAMES = ("url", "u", "target", "redirect", "redirect_url", "dest", "destination", "link", "to")
_GENERIC = re.compile(
    r"(?:click |tap )?here|(?:shop|buy|order|book|register|sign up|subscribe|download|get started|join|start|try it|apply|watch|listen|play|reply|rsvp|donate|get it|save|continue)(?: (?:now|today|here|free))?|see all|(?:read|learn|see|find out|show) (?:more|all|on|here).{0,3}|more(?: info(?:rmation)?)?|link|this(?: link| page)?|website|open|view|details|go|mehr(?: erfahren| lesen)?|hier(?: klicken)?|weiterlesen|ici|cliquez ici|en savoir plus|lire la suite|aquí|leer más|ver más|qui|hier|meer|lees meer"
    r"|здесь|подробнее|こちら|詳細(?:はこちら)?|続きを読む|点击(?:这里)?|查看(?:详情)?|更多",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"yes|no|maybe|accept|decline|tentative|more options|ja|nein|vielleicht|oui|non|sí|back to top|next|previous|skip",
    re.IGNORECASE,
)
_LOOKS_LIKE_URL = re.compile(r"(?:https?://)?(?:[\w\-]+\.)+[a-z]{2,}(?:[/?#:]\S*)?", re.IGNORECASE)


def links_in(text: str) -> Iterator[Link]:
    """The http links of Markdown or plain text, in order, each with a name that says where it leads."""
    heading = ""
    looked_at = 0
    for line in text.split("\n"):
        if line.startswith("#"):
            heading = plain(line.lstrip("# "))
        if "://" not in line:
            continue
        for match in _MARKDOWN.finditer(line):
            looked_at += 1
            if looked_at > _LOOKED_AT:
                return
            url = (match["bare"] or match[2]).rstrip(".,;:!?*_")
            name = plain(match[1] or "") if match["bare"] is None else _name_before(line[: match.start()])
            if not match["bare"] and (not name or _GENERIC.fullmatch(name.strip(" .»›>→"))):
                name = heading or _rest_of(line)
            yield Link(text=name[:200], url=url)


def best_links(links: Sequence[Link]) -> tuple[Link, ...]:
    """At most `MOST` links, in order of appearance; where there are more, those with a telling name are kept."""
    seen: set[str] = set()
    good: list[tuple[int, Link]] = []
    for link in links[: 5 * _LOOKED_AT]:
        url = without_tracking(link.url)
        if not url.startswith(("http://", "https://")) or len(url) > _LONGEST_URL or not _host(url):
            continue
        if _ANSWER.fullmatch(link.text) or _BORING.search(link.text) or _BORING.search(url) or _SOCIAL.fullmatch(url):
            continue
        key = re.sub(r"^https?://(?:www\.)?", "", url).rstrip("/").casefold()
        if key in seen:
            continue
        seen.add(key)
        name = _honest(link.text, url)
        words, path = len(name.split()), urlsplit(url).path.strip("/") or urlsplit(url).query
        good.append((_ROOT if not path else 0 if words >= 2 else 1, Link(text=name, url=url)))
    if any(value < _ROOT for value, _ in good):
        good = [(value, link) for value, link in good if value < _ROOT]
    kept = sorted(range(len(good)), key=lambda index: (good[index][0], index))[:MOST]
    return tuple(good[index][1] for index in sorted(kept))


def _honest(name: str, url: str) -> str:
    """A name for a link: where it has none, or names another host than it leads to, its host and path."""
    name = " ".join(name.split())
    address = f"{_host(url)}{urlsplit(url).path.rstrip('/')}"
    address = address if len(address) <= 70 else address[:69] + "…"
    if not name:
        return address
    if _LOOKS_LIKE_URL.fullmatch(name):
        claimed = _host(name if "://" in name else f"https://{name}").removeprefix("www.")
        return name if claimed == _host(url).removeprefix("www.") and "://" not in name else address
    return name


def without_tracking(url: str) -> str:
    """The URL without tracking parameters; a redirect that carries its target in plain sight gives the target."""
    for _ in range(3):
        target = _target(url)
        if target is None:
            break
        url = target
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return url
    kept = [(key, value) for key, value in pairs if not _TRACKING.match(key)]
    return urlunsplit(parts._replace(query=urlencode(kept))) if len(kept) != len(pairs) else url


def _target(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        if (
            parts.hostname
            and parts.hostname.endswith("urldefense.com")
            and (match := re.match(r"/v3/__(https?:/+.+?)__;", parts.path + ";"))
        ):
            return re.sub(r"^(https?:)/+", r"\1//", match[1])
        query = parse_qs(parts.query, max_num_fields=100)
        names = (*_TARGET_NAMES, "q") if parts.hostname in ("www.google.com", "google.com") else _TARGET_NAMES
        for name in names:
            for value in query.get(name, []):
                target = unquote(value) if "%3A" in value[:12].upper() else value
                if target.startswith(("http://", "https://")) and urlsplit(target).hostname not in (None, parts.hostname):
                    return target
    except ValueError:
        return None
    return None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _name_before(text: str) -> str:
    """What a line says before a bare URL: "Log: https://..." gives "Log"."""
    name = plain(re.sub(r"https?://\S+", " ", text)).strip(" :-–—<([*•")
    name = re.sub(r"\s(?:or|and|at|see|under|is|here|via|oder|und|unter|ou|à|o|y|en)$", "", name, flags=re.IGNORECASE)
    name = re.split(r"(?<=[.!?])\s", name)[-1].strip(" :")
    return name if not re.search(r"[\[\](){}<>]", name) and 2 < len(name) <= 60 and len(name.split()) <= 8 else ""


def _rest_of(line: str) -> str:
    """The sentence around a link that is called "here"."""
    text = plain(line).strip(" *-#")
    if _GENERIC.fullmatch(text.strip(" .»›>→")):
        return ""
    return text if len(text) <= 100 else text[:99].rsplit(" ", 1)[0] + " …"
