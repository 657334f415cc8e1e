"""`collector check`: what is wrong with Collector configurations, one line for each finding."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from otel_autopilot.collector.check import check


def check_files(files: list[str], *, merge: bool, as_json: bool) -> int:
    """Print the findings; 1 when there are any."""
    findings = check(files, merge_all=merge)
    if as_json:
        sys.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("".join(f"{finding}\n" for finding in findings))
    return 1 if findings else 0
