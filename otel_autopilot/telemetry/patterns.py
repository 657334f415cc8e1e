"""What personal data and secrets look like: finders of addresses, telephone numbers, payment cards and tokens.

Each finder takes a text and yields ``(start, end, replacement)``. They leave alone what telemetry is full of: hexadecimal ids,
timestamps, durations, versions, IP addresses, file sizes, SQL. Every expression is linear in the length of the text.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from otel_autopilot.telemetry.known_values import Found
from otel_autopilot.telemetry.pseudonyms import pseudonym

PHONE, CARD, TOKEN = "[phone]", "[card]", "[token]"

# RFC 5322 allows more in a local part than people use; it is all taken, so that nothing of it stays.
_EMAIL = re.compile(
    r"(?:\"[^\"\r\n@]{1,64}\"|(?<![\w.!\#$%&'*+/=?^`{|}~-])[\w.!\#$%&'*+/=?^`{|}~-]++)"
    r"[@\uff20](?:\[[0-9A-Fa-f:.]{2,45}\]|(?=[\w.-]*[^\W\d])[\w-]+(?:\.[\w-]+)*|\d{1,3}(?:\.\d{1,3}){3})"
)
#: What may stand before an address without a blank: a key, a path, a quotation mark. VERP (``bounce+ann=example.org@``) isn't that.
_BEFORE = re.compile(r"^(?:.*[/?&{}|!\#$^`*]|[^+=-]*=|')+")

_INTERNATIONAL = re.compile(r"(?<![\w+])(?<!\d[.,])(?:\+\s?|00(?=[1-9]))(?:\(0\)|[\d\s().\u00a0/-]){6,24}(?<=\d)(?![\w-])")
_KEYWORD_PHONE = re.compile(
    r"\b(?:tel|phone|telephone|telefon|fon|mobile|mobil|cell|fax|whatsapp|handy)\b[^\w+(]{0,4}"
    r"(?P<number>[+(]?\d[\d\s().\u00a0/-]{5,20}\d)(?!\w)",
    re.IGNORECASE,
)
_NATIONAL = re.compile(
    r"(?<![\w.:/+-])(?:"
    r"\(\d{2,5}\)[ \u00a0-]?\d{2,4}(?:[ \u00a0.-]?\d{2,4}){1,3}"  # (030) 123 4567, (212) 555-1234
    r"|(?:1[ .-])?[2-9]\d{2}(?P<sep>[ .\u00a0-])[2-9]\d{2}(?P=sep)\d{4}"  # 212-555-1234
    r"|(?!\d{1,2}(?P<day>[./ -])\d{1,2}(?P=day)(?:\d{4}(?!\d)|\d{2}(?!\d|(?P=day)\d)))"  # not a date
    r"(?!\d{1,3}(?:\.\d{1,3}){3}(?!\d))"  # nor an IP address
    r"0[1-9]\d{0,3}(?:[ \u00a0]?[/-][ \u00a0]?|[ \u00a0.])\d{2,8}(?:[ \u00a0./-]\d{2,5}){0,4}"  # 030 1234567, 06 12 34 56 78
    r"|0[1-9]\d{8,9}"  # 01711234567
    r")(?![\w-]|[.:,]\d)"
)
_DIGITS_OF_A_PHONE = range(7, 16)  # E.164: 15 at most

_CARD = re.compile(r"(?<![\w.+-])[2-6]\d{3}(?:[ -]?\d){8,15}(?![\w-]|\.\d)")
_CARD_BRANDS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}"
    r"|35\d{14}|(?:5[06-9]|6\d)\d{14,17}"
)

_CREDENTIAL_WORDS = (
    r"(?:passw(?:or)?d|passwort|passphrase|secret|api[_-]?key|apikey|access[_-]?key|private[_-]?key|token|credentials?|\bpwd)"
)
#: User and password in front of the host of a URL (RFC 3986).
_USERINFO = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://(?P<it>[^\s/@:\"'<>\[\]]*(?::[^\s/@\"'<>\[\]]*)?)(?=@)", re.IGNORECASE)
_TOKENS = (
    re.compile(r"\bBearer\s+(?P<it>[\w.~+/=-]{6,})", re.IGNORECASE),
    re.compile(r"\beyJ[\w-]{5,}\.[\w-]{2,}(?:\.[\w-]*){1,3}"),  # JSON Web Token, RFC 7519
    _USERINFO,
    re.compile(
        r"[?&;](?:[\w.-]*(?:token|secret|password|passwd|signature|credential|api[_-]?key|apikey)"
        r"|key|sig|auth|code|pwd|pass|session(?:_?id)?|sid|jwt|otp|pin|state|nonce|hash|unsub\w*|email|u|uid|user)"
        r"=(?P<it>[^\s&;\#\"'<>\[\]]{2,})",
        re.IGNORECASE,
    ),
    re.compile(
        rf"{_CREDENTIAL_WORDS}\b[\"']?\s*[=:]\s*[\"']?(?P<it>(?!\?|%\(|%s|:\w|\$\d|null\b|none\b|true\b|false\b)[^\s\"',;&<>(){{}}\[\]]{{4,}})",
        re.IGNORECASE,
    ),
    re.compile(r"\b(?:proxy-)?authorization[\"']?\s*[=:]\s*[\"']?(?P<it>(?!\[)[^\r\n\"'\[\]]{3,})", re.IGNORECASE),
    re.compile(r"\b(?:set-)?cookie[\"']?\s*:\s*[\"']?(?P<it>(?!\[)[^\r\n\"'\[\]]{3,})", re.IGNORECASE),
    # Keys that say whose they are.
    re.compile(
        r"(?<![\w-])(?:sk|pk|rk)[-_](?:(?:live|test|proj|ant)[-_])?[\w-]{16,}|(?<!\w)(?:gh[pousr]_|github_pat_|glpat-|npm_|hf_|pypi-|dop_v1_)\w[\w-]{15,}"
        r"|(?<!\w)xox[abeoprs]-[\w-]{10,}|(?<!\w)(?:AKIA|ASIA)[0-9A-Z]{16}(?!\w)|(?<!\w)AIza[\w-]{30,}|(?<!\w)ya29\.[\w-]{10,}|(?<!\w)SG\.[\w-]{16,}\.[\w-]{16,}"
    ),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"),
)
#: Lower-case pieces of which every credential that `_TOKENS` knows has one.
_TOKEN_HINTS = (
    "bearer", "basic", "eyj", "://", "passw", "passp", "pwd", "secret", "key", "token", "credential", "authorization", "cookie",
    "sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat", "glpat", "npm_", "hf_",
    "pypi-", "dop_", "xox", "akia", "asia", "aiza", "ya29", "sg.",
)  # fmt: skip
_QUERY = re.compile(r"[?&;]\w+=")
_BASIC = re.compile(r"\bBasic\s+([A-Za-z0-9+/_-]{6,}={0,2})", re.IGNORECASE)
_OPAQUE = re.compile(r"(?<![\w+/.-])[A-Za-z0-9_+-][A-Za-z0-9_+/-]{31,}={0,2}(?![\w+/-])")
_CLASS_CHANGE = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])|(?<=[A-Z])(?=[a-z])")
_HEX_OR_UUID = re.compile(r"[0-9a-f-]+|[0-9A-F-]+")


def emails(text: str) -> Iterator[Found]:
    """Addresses and Message-IDs, each replaced by its pseudonym; what stands before an address (a key, a quote) stays."""
    if "@" not in text and "\uff20" not in text:
        return
    # What stands before a host in a URL isn't an address, and `tokens` finds it.
    userinfo = {match.end("it") for match in _USERINFO.finditer(text)} if "://" in text else set()
    for match in _EMAIL.finditer(text):
        start, end = match.span()
        if userinfo and start + match.group().rfind("@") in userinfo:
            continue
        local = match.group().replace("\uff20", "@").rpartition("@")[0]
        before = _BEFORE.match(local)
        if before is not None and before.end() < len(local):
            start += before.end()
        elif local.startswith("'"):
            start += 1
        yield start, end, f"[email:{pseudonym(text[start:end].replace(chr(0xFF20), '@'))}]"


def phones(text: str) -> Iterator[Found]:
    """Telephone numbers in international form, in national form with separators, or after a word that announces them."""
    for expression, group in ((_INTERNATIONAL, 0), (_NATIONAL, 0), (_KEYWORD_PHONE, "number")):
        for match in expression.finditer(text):
            digits = sum(character.isdigit() for character in match.group(group))
            if digits in _DIGITS_OF_A_PHONE:
                yield *match.span(group), PHONE


def cards(text: str) -> Iterator[Found]:
    """Payment card numbers: a brand's prefix and length, and the check digit (ISO/IEC 7812-1)."""
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        if _CARD_BRANDS.fullmatch(digits) and luhn(digits):
            yield *match.span(), CARD


def luhn(digits: str) -> bool:
    """True when the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def tokens(text: str) -> Iterator[Found]:
    """Credentials: bearer and basic authentication, JSON Web Tokens, keys of well-known makers, URL userinfo, secret parameters."""
    lowered = text.lower()
    if not any(hint in lowered for hint in _TOKEN_HINTS) and ("=" not in text or _QUERY.search(text) is None):
        return
    for expression in _TOKENS:
        for match in expression.finditer(text):
            start, end = match.span("it" if "it" in expression.groupindex else 0)
            if start < end:
                yield start, end, TOKEN
    for match in _BASIC.finditer(text):
        if _is_user_and_password(match.group(1)):
            yield *match.span(1), TOKEN


def _is_user_and_password(digits: str) -> bool:
    try:
        return b":" in base64.b64decode(digits.rstrip("=") + "=" * (-len(digits.rstrip("=")) % 4), altchars=b"-_")
    except (binascii.Error, ValueError):
        return False


def opaque_tokens(text: str) -> Iterator[Found]:
    """Runs of 32 characters and more that look random: not hexadecimal, not words, not a path."""
    if len(text) < 32:
        return
    for match in _OPAQUE.finditer(text):
        run = match.group().rstrip("=")
        if _HEX_OR_UUID.fullmatch(run):
            continue
        changes = len(_CLASS_CHANGE.findall(run))
        if changes * 4 >= len(run) and sum(character.isdigit() for character in run) >= 2:
            yield *match.span(), TOKEN
