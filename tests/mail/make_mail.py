"""Write a corpus of test mail.

    python -m tests.mail.make_mail --count 300 --seed 1 OUT

writes OUT/00000.eml ... and OUT/index.jsonl, a line for each mail: `file`, `kind`, `expected`, `secrets`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.mail import attachments, languages, malformed, realistic
from tests.mail.planted import Plant, Sample

#: Every kind of mail there is; a corpus of this many or more has each at least once.
KINDS = (*realistic.KINDS, *languages.KINDS, *attachments.KINDS, *malformed.KINDS)


def make(count: int = len(KINDS), seed: int = 1) -> Iterator[Sample]:
    """``count`` mails, kind after kind, the same bytes for the same seed."""
    for number in range(count):
        yield KINDS[number % len(KINDS)](Plant(seed, number))


def write(folder: Path, count: int = len(KINDS), seed: int = 1) -> list[tuple[Path, Sample]]:
    """Write the mails and their index into ``folder``, which is made; returns each file with its sample."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with (folder / "index.jsonl").open("w") as index:
        for number, sample in enumerate(make(count, seed)):
            path = folder / f"{number:05}.eml"
            path.write_bytes(sample.content)
            facts = {"file": path.name, "kind": sample.kind, "expected": sample.expected, "secrets": sample.secrets}
            index.write(json.dumps(facts, ensure_ascii=False) + "\n")
            written.append((path, sample))
    return written


def main() -> None:
    """Write a corpus where the command line says."""
    parser = argparse.ArgumentParser(description="Write a corpus of test mail.")
    parser.add_argument("--count", type=int, default=len(KINDS), help=f"how many mails; {len(KINDS)} have every kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("folder", type=Path, metavar="OUT")
    arguments = parser.parse_args()
    written = write(arguments.folder, arguments.count, arguments.seed)
    sys.stderr.write(f"{len(written)} mails in {arguments.folder}\n")


if __name__ == "__main__":
    main()
