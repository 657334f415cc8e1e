"""The text of a PDF without what is printed on every page."""

from __future__ import annotations

import re
from collections import Counter

#: Lines at the top and at the bottom of a page among which running heads and feet are looked for.
_EDGE = 3
#: A longer line is no page number.
_LONGEST_NUMBER = 60
_PAGE_NUMBER = re.compile(
    r"\W*(?:page|seite|página|pagina|стр\.?|p\.|s\.)?\s*\d{1,4}\s*(?:(?:of|von|de|sur|di|van|из|/|\||-)\s*\d{1,4})?\W*|第?\s*\d{1,4}\s*[页頁ページ]+",
    re.IGNORECASE,
)


def without_running_lines(text: str) -> str:
    """Pages separated by form feeds, without page numbers and without lines that come back at the edge of most pages."""
    pages = [page.split("\n") for page in text.split("\f")]
    seen = Counter(line for page in pages for line in {_key(page[index]) for index in _edge(page)})
    often = max(2, round(0.4 * len(pages)))
    running = {line for line, count in seen.items() if line and count >= often} if len(pages) > 1 else set()
    kept = []
    for page in pages:
        edge = _edge(page)
        kept.append(
            "\n".join(
                line
                for index, line in enumerate(page)
                if index not in edge
                or not (_key(line) in running or (len(line) <= _LONGEST_NUMBER and _PAGE_NUMBER.fullmatch(line.strip())))
            )
        )
    return "\f".join(kept)


def _edge(page: list[str]) -> set[int]:
    filled = [index for index, line in enumerate(page) if line.strip()]
    return {*filled[:_EDGE], *filled[-_EDGE:]}


def _key(line: str) -> str:
    """The line with every number made the same, for page numbers stand beside running heads."""
    return re.sub(r"\d+", "0", line.strip().casefold())[:200]
