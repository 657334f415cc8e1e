"""Fetch what the viewer takes from others (``make vendor``), or check that the committed files are that (``make check-vendor``)."""

from __future__ import annotations

import argparse
import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

VIEWER = Path(__file__).parent.parent / "otel_autopilot" / "local" / "viewer"
INTO = VIEWER / "static" / "vendor"


def fetch(package: dict[str, Any], folder: Path) -> dict[Path, bytes]:
    """The wanted files of a package by where they belong, below `INTO`. Raises SystemExit when it isn't the package that was pinned."""
    wanted = f"{package['name']}@{package['version']}"
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("expected npm on the PATH, found none: what the viewer takes from others comes as npm packages")
    packed = subprocess.run(  # noqa: S603 - a command of our own and what vendor.toml names
        [npm, "pack", "--silent", "--pack-destination", str(folder), wanted],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    if packed.returncode:
        raise SystemExit(f"npm pack {wanted} failed: {packed.stderr.strip()[-500:]}")
    archive = folder / packed.stdout.strip().splitlines()[-1]
    content = archive.read_bytes()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    if integrity != package["integrity"]:
        raise SystemExit(f"{wanted}: expected integrity {package['integrity']}, got {integrity}; nothing was written")
    files: dict[Path, bytes] = {}
    with tarfile.open(archive) as tar:
        for name in package["files"]:
            member = tar.extractfile(f"package/{name}")
            if member is None:
                raise SystemExit(f"{wanted}: expected a file {name}, found something else")
            files[Path(package["into"]) / PurePosixPath(name).name] = member.read()
    return files


def main() -> None:
    """Write the files, or with ``--check`` say which differ and fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a committed file differs")
    check = parser.parse_args().check
    files: dict[Path, bytes] = {}
    for package in tomllib.loads((VIEWER / "vendor.toml").read_text())["package"]:
        with tempfile.TemporaryDirectory() as folder:
            files |= fetch(package, Path(folder))
    there = {path.relative_to(INTO) for path in INTO.rglob("*") if path.is_file()}
    differ = sorted(
        {str(path) for path, content in files.items() if path not in there or (INTO / path).read_bytes() != content}
        | {str(path) for path in there - files.keys()}
    )
    if check:
        if differ:
            raise SystemExit(f"{INTO}: {', '.join(differ)}: not what vendor.toml names; run `make vendor`")
        return
    for path in there - files.keys():
        (INTO / path).unlink()
    for path, content in files.items():
        (INTO / path).parent.mkdir(parents=True, exist_ok=True)
        (INTO / path).write_bytes(content)
    sys.stdout.write(f"{len(files)} files in {INTO}, {len(differ)} changed\n")


if __name__ == "__main__":
    main()
